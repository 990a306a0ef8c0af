"""A captured training gives the bytes of one that is not: whole, killed and gone on with, and one after another.

A CPU has no CUDA graph: there a stand-in computes the recorded step anew in the same memory, so that all but torch's
own part of a capture is the same code. With a GPU the same tests run on it.
"""

from dataclasses import fields, replace
from typing import ClassVar

import pytest
import torch
from models import test_every_model as every
from torch.utils._python_dispatch import TorchDispatchMode
from training import interrupted
from training import test_engine as toy

from mer.training import capture, checkpoint, engine, folds
from mer.training import task as tasks

p, data = every.p, every.data
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
ASKS = {"_local_scalar_dense", "lift_fresh", "nonzero", "masked_select", "is_nonzero", "_unique2", "equal"}


class Wide(toy.SmallMethod):
    """With two losses and a trunk, so that steps are also measured, which no graph holds."""

    weights: ClassVar = {"mer": 1.0, "size": 0.1}

    def losses(self, outputs, batch):
        return {**super().losses(outputs, batch), "size": outputs["logits"].square().mean()}

    def trunk(self, model):
        return list(model.net[1].parameters())


def stand_in(step):
    """`capture.record` of a CPU."""
    for _ in range(capture.WARM_UP):
        step()
    found = step().clone()
    return lambda: found.copy_(step()), found


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
def device(request, monkeypatch):
    monkeypatch.setattr(capture, "_kept", [])
    monkeypatch.setattr(capture, "GRAPHS", ("cuda", "cpu"))
    if request.param == "cpu":
        monkeypatch.setattr(capture, "record", stand_in)
    engine.configure(1, "fp32")
    return request.param


def train(device, state, *, seed=7, rows=20, budget=toy.BUDGET, **options):
    """A small network's tensors after training, what was logged and the evaluations."""
    torch.manual_seed(seed)
    made = toy.clips()
    clips = replace(made, **{f.name: getattr(made, f.name).to(device) for f in fields(made)
                             if isinstance(getattr(made, f.name), torch.Tensor)})
    model = toy.Small().to(device)

    def evaluate(network):
        found = engine.predict(network, Wide(None), clips, torch.arange(20), crop=8)
        return [torch.cat([outputs["logits"] for _, _, outputs in found]).cpu()]

    log, evaluations = engine.train(model, Wide(None), clips, torch.arange(rows), budget, seed=seed, state=state,
                                    desc="test", evaluate=evaluate, **options)
    return {name: value.cpu() for name, value in model.state_dict().items()}, log, evaluations


def same(one, other):
    (first, log, evaluations), (second, log_2, evaluations_2) = one, other
    assert log == log_2
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert [step for step, _ in evaluations] == [step for step, _ in evaluations_2]
    assert all(torch.equal(a[0], b[0]) for (_, a), (_, b) in zip(evaluations, evaluations_2, strict=True))


def uncaptured(monkeypatch, *args, **options):
    with monkeypatch.context() as patch:
        patch.setattr(capture, "GRAPHS", ())
        return train(*args, **options)


def test_a_captured_training_gives_the_bytes_of_one_that_is_not(device, tmp_path, monkeypatch):
    whole = uncaptured(monkeypatch, device, tmp_path / "a.pt")
    same(whole, train(device, tmp_path / "b.pt"))
    assert capture._kept[0].graph is not None
    assert any("gradient_mer" in entry for entry in whole[1])


def test_a_killed_training_goes_on_to_the_same_bytes(device, tmp_path, monkeypatch):
    whole = train(device, tmp_path / "a.pt")
    with interrupted.at_the_first_checkpoint(monkeypatch):
        train(device, tmp_path / "b.pt")
    assert checkpoint.load(tmp_path / "b.pt")["step"] == 5
    same(whole, train(device, tmp_path / "b.pt"))  # in the graph that the killed one left
    capture._kept.clear()  # and as in a new process
    with interrupted.at_the_first_checkpoint(monkeypatch):
        train(device, tmp_path / "c.pt")
    capture._kept.clear()
    same(whole, train(device, tmp_path / "c.pt"))


def test_two_trainings_in_turn_share_one_graph_and_each_equals_itself_alone(device, tmp_path):
    alone = []
    for seed in (1, 2):
        capture._kept.clear()
        alone.append(train(device, tmp_path / f"alone-{seed}.pt", seed=seed))
    capture._kept.clear()
    graphs = []
    for seed, expected in zip((1, 2), alone, strict=True):
        same(expected, train(device, tmp_path / f"turn-{seed}.pt", seed=seed))
        graphs.append(capture._kept[0].graph)
    assert graphs[0] is graphs[1] is not None
    assert alone[0][1] != alone[1][1]


def test_fewer_clips_than_a_batch_run_uncaptured_in_the_same_network(device, tmp_path, monkeypatch):
    few = uncaptured(monkeypatch, device, tmp_path / "a.pt", rows=4)
    train(device, tmp_path / "b.pt")
    graph = capture._kept[0].graph
    same(few, train(device, tmp_path / "c.pt", rows=4))
    assert capture._kept[0].graph is graph is not None


def test_what_cannot_be_captured_is_said_and_runs(device, tmp_path, monkeypatch, capsys):
    whole = uncaptured(monkeypatch, device, tmp_path / "a.pt")

    def refused(step):
        step()
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(capture, "record", refused)
    same(whole, train(device, tmp_path / "b.pt"))
    assert capsys.readouterr().err.count("runs uncaptured: operation not permitted") == 1


def test_another_network_or_precision_takes_another_graph(device):
    kinds = {str(capture.kind(toy.Small(), Wide(None), budget, torch.device(device)))
             for budget in (toy.BUDGET, replace(toy.BUDGET, precision="bf16"), replace(toy.BUDGET, batch=5),
                            replace(toy.BUDGET, steps=99, lr=0.5))}
    assert len(kinds) == 3


class Watch(TorchDispatchMode):
    """Which operations wait on a GPU for what it has computed, or bring it numbers from the host."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.found |= {name} & ASKS
        if name in ("index", "index_put", "index_put_") and any(
                torch.is_tensor(one) and one.dtype is torch.bool for one in args[1]):
            self.found.add(name)  # a mask: how many it takes, the host must know
        return func(*args, **(kwargs or {}))


def test_a_question_to_the_host_is_seen():
    values = torch.ones(3)
    for ask in (lambda: torch.tensor([1.0, 2.0]), values.sum().item, lambda: values[[0, 2]],
                lambda: values[values > 0]):
        with Watch() as watch:
            ask()
        assert watch.found


@pytest.mark.parametrize("stage", ["folds", "pretraining"])
def test_no_step_of_any_model_asks_the_host(p, data, tmp_path, stage):
    """Such an operation breaks a capture; it is looked for on the CPU."""
    plan, _, rows, _ = every.started(p, data, tmp_path)
    task = plan.task if stage == "folds" else tasks.pretraining(p)
    clips = task.load(data, plan.entries, "cpu")
    model, _ = folds.start_model(plan, clips, rows, 0, "x", task)
    budget = engine.budget(p, p.train if stage == "folds" else p.pretrain, len(rows))
    batch = task.draw(clips, rows, budget, torch.Generator().manual_seed(0))
    step = capture.Step(model.train(), task, budget, torch.device("cpu"))
    step(batch)  # what is made once
    with Watch() as watch:
        outputs = task.forward(model, batch)
        losses = task.losses(outputs, batch)
        sum(task.weights[name] * value for name, value in losses.items()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert watch.found == set() or not task.captures, watch.found


@pytest.mark.gpu
@NO_GPU
def test_no_captured_step_waits_for_the_gpu(device, tmp_path, monkeypatch):
    """Nor does it take anything from the host: torch would raise at either."""
    if device != "cuda":
        pytest.skip("of a GPU")
    train(device, tmp_path / "a.pt")
    live, step = capture._kept[0], type(capture._kept[0]).__call__
    strict = []

    def watched(self, batch, measured=False):
        captured = not measured and self.graph is not None
        torch.cuda.set_sync_debug_mode("error" if captured else "default")
        try:
            return step(self, batch, measured)
        finally:
            torch.cuda.set_sync_debug_mode("default")
            strict.append(captured)

    monkeypatch.setattr(type(live), "__call__", watched)
    train(device, tmp_path / "b.pt")
    assert sum(strict) > 5
