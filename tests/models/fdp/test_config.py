"""Config: the paper's defaults are valid, and what cannot be built is refused by name."""

import subprocess
import sys

import pytest

from mer.models.fdp.config import GLOBAL, LOCAL, Config, global_channels, local_channels, validate


@pytest.mark.parametrize("width", [1.0, 0.5, 0.25, 0.125, 0.01])
def test_defaults_are_valid_at_every_width(width):
    assert validate(Config(width=width)) == []


def test_what_table_10_counts_is_valid():
    assert validate(Config(n_global=(0, 0, 0, 0))) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tasks": ()}, "tasks"),
        ({"tasks": ("mer", "mer")}, "tasks"),
        ({"tasks": ("flow",)}, "tasks"),
        ({"tasks": "mer"}, "tasks"),
        ({"t": 1}, "t "),
        ({"backbone": "vit"}, "backbone"),
        ({"mhc": "C"}, "mhc"),
        ({"n_local": (2, 2, 2)}, "n_local"),
        ({"n_local": 2}, "n_local"),
        ({"n_local": (2, 2, 2, -1)}, "n_local"),
        ({"n_global": (1, 1, 1, 0.5)}, "n_global"),
        ({"sr_ratios": (0, 1, 1, 1)}, "sr_ratios"),
        ({"sr_ratios": (8, 4, 2, 3)}, "sr_ratios"),
        ({"sr_ratios": (1, 1, 1, 4)}, "sr_ratios"),
        ({"head_dim": 0}, "head_dim"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"in_channels": 2}, "in_channels"),
        ({"width": 0.0}, "width"),
        ({"frame_fold": "time"}, "frame_fold"),
        ({"dic": "none"}, "dic"),
        ({"dic_input": "maps"}, "dic_input"),
        ({"dic_input": "spatial", "dic": "segnet"}, "dic "),
        ({"dic_input": "spatial", "tasks": ("dynamic",)}, "tasks"),
        ({"stretch": "symetric"}, "stretch"),
        ({"centre": "mean"}, "centre"),
        ({"gain": 0.0}, "gain"),
        ({"coeffs": "bilen"}, "coeffs"),
        ({"rank_slope": 0.0}, "rank_slope"),
    ],
)
def test_a_bad_field_is_named_with_its_value(fields, named):
    problems = validate(Config(**fields))
    assert len(problems) == 1
    assert problems[0].startswith(f"fdp.{named}") and "expected" in problems[0] and "\n" not in problems[0]
    assert repr(getattr(Config(**fields), named.strip())) in problems[0]


def test_all_problems_are_listed_at_once():
    assert len(validate(Config(t=0, gain=-1.0, mhc="?"))) == 3


def test_ratios_do_not_matter_without_attention():
    assert validate(Config(backbone="resnet18", sr_ratios=(9, 9, 9, 9))) == []


@pytest.mark.parametrize("head_dim", [4, 8, 16, 32])
@pytest.mark.parametrize("width", [1.0, 0.3, 1 / 8, 1 / 100])
def test_channels_are_whole_heads(width, head_dim):
    cfg = Config(width=width, head_dim=head_dim)
    for stage in range(4):
        parts = *global_channels(cfg, stage), local_channels(cfg, stage)
        assert all(part >= head_dim and part % head_dim == 0 for part in parts)
        if width == 1:
            assert parts == (3 * GLOBAL[stage] // 4, GLOBAL[stage] // 4, LOCAL[stage])


def test_needs_no_torch():
    code = "import sys, mer.models.fdp.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
