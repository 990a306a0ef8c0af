"""`open_run`: one run whatever it is called by, read when asked, and refused when its files are not of one run."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from pipeline import ROOT, commit, environment
from pipeline import run as command
from reporting import fabricate
from test_compare import leave, table

from mer import params
from mer.base import store
from mer.base.errors import MerError
from mer.evaluation import predictions, results
from mer.runs import finished, freshness, networks, open_run
from mer.runs.finished import CONFIG, FORMAT

T = table(1.0, 0)


def summary(**changes) -> dict:
    return {"model": "mol", "class_names": list(fabricate.NAMES), "datasets": ["synthetic"], **changes}


@pytest.fixture
def project(tmp_path) -> Path:
    """A project as a run leaves it, one fold of it kept, under Git."""
    root = leave(tmp_path / "project", T)
    store.write_json(root / "data/folds/summary.json", summary())
    predictions.write(root / "data/folds/0/s01/predictions.csv", T.rows((T.fold == T.fold[0]) & (T.seed == 0)))
    command(root, "git", "init", "--quiet")
    commit(root, "first")
    return root


def test_a_folder_its_data_and_the_workspace_are_the_same_run(project, monkeypatch):
    monkeypatch.chdir(project)
    for name in (project, project / "data", "workspace", ".", "data"):
        run = open_run(name)
        assert run.params == params.load() and run.parameters["train.steps"] == run.params.train.steps
        assert run.metrics == results.read(Path("reports")) and run.classes == fabricate.NAMES
        assert np.array_equal(run.predictions.p, predictions.read("reports/predictions.csv").p)
        (network,) = run.networks
        assert network.fold == T.fold[0] and network.file.resolve() == project / "data/folds/0/s01/model.pt"
        assert run.commit == "" and not run.exported


def test_a_revision_has_the_numbers_of_its_commit_and_no_networks(project, monkeypatch):
    fabricate.set_params(project, lambda_f="0.5")
    store.write_json(project / "reports/metrics.json", {"accuracy": 2.0})
    monkeypatch.chdir(project)
    run = open_run("HEAD")
    assert run.commit == command(project, "git", "rev-parse", "HEAD").out.strip() and run.folder is None
    assert run.metrics["accuracy"] == np.mean(T.where("last").predicted == T.where("last").label)
    assert run.parameters["lambda_f"] != 0.5 == open_run("workspace").parameters["lambda_f"]
    assert len(run.predictions) == len(T) and run.classes == fabricate.NAMES
    command(project, "git", "tag", "data")
    assert open_run("data").folder == project and open_run("tags/data").commit == run.commit
    with pytest.raises(MerError, match="HEAD: a revision, whose networks are in no folder"):
        networks.choose(run)


def test_an_export_knows_what_was_written_into_it_and_has_no_predictions(tmp_path):
    p = params.load(ROOT / "params.yaml")
    described = networks.describe(finished.Run(finished.sources.at(tmp_path), params=p, about=summary()), (), "abc", [],
                                  {"accuracy": 0.5})
    store.write_json(tmp_path / CONFIG, described)
    run = open_run(tmp_path)
    assert described["format"] == FORMAT and run.exported and run.metrics == {"accuracy": 0.5}
    assert run.params.train == p.train and run.params.landmarks.model_path is None
    with pytest.raises(MerError, match="an export, which holds no predictions"):
        print(run.predictions)


def test_own_datasets_are_looked_up_below_the_runs_folder(tmp_path, monkeypatch):
    root = leave(tmp_path / "elsewhere", T, datasets="[mine]", classes="all")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MerError, match="'mine' is not known.*elsewhere/data/raw/mine/clips.csv"):
        print(open_run("elsewhere").params)
    store.write_text(root / "data/raw/mine/clips.csv", "clip_id\n")
    assert open_run("elsewhere").params.datasets == ("mine",)


def test_a_summary_of_other_parameters_is_refused_but_not_by_who_reads_label_stores_alone(project):
    store.write_json(project / "data/folds/summary.json", summary(seeds=[7]))
    with pytest.raises(MerError, match=r"params.yaml: seeds = \[0, 1\]; the finished run has \[7\]; put it back"):
        open_run(project)
    assert open_run(project, freshness.LABELS).params.seeds == (0, 1)


@pytest.mark.parametrize(("then", "message"), [
    ({"align@synthetic": {"align": {"size": 1}}}, "align.size = 2, but the finished run was made with 1 .*align@synth"),
    ({"train": {"lr": 0.1}}, r"lr = 0.2, but the finished run was made with 0.1 \(dvc.lock, stage train\)"),
    ({"align@synthetic": {"align": {}}}, "align.size = 2, but the finished run was made without that key "),
    ({"train": {"batch": {}}}, r"batch.size = None, but the finished run was made without that key \("),
    ({"train": {"batch": {"size": None, "old": None}}}, "batch.old is not there, but the finished run was made "
     "with None "),
    ({"train": {"lr": 0.2}, "evaluate": {"lr": 0.1}, "report": {"lr": 0.1}}, None)])
def test_one_rule_of_texts(then, message):
    now = {"lr": 0.2, "align": {"size": 2}, "batch": {"size": None}}
    lock = yaml.safe_dump({"stages": {name: {"params": {"params.yaml": values}} for name, values in then.items()}})
    if message is None:
        freshness.refuse(yaml.safe_dump(now), lock)
    else:
        with pytest.raises(MerError, match=message):
            freshness.refuse(yaml.safe_dump(now), lock)
    with pytest.raises(MerError, match="params.yaml was changed after reports/metrics.json was made"):
        freshness.refuse(yaml.safe_dump(now), lock, metrics=json.dumps({}))
    freshness.refuse(yaml.safe_dump(now), None)
    written = {"reports/metrics.json": "{}", "reports/details.json": "[]"}
    lock = yaml.safe_dump({"stages": {"report": {
        "params": {"params.yaml": now}, "deps": [{"path": path, "md5": hashlib.md5(text.encode()).hexdigest()}
                                                 for path, text in written.items()]}}})
    freshness.refuse(yaml.safe_dump(now), lock, metrics="{}", details="[]")
    with pytest.raises(MerError, match=r"reports/details.json is not the one in dvc.lock; run `dvc repro`"):
        freshness.refuse(yaml.safe_dump(now), lock, metrics="{}", details="{}")


def test_the_room_is_imported_without_the_packages_that_take_seconds(tmp_path):
    code = "import sys, mer.runs; print(sorted({'torch', 'dvc', 'numpy', 'h5py'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env=environment(tmp_path), check=True)
    assert done.stdout == "[]\n"
