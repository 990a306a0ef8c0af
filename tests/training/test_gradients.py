"""The norms of the tasks' gradients on the trunk: true ones, measured now and then, without a trace in the training."""

import csv
from typing import ClassVar

import pytest
import torch
from torch import nn
from training import interrupted

from mer.models.mol.config import Config
from mer.models.mol.network import MOL
from mer.models.mol.task import Folds
from mer.training import engine, gradients
from mer.training.batches import Clips
from mer.training.engine import Budget
from mer.training.task import Method

BUDGET = Budget(steps=60, batch=4, crop=8, flip=False, schedule="constant", lr=0.01, weight_decay=0.0, clip_norm=1.0,
                flow_pairs=1, checkpoint_every=20)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.one, self.two = nn.Linear(64, 3), nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, frames):
        hidden = self.trunk(frames[:, 0].flatten(1)).tanh()
        return {"one": self.one(hidden), "two": self.two(hidden)}


class TwoTasks(Method):
    weights: ClassVar = {"one": 1.0, "two": 3.0}

    def losses(self, outputs, batch):
        return {name: (value - 1).square().mean() for name, value in outputs.items()}

    def trunk(self, model):
        return list(model.trunk.parameters())


class NoTrunk(TwoTasks):
    def trunk(self, model):
        return []


def trained(task, path, stop=False):
    torch.manual_seed(0)
    model = Two()
    frames = torch.randint(0, 256, (8, 1, 2, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    clips = Clips((None,) * 8, frames, torch.zeros(8, 1, 2, 68, 2), None, None, torch.zeros(8, dtype=torch.long))
    log, _ = engine.train(model, task, clips, torch.arange(8), BUDGET, seed=0, state=path, desc="test")
    return model, log


def test_norms_are_those_of_each_weighted_loss_alone():
    torch.manual_seed(0)
    model, task = Two(), TwoTasks(None)
    terms = task.losses(model(torch.rand(4, 2, 1, 8, 8)), None)
    found = gradients.norms(model, task, terms)
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in terms.items():
        model.zero_grad()
        (task.weights[name] * value).backward(retain_graph=True)
        whole = torch.cat([parameter.grad.flatten() for parameter in model.trunk.parameters()]).norm()
        assert found[f"gradient_{name}"].item() == pytest.approx(whole.item(), rel=1e-6)
    assert gradients.norms(model, task, {"one": terms["one"]}) == {}
    assert gradients.norms(model, NoTrunk(None), terms) == {}


def test_measuring_changes_no_byte_of_the_network_and_a_resumed_log_is_the_same(tmp_path, monkeypatch):
    model, log = trained(TwoTasks(None), tmp_path / "a.pt")
    bare, without = trained(NoTrunk(None), tmp_path / "b.pt")
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), bare.state_dict().values(), strict=True))
    measured = [entry["step"] for entry in log if "gradient_one" in entry]
    assert measured == [1, 1 + gradients.EVERY, 1 + 2 * gradients.EVERY]
    assert [{name: entry[name] for name in gradients.losses(entry)} for entry in log] == without
    with interrupted.at_the_first_checkpoint(monkeypatch):
        trained(TwoTasks(None), tmp_path / "c.pt")
    assert trained(TwoTasks(None), tmp_path / "c.pt")[1] == log
    gradients.write(tmp_path / "gradients.csv", log)
    with open(tmp_path / "gradients.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == measured
    assert float(rows[0]["two"]) == pytest.approx(log[0]["gradient_two"])
    gradients.write(tmp_path / "none.csv", without)
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize("more", [{}, {"share_branches": True}, {"mer_input": "first", "tasks": ("mer", "landmark")},
                                  {"f5c": False}])
def test_the_trunk_of_mol_is_all_but_its_heads(more):
    model = MOL(Config(**{"width": 1 / 32, "k": 2, "t": 3, **more}), 3)
    trunk = {id(parameter) for parameter in Folds.trunk(None, model)}
    heads = {id(parameter) for name in ("mer", "flow", "landmark") if hasattr(model, name)
             for parameter in getattr(model, name).parameters()}
    assert trunk and not trunk & heads and trunk | heads == {id(parameter) for parameter in model.parameters()}
