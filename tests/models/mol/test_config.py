"""Config: the paper's defaults are valid, and what cannot be built or would change nothing is refused by name."""

import subprocess
import sys

import pytest

from mer.models.mol.config import Config, mer_length, validate


@pytest.mark.parametrize("width", [1.0, 0.5, 0.25, 0.125])
def test_defaults_are_valid_at_every_width(width):
    assert validate(Config(width=width)) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tasks": ()}, "tasks"),
        ({"tasks": ("mer", "mer")}, "tasks"),
        ({"tasks": ("expression",)}, "tasks"),
        ({"tasks": "mer"}, "tasks"),
        ({"t": 1}, "t "),
        ({"width": 0.0}, "width"),
        ({"stem_act": "gelu"}, "stem_act"),
        ({"f5c_blocks": 0}, "f5c_blocks"),
        ({"fcc": "fcc-v"}, "fcc"),
        ({"fcc_norm": "layer"}, "fcc_norm"),
        ({"ccc": "pixels"}, "ccc"),
        ({"mer_input": "both"}, "mer_input"),
        ({"input": "mean"}, "input"),
        ({"gain": 0.0}, "gain"),
        ({"position_sd": -1.0}, "position_sd"),
        ({"flow_init": -0.1}, "flow_init"),
        ({"dropout": 1.0}, "dropout"),
        ({"k": 0}, "k "),
        ({"k": 129}, "k "),
        ({"k": 128, "ccc_self": False}, "k "),
        ({"width": 0.125, "k": 17}, "k "),
        ({"ccc": "release", "k": 257}, "k "),
        ({"f5c": False, "f5c_blocks": 2}, "f5c_blocks"),
        ({"fcc": "off", "ccc": "off"}, "fcc"),
        ({"fcc": "transformer", "fcc_norm": "bn"}, "fcc_norm"),
        ({"fcc": "transformer", "width": 6 / 128}, "width"),
        ({"fcc": "release", "width": 5 / 128}, "width"),
    ],
)
def test_a_bad_field_is_named_with_its_value(fields, named):
    problems = validate(Config(**fields))
    assert len(problems) == 1
    assert problems[0].startswith(f"mol.{named}") and "expected" in problems[0] and "\n" not in problems[0]
    assert repr(getattr(Config(**fields), named.strip())) in problems[0]


def test_all_problems_are_listed_at_once():
    assert len(validate(Config(t=0, gain=-1.0, fcc="?"))) == 3


def test_neighbours_do_not_matter_without_a_graph():
    assert validate(Config(ccc="off", k=999)) == []


@pytest.mark.parametrize(
    ("kind", "length"), [("concat", 14), ("first", 7), ("last", 7), ("all", 8), ("add", 7), ("sub", 7)]
)
def test_number_of_maps_in_time(kind, length):
    assert mer_length(Config(mer_input=kind)) == length


def test_needs_no_torch():
    code = "import sys, mer.models.mol.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
