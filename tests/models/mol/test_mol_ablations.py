"""Every row of Tables VIII-XV and the released deviations: built, sized and trainable from the configuration."""

import pytest
import torch

from mer.models.mol.config import Config
from mer.models.mol.network import MOL

BASE = {"width": 1 / 16, "k": 2, "t": 4}
ROWS = {
    "VIII w/o OFE": {"tasks": ("mer", "landmark")},
    "VIII w/o FLD": {"tasks": ("mer", "flow")},
    "VIII w/o OFE&FLD": {"tasks": ("mer",)},
    "IX w/o F5C": {"f5c": False},
    "IX w/o CCC": {"ccc": "off"},
    "IX w/o FCC": {"fcc": "off"},
    "X 2": {"f5c_blocks": 2},
    "X 3": {"f5c_blocks": 3},
    "XI transformer": {"fcc": "transformer"},
    "XI FCC-V": {"fcc": "fcc_v"},
    "XI FCC-H": {"fcc": "fcc_h"},
    "XII first": {"mer_input": "first", "tasks": ("mer",)},
    "XII last": {"mer_input": "last", "tasks": ("mer",)},
    "XII all": {"mer_input": "all"},
    "XII add": {"mer_input": "add"},
    "XII sub": {"mer_input": "sub"},
    "XIII 2": {"t": 2},
    "XIII 16": {"t": 16, "tasks": ("mer",)},
    "XIV w/o MER": {"tasks": ("flow", "landmark")},
    "XIV w/o MER&FLD": {"tasks": ("flow",)},
    "XV w/o MER&OFE": {"tasks": ("landmark",)},
    "released FCC": {"fcc": "release", "fcc_norm": "bn"},
    "released CCC": {"ccc": "release"},
    "FCC with norm": {"fcc_norm": "bn"},
    "shared": {"share_branches": True},
    "stem with ReLU": {"stem_act": "relu"},
    "no self": {"ccc_self": False},
}
KEYS = {"mer": "logits", "flow": "flow", "landmark": "landmarks"}


@pytest.mark.parametrize("row", ROWS)
def test_row_is_trainable(row):
    """One step reaches every parameter, so nothing is built that the row does not use, and the loss falls."""
    torch.manual_seed(0)
    cfg = Config(**{**BASE, **ROWS[row]})
    model = MOL(cfg, 3)
    frames = torch.rand(2, cfg.t, 1, 128, 128)

    def loss():
        torch.manual_seed(1)  # the same dropout
        outputs = model(frames, torch.zeros(2, 1, dtype=torch.long))
        assert set(outputs) == {KEYS[task] for task in cfg.tasks}
        return sum((value - 1).square().mean() for value in outputs.values())

    before = loss()
    before.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    norm = sum(p.grad.square().sum() for p in model.parameters()).sqrt()
    with torch.no_grad():
        for p in model.parameters():
            p -= 1e-3 * p.grad / norm
    assert loss() < before


def parameters(**fields):
    return sum(p.numel() for p in MOL(Config(**fields), 5).parameters())


def test_rows_at_full_width_have_the_expected_size():
    """Differences from the whole MOL; without the flow module, which no row changes, they are quick to build."""
    two = {"tasks": ("mer", "landmark")}
    full = parameters(**two)
    assert full == 44_234_911 - 39_730_282
    fcc, ccc = 66_304, 147_840
    assert parameters(tasks=("mer",)) == full - 3_318_440
    assert parameters(**two, f5c=False) == full - 2 * (fcc + ccc)
    assert parameters(**two, ccc="off") == full - 2 * ccc
    assert parameters(**two, fcc="off") == full - 2 * fcc
    assert parameters(**two, f5c_blocks=3) == full + 4 * (fcc + ccc)
    assert parameters(**two, fcc="fcc_h") == full - 2 * fcc + 2 * (16_512 + 4_224)
    assert parameters(**two, share_branches=True) == full - (fcc + ccc)
    layer = 4 * 128 * 128 + 4 * 128 + 2 * 4 * 128 * 128 + 5 * 128 + 4 * 128  # attention, MLP, two layer norms
    assert parameters(**two, fcc="transformer") == full + 2 * (layer + 256 * 128 - fcc)


@pytest.mark.parametrize(("kind", "inputs"), [("first", 512), ("last", 512), ("all", 1024), ("add", 512), ("sub", 512)])
def test_first_layer_is_sized_from_the_mer_input(kind, inputs):
    assert MOL(Config(width=1 / 16, tasks=("mer",), mer_input=kind), 3).mer.fc1.in_features == inputs


@pytest.mark.parametrize(("t", "inputs"), [(2, 512), (4, 512), (8, 2560), (16, 6656)])
def test_first_layer_is_sized_from_the_clip(t, inputs):
    assert MOL(Config(width=1 / 16, tasks=("mer",), t=t), 3).mer.fc1.in_features == inputs


def test_a_task_that_reads_one_branch_builds_one():
    for fields, absent in (
        ({"tasks": ("landmark",)}, "branch_one"),
        ({"tasks": ("mer",), "mer_input": "last"}, "branch_one"),
        ({"tasks": ("mer",), "mer_input": "first"}, "branch_two"),
        ({"tasks": ("mer", "landmark"), "mer_input": "last"}, "branch_one"),
    ):
        model = MOL(Config(**BASE, **fields), 3)
        assert [name for name in ("branch_one", "branch_two") if getattr(model, name) is None] == [absent]


def test_mer_inputs_are_what_table_twelve_says():
    one, two = torch.randn(2, 2, 3, 4, 16, 16)  # (branch, B, t-1, C, 16, 16)
    stacked = {
        kind: MOL(Config(**BASE, tasks=("mer",), mer_input=kind), 3)._mer_input(one, two)
        for kind in ("concat", "first", "last", "all", "add", "sub")
    }
    planes = [branch[:, k] for k in range(3) for branch in (one, two)]
    assert torch.equal(stacked["concat"], torch.stack(planes, dim=1))
    assert torch.equal(stacked["first"], one) and torch.equal(stacked["last"], two)
    assert torch.equal(stacked["all"], torch.cat([one, two[:, 2:]], dim=1))
    assert torch.equal(stacked["add"], one + two) and torch.equal(stacked["sub"], two - one)


def test_transformer_sees_every_position_and_its_embedding():
    torch.manual_seed(0)
    block = MOL(Config(**BASE, tasks=("landmark",), fcc="transformer"), 3).branch_two[0].fcc.double()
    maps = torch.randn(1, 8, 16, 16, dtype=torch.float64)
    changed = maps.clone()
    changed[0, 2, 3, 5] += 1
    assert ((block(changed) - block(maps)).abs().sum(1) > 1e-9).all()
    assert (block(maps.roll(1, 3)) - block(maps).roll(1, 3)).abs().max() > 1e-3
