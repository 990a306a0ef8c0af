"""`mer doctor --privacy`: what shows a person, and where it would go."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mer import doctor
from mer.base import store
from mer.runs import privacy, tracked

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A run on a real release (by name alone) and on synthetic faces, in a repository with this project's graph."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracked, "cache", lambda root: root / ".dvc/cache")
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = lab\n['remote \"lab\"']\n    url = /the/lab\n")
    for name in ("raw/casme2/sub01/a.jpg", "aligned/casme2/clips.csv", "aligned/synthetic/clips.csv",
                 "dynamic/casme2/clips.csv", "landmarks/casme2/clips.csv"):
        store.write_text(tmp_path / "data" / name, "")
    store.write_json(tmp_path / "data/folds/summary.json",
                     {"datasets": ["casme2"], "pretrained_on": ["synthetic_macro"]})
    store.write_text(tmp_path / "reports/index.html", "page")
    store.write_text(tmp_path / ".dvc/cache/files/md5/ab/c", "")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "add", "-f", "reports/index.html"], check=True)
    return tmp_path


def line_of(lines, path):
    (line,) = [line for line in lines if line.startswith(f"WARN  {path}: ")]
    return line


def test_every_product_of_real_people_and_where_it_goes(project):
    lines = privacy.told(project)
    assert lines[0].startswith("real people: casme2; ")
    assert not any("synthetic" in line for line in lines)
    assert "dvc push: not DVC's; git push: not in Git" in line_of(lines, "data/raw/casme2")
    assert "face crops; dvc push: stays here (push: false)" in line_of(lines, "data/aligned/casme2")
    assert "dvc push: GOES to /the/lab" in line_of(lines, "data/landmarks/casme2")
    assert "dvc push: GOES to /the/lab" in line_of(lines, "data/folds")
    page = line_of(lines, "reports/index.html")
    assert "no face (report.faces: false)" in page and "git push: GOES" in page
    assert "every run's products" in line_of(lines, (project / ".dvc/cache").as_posix())


def test_a_release_that_was_added_goes(project):
    store.write_text(project / "data/raw/casme2.dvc", yaml.safe_dump({"outs": [{"path": "casme2", "md5": "0" * 32}]}))
    assert "dvc push: GOES to /the/lab, as it was added" in line_of(privacy.told(project), "data/raw/casme2")


def test_the_page_says_whether_it_may_hold_faces(project):
    store.write_text(project / "params.yaml", "report: {faces: true}\n")
    assert "faces (report.faces: true)" in line_of(privacy.told(project), "reports/index.html")


def test_synthetic_faces_show_nobody(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store.write_text(tmp_path / "data/raw/synthetic/clips.csv", "")
    monkeypatch.setattr(sys, "argv", ["doctor", "--privacy"])
    assert doctor.run() == 0
    assert capsys.readouterr().out == "OK    all that is here is made of synthetic faces, which show nobody\n"
