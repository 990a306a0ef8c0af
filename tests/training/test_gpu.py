"""On a GPU every model trains to the same bytes again, and its network says there what it says on the CPU."""

from dataclasses import replace

import pytest
import torch
from models import test_every_model as every
from pipeline import digests
from training import test_folds as tools

from mer.training import capture, checkpoint, folds
from mer.training import task as tasks

DEVICE = "cuda"
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")]
p, data = every.p, every.data  # the tiny run of each folder of mer/models, and its stores


def trained(p, data, scratch):
    """A plan for the GPU, and the folder of one of its folds."""
    plan = replace(tools.plan_of(p, data, scratch), device=DEVICE)
    return plan, tools.run(plan, subject=every.TESTED)


def test_a_fold_gives_the_same_bytes_again(p, data, tmp_path):
    (_, once), (_, again) = (trained(p, data, tmp_path / name) for name in ("once", "again"))
    assert {path.name for path in once.iterdir()} == every.files_of(p)
    assert list(digests(once).values()) == list(digests(again).values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_captured_fold_gives_the_bytes_of_one_that_is_not(p, data, tmp_path, monkeypatch, precision):
    longer = replace(p, train=replace(p.train, steps=5, precision=precision))
    monkeypatch.setattr(capture, "_kept", [])
    (_, captured) = trained(longer, data, tmp_path / "captured")
    assert bool(capture._kept) == tasks.task(longer).captures and all(live.graph for live in capture._kept)
    monkeypatch.setattr(capture, "GRAPHS", ())
    (_, plain) = trained(longer, data, tmp_path / "plain")
    assert list(digests(captured).values()) == list(digests(plain).values())


def test_its_network_says_what_it_says_on_the_cpu(p, data, tmp_path):
    plan, folder = trained(p, data, tmp_path)
    said = []
    for device in ("cpu", DEVICE):
        clips, model = plan.task.load(data, plan.entries, device), plan.task.build(len(plan.classes))
        model.load_state_dict(checkpoint.load(folder / "model.pt")["model"])
        said.append(folds.probabilities(plan, model.to(device), clips, torch.arange(len(clips))))
    assert len({tuple(row) for row in said[0].tolist()}) > 1  # it looks at the clips
    torch.testing.assert_close(*said, atol=1e-4, rtol=1e-3)
