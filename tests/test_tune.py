"""python -m mer.tune: one knob chosen on validation subjects, the others left out, and what is refused."""

import contextlib
import csv
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from pipeline import ROOT, write_params
from training import test_folds as tools

from mer import params
from mer.base import store
from mer.evaluation import predictions
from mer.tune import with_value


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Label stores of nine clips of three subjects and knobs that train for two steps."""
    root = tmp_path_factory.mktemp("tune")
    (root / "data/raw/own").mkdir(parents=True)
    (root / "data/raw/own/clips.csv").write_text("clip_id\n")
    write_params(root / "params.yaml", {
        "datasets": ["own"], "classes": "all", "sampling": {"t": tools.T}, "mol": {"width": 0.03125, "tasks": ["mer"]},
        "pretrain": {"sources": []}, "train": {**tools.BUDGET, "workers": 1}})
    (root / "mer").symlink_to(ROOT / "mer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        p = params.load()
        tools.write_stores(root / "data", p)
    path = root / "data/aligned/own/summary.json"
    about = {"release": "plain", "sets": {"all": {
        "classes": list(tools.WORDS), "map": tools.LABELS.map, "source": "all", "note": "", "excluded_by_set": []}}}
    store.write_json(path, store.read_json(path) | {"index": about})
    return root


def tune(root, *words):
    return subprocess.run([sys.executable, "-m", "mer.tune", *words], cwd=root, capture_output=True, text=True,
                          timeout=300)


def test_every_value_is_tried_on_the_same_subjects_and_the_best_is_told(project):
    done = tune(project, "mol.k=1,2", "--subjects", "1", "--draws", "2")
    assert done.returncode == 0, done.stderr
    with open(project / "reports/tune/mol.k.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["mol.k"] for row in rows] == ["1", "2"]
    assert rows[0]["validation_clips"] == rows[1]["validation_clips"]
    assert rows[0]["log_likelihood"] != rows[1]["log_likelihood"]
    best = max(rows, key=lambda row: float(row["log_likelihood"]))["mol.k"]
    assert f"dvc exp run -S mol.k={best}" in done.stdout and "chance 0.333" in done.stdout
    before = (project / "reports/tune/mol.k.csv").read_bytes()
    assert tune(project, "mol.k=1,2", "--subjects", "1", "--draws", "2").returncode == 0
    assert (project / "reports/tune/mol.k.csv").read_bytes() == before


def rows_of(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_inside_a_fold_its_tested_subject_takes_no_part(project, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(project, other, symlinks=True)
    with contextlib.chdir(other):  # other pictures and labels of s02, the same of all others
        about = store.read_json("data/aligned/own/summary.json")["index"]
        tools.write_stores(other / "data", params.load(), other_subject="own/s02")
        store.write_json("data/aligned/own/summary.json", store.read_json("data/aligned/own/summary.json")
                         | {"index": about})
    found = []
    for root in (project, other):
        done = tune(root, "mol.k=1,2", "--inside", "--subjects", "1")
        assert done.returncode == 0, done.stderr
        found.append({row["fold"]: row for row in rows_of(root / "reports/tune/mol.k-inside.csv")})
    before, after = found
    assert list(before) == ["own/s01", "own/s02", "own/s03"]
    keys = ("validation_subjects", "log_likelihood_1", "log_likelihood_2", "chosen")
    assert [before["own/s02"][key] for key in keys] == [after["own/s02"][key] for key in keys]
    assert all(before[name]["log_likelihood_1"] != after[name]["log_likelihood_1"] for name in ("own/s01", "own/s03"))
    for name, row in before.items():
        assert row["validation_subjects"] not in (name, "") and row["log_likelihood_1"] != row["log_likelihood_2"]
        assert row["chosen"] == max("12", key=lambda value, row=row: float(row[f"log_likelihood_{value}"]))
    tables = [predictions.read(root / "reports/tune/mol.k-inside-predictions.csv") for root in (project, other)]
    mine = [t.rows(t.subject == "own/s02") for t in tables]
    assert (mine[0].p != mine[1].p).any(), "it is tested on them"
    t = tables[0]
    assert len(t) == 8 and (t.fold == t.subject).all()
    assert sum(int(row["right"]) for row in before.values()) == int((t.predicted == t.label).sum())
    assert sum(int(row["tested_clips"]) for row in before.values()) == len(t)


def test_inside_tells_the_choices_the_accuracy_and_the_papers_rule(project):
    done = tune(project, "mol.k=1,2", "--inside", "--subjects", "1")
    rows = rows_of(project / "reports/tune/mol.k-inside.csv")
    t = predictions.read(project / "reports/tune/mol.k-inside-predictions.csv")
    counted = ", ".join(f"{value} in {n}" for value in "12" if (n := [row["chosen"] for row in rows].count(value)))
    assert f"chosen inside the folds: {counted}\n" in done.stdout
    assert f"fold's choice: {np.mean(t.predicted == t.label):.3f} [" in done.stdout and "8 clips, seed 0" in done.stdout
    assert re.search(r"of all folds together: dvc exp run -S mol.k=[12]\n", done.stdout)
    before = (project / "reports/tune/mol.k-inside.csv").read_bytes()
    assert tune(project, "mol.k=1,2", "--inside", "--subjects", "1").returncode == 0
    assert (project / "reports/tune/mol.k-inside.csv").read_bytes() == before


def test_epochs_are_tried_in_place_of_steps():
    tried = with_value(params.load(ROOT / "params.yaml"), "train.epochs", "3")
    assert (tried.train.steps, tried.train.epochs) == (None, 3)


@pytest.mark.parametrize(("stage", "locked", "message"), [
    ("align@own", {"align.size": 1}, "but the finished run was made with 1 (dvc.lock, stage align@own); put it back"),
    ("train", {"lr": 9.0}, "--leave-out own/s09; expected of")])  # refused for the subject only
def test_label_stores_of_another_alignment_are_refused_and_another_training_is_not(project, stage, locked, message):
    lock = project / "dvc.lock"
    lock.write_text(yaml.safe_dump({"stages": {stage: {"params": {"params.yaml": locked}}}}))
    done = tune(project, "mol.k=1,2", "--leave-out", "own/s09")
    lock.unlink()
    assert done.returncode == 2 and message in done.stderr, done.stderr


@pytest.mark.parametrize(("words", "message"), [
    (["mol.k"], "tune: 'mol.k'; expected KEY=V1,V2,... with two values or more"),
    (["mol.k=4"], "with two values or more"),
    (["mol.q=4,5"], "mol.q is no knob of params.yaml"),
    (["mol=4,5"], "mol is no knob of params.yaml"),
    (["train.epochs=4,null"], "tune: train.epochs = null; expected a number of epochs"),
    (["mol.k=4,many"], "mol.k = 'many'; expected a whole number"),
    (["mol.k=4,9999"], "mol.k = 9999: expected 1 to"),
    (["mol.k=1,2", "--leave-out", "own/s09"], "--leave-out own/s09; expected of own/s01, own/s02, own/s03"),
    (["mol.k=1,2", "--inside", "--draws", "2"], "--inside draws once a fold; leave --draws out"),
    (["mol.k=1,2", "--inside", "--subjects", "2"], "at least one must be left to train on"),
    (["mol.k=1,2", "--subjects", "3"], "at least one must be left to train on"),
])
def test_what_cannot_be_tuned_is_refused(project, words, message):
    done = tune(project, *words)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
