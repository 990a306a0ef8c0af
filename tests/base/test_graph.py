"""A restart's key is made of what the graph declares: all code that a stage reaches, its parameters, its data."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mer.base import graph

ROOT = Path(__file__).parents[2]
KEPT = ("synthesize", "landmarks", "align", "flow", "dynamic", "latents", "pretrain", "train")  # stages with a key


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The project's code somewhere else, where it may be edited."""
    for name in ("mer", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(graph, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("stage", "model"), [*((name, "mol") for name in KEPT), ("train", "fdp"), ("train", "ma2mi")])
def test_an_edit_of_any_file_of_a_stage_gives_a_new_key(copied, stage, model):
    key = graph.code.__wrapped__
    before = key(stage, model)
    names = graph.files(f"stages.{stage}", copied, model)
    assert len(names) > 10 and f"stages/{stage}.py" in names
    for name in names:
        text = (copied / name).read_bytes()
        (copied / name).write_bytes(text + b"\n# edited\n")
        assert key(stage, model) != before, name
        (copied / name).write_bytes(text)
    assert key(stage, model) == before


@pytest.mark.parametrize("stage", KEPT)
def test_the_key_is_of_the_declared_code(stage):
    """Every declared file is in the key of some model, and nothing that is not declared."""
    declared, all_names = graph.closure(f"stages.{stage}", ROOT), set()
    for model in graph.models(ROOT):
        names = graph.files(f"stages.{stage}", ROOT, model)
        mine = {path.replace("${model}", model) for path in declared}
        assert [name for name in names if name not in mine
                and not any(name.startswith(f"{path}/") for path in mine)] == []
        all_names |= set(names)
    assert {path for path in declared if "${model}" not in path} - all_names == set()


def test_training_sees_the_rule_that_samples_frames():
    """It once did not: an edit of it handed out the network of before."""
    assert "mer/labels/sampling.py" in graph.files("stages.pretrain", ROOT, "mol")
    assert "mer/models/fdp/network.py" not in graph.files("stages.pretrain", ROOT, "mol")


def test_parameters_and_data_are_those_that_the_graph_declares(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("""
stages:
  train:
    cmd: python -m stages.train
    deps: [mer/params.py, data/aligned, 'data/${model}.txt']
    params: [seeds, lr, '${model}', profile, 'profiles.${model}']
  align:
    foreach: [a]
    do:
      cmd: python -m stages.align ${item}
      deps: ['data/aligned/${item}']
      params: [lr, profile, 'profiles.${model}']
""")
    for name in ("a", "b"):
        Path(f"data/aligned/{name}").mkdir(parents=True)
        Path(f"data/aligned/{name}/clips.csv").write_text(name)
    Path("data/mol.txt").write_text("x")
    p = SimpleNamespace(model="mol", mol=4, lr=0.1, seeds=[0])
    found = dict(graph.inputs("train", p, of=("a",), besides=("seeds",)))
    assert list(found) == ["lr", "mol", "data/aligned/a", "data/mol.txt"] and found["mol"] == 4
    assert list(dict(graph.inputs("train", p))) == ["seeds", "lr", "mol", "data/aligned", "data/mol.txt"]
    own = SimpleNamespace(lr=0.1)  # a label stage knows no model
    assert list(dict(graph.inputs("align", own, item="b"))) == ["lr", "data/aligned/b"]
    Path("data/aligned/b/clips.csv").write_text("changed")
    assert dict(graph.inputs("train", p, of=("a",), besides=("seeds",))) == found
    Path("data/aligned/a/clips.csv").write_text("changed")
    assert dict(graph.inputs("train", p, of=("a",), besides=("seeds",))) != found
