"""The training loop: resumable at a step to the same bytes, its randomness a function of (seed, step)."""

import math
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from mer import params
from mer.base.errors import MerError
from mer.training import checkpoint, engine
from mer.training.batches import Clips
from mer.training.engine import Budget
from mer.training.task import Method

ROOT = Path(__file__).parents[2]


class Small(nn.Module):
    """Batch norm, dropout and a classifier on the mean frame: enough state to notice a lost part of it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5),
                                 nn.Linear(16, 2))

    def forward(self, frames, pairs=None):
        return {"logits": self.net(frames.mean(dim=1))}


class SmallMethod(Method):
    weights: ClassVar = {"mer": 1.0}

    def losses(self, outputs, batch):
        return {"mer": nn.functional.cross_entropy(outputs["logits"], batch.label)}


def clips() -> Clips:
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(20) % 2
    frames = torch.randint(0, 256, (20, 1, 3, 10, 10), generator=generator)
    frames[label == 1] //= 2
    return Clips((None,) * 20, frames.to(torch.uint8), torch.zeros(20, 1, 3, 68, 2), None, None, label)


BUDGET = Budget(steps=12, batch=6, crop=8, flip=True, schedule="one_cycle", lr=0.01, weight_decay=0.01, clip_norm=1.0,
                flow_pairs=1, checkpoint_every=5, eval_every=4)


def run(state, stop_at=None, budget=BUDGET):
    torch.manual_seed(1)
    model, data = Small(), clips()
    steps = []

    def evaluate(m):
        steps.append(m.training)
        if stop_at is not None and len(steps) == stop_at:
            raise KeyboardInterrupt
        found = engine.predict(m, SmallMethod(None), data, torch.arange(20), crop=8)
        return [torch.cat([outputs["logits"] for _, _, outputs in found])]

    return model, engine.train(model, SmallMethod(None), data, torch.arange(20), budget, seed=7, state=state,
                               desc="test", evaluate=evaluate)


def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path, capsys):
    whole, (log, evaluations) = run(tmp_path / "a.pt")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b.pt", stop_at=2)  # at step 8; the last state is of step 5
    assert checkpoint.load(tmp_path / "b.pt")["step"] == 5
    resumed, (log_2, evaluations_2) = run(tmp_path / "b.pt")
    assert "continuing at step 5 of 12" in capsys.readouterr().err
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert log == log_2 and [entry["step"] for entry in log] == list(range(1, 13))
    assert [step for step, _ in evaluations] == [step for step, _ in evaluations_2] == [4, 8, 12]
    assert all(torch.equal(a[0], b[0]) for (_, a), (_, b) in zip(evaluations, evaluations_2, strict=True))


def test_evaluation_leaves_the_model_in_training_mode_and_training_learns(tmp_path):
    model, (log, _) = run(tmp_path / "s.pt", budget=Budget(**{**vars(BUDGET), "steps": 120, "eval_every": 40}))
    assert model.training
    assert sum(e["mer"] for e in log[-20:]) < 0.7 * sum(e["mer"] for e in log[:20])


def test_a_loss_that_is_not_finite_stops_the_run_with_its_name_and_step(tmp_path):
    class Broken(SmallMethod):
        def losses(self, outputs, batch):
            return {"mer": outputs["logits"].sum() * float("inf")}

    with pytest.raises(MerError, match=r"test: loss mer = -?(inf|nan) at step 1; .*lower lr"):
        engine.train(Small(), Broken(None), clips(), torch.arange(20), BUDGET, seed=0, state=tmp_path / "s.pt",
                     desc="test")


def test_every_epoch_sees_every_clip_once():
    rows = torch.arange(100, 130)
    seen = torch.cat([engine.epoch_rows(rows, step, 5, seed=3) for step in range(6)])
    assert sorted(seen.tolist()) == rows.tolist()
    assert not torch.equal(seen[:5], engine.epoch_rows(rows, 6, 5, seed=3))
    assert len(engine.epoch_rows(rows[:3], 0, 5, seed=3)) == 3  # fewer clips than a batch


@pytest.mark.parametrize(("clips", "batch", "wanted"), [(30, 5, 18), (34, 5, 18), (4, 5, 3)])
def test_epochs_are_as_many_steps_as_they_fill_batches(clips, batch, wanted):
    train = params.load(ROOT / "params.yaml").train
    asked = replace(train, steps=None, epochs=3, batch=batch)
    assert engine.steps(asked, clips) == wanted and engine.steps(replace(asked, steps=7, epochs=None), clips) == 7
    seen = [engine.epoch_rows(torch.arange(clips), step, batch, seed=3) for step in range(wanted // 3)]
    assert len(torch.cat(seen).unique()) == min(batch * wanted // 3, clips)


def test_the_one_cycle_schedule_rises_to_lr_and_falls_to_zero():
    rates = [engine.learning_rate(step, Budget(**{**vars(BUDGET), "steps": 100})) for step in range(100)]
    assert rates[0] == pytest.approx(0.0004) and max(rates) == rates[30] == pytest.approx(0.01)
    assert rates[-1] < 1e-5 and all(math.isfinite(rate) for rate in rates)
    falling = [engine.learning_rate(s, Budget(**{**vars(BUDGET), "schedule": "exponential"})) for s in range(12)]
    assert falling[0] == 0.01 and falling[6] == pytest.approx(0.01 * 0.987**40) and falling == sorted(falling)[::-1]
    constant = Budget(**{**vars(BUDGET), "schedule": "constant"})
    assert {engine.learning_rate(step, constant) for step in range(12)} == {0.01}


def test_seeds_derived_from_words_differ_and_repeat():
    seeds = {engine.derive(0, "s01"), engine.derive(0, "s02"), engine.derive(1, "s01"), engine.derive(0, "s01", "init")}
    assert len(seeds) == 4 and engine.derive(0, "s01") in seeds
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_checkpoint_has_the_same_bytes_wherever_it_is_written(tmp_path):
    content = {"model": {"w": torch.arange(5.0)}, "classes": ["a", "b"], "step": 3}
    checkpoint.save(tmp_path / "one.pt", content)
    checkpoint.save(tmp_path / "deep" / "two.pt", content)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "deep" / "two.pt").read_bytes()
    assert torch.equal(checkpoint.load(tmp_path / "one.pt")["model"]["w"], content["model"]["w"])
    (tmp_path / "one.pt").write_bytes(b"no")
    with pytest.raises(MerError, match=r"one\.pt: not a readable checkpoint"):
        checkpoint.load(tmp_path / "one.pt")


def head(n):
    return nn.ModuleDict({"body": nn.Linear(3, 4), "fc": nn.Linear(4, n)})


def test_a_classifier_of_another_label_set_is_dropped_or_matched_by_name():
    torch.manual_seed(0)
    source, target = head(3), head(2)
    start = target["fc"].weight.clone()
    pretrained = {"model": source.state_dict(), "classes": ["anger", "happiness", "surprise"]}
    assert checkpoint.load_pretrained(target, pretrained, ("surprise", "others"), "match", "fc") == ["surprise"]
    assert torch.equal(target["body"].weight, source["body"].weight)
    assert torch.equal(target["fc"].weight[0], source["fc"].weight[2])
    assert torch.equal(target["fc"].weight[1], start[1])
    dropped = head(2)
    start = dropped["fc"].weight.clone()
    assert checkpoint.load_pretrained(dropped, pretrained, ("surprise", "others"), "drop", "fc") == []
    assert torch.equal(dropped["fc"].weight, start) and torch.equal(dropped["body"].weight, source["body"].weight)


def test_a_checkpoint_of_another_network_is_refused_by_tensor():
    other = nn.ModuleDict({"body": nn.Linear(3, 5), "fc": nn.Linear(5, 2)})
    pretrained = {"model": other.state_dict(), "classes": ["a", "b"]}
    with pytest.raises(MerError, match=r"tensor body.bias is \(5,\), the model needs \(4,\)"):
        checkpoint.load_pretrained(head(2), pretrained, ("a", "b"), "drop", "fc")
