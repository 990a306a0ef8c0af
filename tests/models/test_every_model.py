"""What must hold of every folder of mer/models, found by its name: a new model is tested by being there.

Its small.yaml names the settings that make it tiny; what is its own is tested in tests/models/<name>/.
"""

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pipeline import write_params
from training import test_folds as tools

from mer import params
from mer.base import store
from mer.base.graph import models
from mer.evaluation import measures, outputs, predictions
from mer.reporting import clips_drawn
from mer.training import checkpoint, engine, folds, pretrain
from mer.training import task as tasks

ROOT = Path(__file__).parents[2]
FOLDERS = {name: ROOT / "mer/models" / name for name in models(ROOT)}
BUDGET = {**tools.BUDGET, "batch": 4}
TESTED = "own/s02"


@pytest.fixture(scope="module", params=FOLDERS)
def p(request, tmp_path_factory) -> params.Params:
    """The parameters of a model's tiny run."""
    small = yaml.safe_load((FOLDERS[request.param] / "small.yaml").read_text(encoding="utf-8"))
    path = tmp_path_factory.mktemp(request.param) / "params.yaml"
    write_params(path, {"selection": ["last"], "pretrain": {"sources": ["synthetic_macro"], **BUDGET}, "train": BUDGET,
                        "model": request.param, "lr": 0.001, **small})
    return params.load(path)


@pytest.fixture(scope="module")
def data(p, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    tools.write_stores(folder, p)
    return folder


@pytest.fixture(scope="module")
def made(p, data) -> Path:
    """One trained fold, where a run has it."""
    return tools.run(tools.plan_of(p, data, data / "folds"), subject=TESTED)


def started(p, data, scratch):
    """A plan, its clips, the rows of the training clips of a fold, a fresh network."""
    plan = tools.plan_of(p, data, scratch)
    clips = plan.task.load(data, plan.entries, "cpu")
    rows = torch.from_numpy(tools.fold_of(plan, TESTED).train)
    return plan, clips, rows, folds.start_model(plan, clips, rows, 0, "x")[0]


@pytest.mark.parametrize("name", FOLDERS)
def test_its_folder_is_whole(name):
    """What mer/models/README.md asks for."""
    there = {path.name for path in FOLDERS[name].iterdir()}
    assert {"__init__.py", "config.py", "network.py", "task.py", "pictures.py", "paper.yaml", "small.yaml",
            "README.md"} <= there
    written = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    config = params.CONFIGS[name]
    fields = {field.name for field in dataclasses.fields(config.Config)} - set(getattr(config, "SHARED", {}))
    assert set(written[name]) == fields
    assert {"demo", "paper"} <= set(written["profiles"][name])


def test_gradients_reach_every_parameter_that_is_trained(p, data, tmp_path):
    plan, clips, rows, model = started(p, data, tmp_path)
    method = plan.task
    batch = method.draw(clips, rows, engine.budget(p, p.train, len(rows)), torch.Generator().manual_seed(0))
    losses = method.losses(method.forward(model.train(), batch), batch)
    assert set(losses) <= set(method.weights)
    sum(method.weights[name] * value for name, value in losses.items()).backward()
    trained = {name: w for name, w in model.named_parameters() if w.requires_grad}
    assert trained
    assert [name for name, w in trained.items() if w.grad is None or not torch.isfinite(w.grad).all()] == []


def test_clips_together_and_one_by_one_give_the_same(p, data, tmp_path):
    plan, clips, _, model = started(p, data, tmp_path)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():  # some start at zero
            weight += 0.02 * torch.randn_like(weight)
    together = folds.probabilities(plan, model, clips, torch.arange(len(clips)))
    alone = torch.cat([folds.probabilities(plan, model, clips, torch.tensor([i])) for i in range(len(clips))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert len({tuple(row) for row in together.tolist()}) > 1  # it looks at the clips


def test_nothing_of_the_tested_subject_reaches_its_training(p, data, made, tmp_path):
    tools.write_stores(tmp_path, p, other_subject=TESTED)
    plan = tools.plan_of(p, tmp_path, tmp_path / "folds")
    turned = tuple(replace(e, label=(e.label + 1) % 3) if e.subject == TESTED else e for e in plan.entries)
    other = tools.run(replace(plan, entries=turned), subject=TESTED)
    assert (other / "model.pt").read_bytes() == (made / "model.pt").read_bytes()
    assert (other / "predictions.csv").read_bytes() != (made / "predictions.csv").read_bytes()


def test_a_checkpoint_read_back_says_the_same(p, data, made, tmp_path):
    plan, clips, _, model = started(p, data, tmp_path)
    rows = torch.from_numpy(tools.fold_of(plan, TESTED).test)
    fresh = folds.probabilities(plan, model, clips, rows)
    model.load_state_dict(checkpoint.load(made / "model.pt")["model"])
    table = predictions.read(made / "predictions.csv")
    again = folds.predictions_of(clips, rows, folds.probabilities(plan, model, clips, rows), TESTED, 0, "last")
    order = [again.clip_id.tolist().index(name) for name in table.clip_id]
    np.testing.assert_allclose(again.p[order], table.p, atol=1e-6)
    assert not np.allclose(fresh.numpy(), again.p, atol=1e-6)


def test_its_errors_are_columns_that_it_declares(p, made):
    table = predictions.read(made / "predictions.csv")
    found = {name for name, values in table.aux.items() if np.isfinite(values).any()}
    mine = {m.column for m in getattr(params.CONFIGS[p.model], "MEASURES", ()) if m.column}
    assert found == mine and mine <= set(measures.columns())


def test_its_pictures_are_drawn(p, data, made, tmp_path):
    table = predictions.read(made / "predictions.csv")
    kept = outputs.read(data, 0, TESTED)
    assert set(kept) == set(table.clip_id) and all(kept.values())
    count = clips_drawn.draw(p.model, table, data, tmp_path, 2, True, crop=p.train.crop, names=tools.WORDS,
                             sampling={"t": p.sampling.t, "span": p.sampling.span, "seed": p.sampling.seed},
                             cfg=getattr(p, p.model))
    assert count == 2 and {"clip_1.png", "clip_2.png"} <= {path.name for path in tmp_path.iterdir()}


def test_it_is_pretrained_and_carried_over(p, data, tmp_path):
    pretrain.run(tools.plan_of(p, data, tmp_path / "pretraining"), 0, tmp_path / "pretrained")
    before = checkpoint.load(tmp_path / "pretrained/0/model.pt")["model"]
    still = replace(p, train=replace(p.train, steps=0))
    plan = tools.plan_of(still, data, tmp_path / "still", pretrained=tmp_path / "pretrained")
    after = checkpoint.load(tools.run(plan, subject=TESTED) / "model.pt")["model"]
    head = tasks.task(p).head_key
    trunk = [name for name, w in after.items() if name in before and w.dim() > 1 and not name.startswith(head)]
    assert trunk and all(torch.equal(after[name], before[name]) for name in trunk)


def test_its_tables_have_a_book(p):
    book = yaml.safe_load((FOLDERS[p.model] / "paper.yaml").read_text(encoding="utf-8"))
    assert book["paper"]["short"] and book["defaults"]["model"] == p.model
    assert any("own" in row for spec in book["tables"].values() for group in spec.get("groups", ())
               for row in group["rows"])


def files_of(p) -> set[str]:
    """The files of a finished fold."""
    task = tasks.task(p)
    shares = task.trunk(task.build(len(tools.WORDS)))  # what several tasks share: their gradients are measured there
    return {*tools.FILES, *(["gradients.csv"] if shares else [])}


def test_it_leaves_no_half_written_file(p, made):
    assert {path.name for path in made.iterdir()} == files_of(p)
    assert store.read_shard(made / "outputs.h5")[1]["selection"] == "last"
