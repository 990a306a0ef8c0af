"""`mer run`: values are looked at before DVC sees them, and what is right is handed on as it was typed."""

import shutil
import sys
from pathlib import Path

import dvc.cli
import pytest

from mer import run
from mer.base.errors import MerError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def call(tmp_path, monkeypatch):
    """The command line in a folder with params.yaml, DVC replaced; what DVC was told."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data/raw/mine").mkdir(parents=True)
    (tmp_path / "data/raw/mine/clips.csv").touch()
    monkeypatch.chdir(tmp_path)
    told = []
    monkeypatch.setattr(dvc.cli, "main", lambda words: told.append(words) or 0)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["mer run", *words])
        assert run.run() == 0
        return told[-1]

    call.told = told
    return call


@pytest.mark.parametrize(("setting", "message"), [
    ("model=MOL", "model = 'MOL'; expected one of mol, fdp, ma2mi, offapexnet; did you mean `mol`?"),
    ("profile=Paper", "profile = 'Paper'; expected one of demo, paper, released; did you mean `paper`?"),
    ("datasets=[casmee]", "'casmee' is not known; did you mean 'casme'?"),
    ("datasets=[Mine]", "'Mine' is not known; did you mean 'mine'?"),
    ("datasets=mine", "datasets = 'mine'; expected a list"),
    ("datasets=[smic]", "data/raw/smic does not exist; put it there, or link it"),
    ("train.stepz=4", "-S train.stepz=4: train.stepz is no key of params.yaml; did you mean `train.steps`?"),
    ("train.steps=many", "train.steps = 'many'; expected a whole number from 0"),
    ("lr=0.1,-1", "lr = -1; expected a number"),  # the second of two experiments
    ("train=4", "train is no key of params.yaml"),
    ("foo", "-S foo: expected key=value"),
    ("seeds=[[", "-S seeds=[[: no viable alternative at input")])
def test_a_value_that_makes_no_sense_never_reaches_dvc(call, setting, message):
    before = Path("params.yaml").read_bytes()
    with pytest.raises(MerError) as error:
        call("-S", "lambda_m=0", "-S", setting)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert call.told == [] and Path("params.yaml").read_bytes() == before


def test_what_is_right_is_handed_on_with_dvcs_own_options(call):
    before = Path("params.yaml").read_bytes()
    assert call() == ["exp", "run"]
    assert call("--name", "x", "-S", "datasets=[mine]", "--set-param", "classes=all", "-f", "train") == [
        "exp", "run", "--name", "x", "-f", "train", "-S", "datasets=[mine]", "-S", "classes=all"]
    assert call("--queue", "-S", "lr=0.1,0.01")[-1] == "lr=0.1,0.01"
    assert Path("params.yaml").read_bytes() == before
