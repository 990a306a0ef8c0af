"""The doctor tells what is wrong, says what to do, and fails only for what every run needs."""

import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from pipeline import run

from mer import doctor

ROOT = Path(__file__).parents[1]


def levels(checks):
    return [check.level for check in checks]


def test_python_is_one_that_pyproject_admits(tmp_path):
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    for version in ((3, 10, 4), (3, 11, 0), (3, 14, 9), (3, 15, 0), (4, 0, 0)):
        admitted = SpecifierSet(wanted).contains(".".join(map(str, version)))
        assert doctor.python(version, ROOT).level == ("OK" if admitted else "FAIL"), version
    assert "expected 3." in doctor.python((3, 10, 4), ROOT).message
    assert doctor.python((3, 11, 0), tmp_path).level == "FAIL"


def test_missing_and_broken_packages_are_named():
    def load(name):
        if name == "dlib":
            raise ModuleNotFoundError("No module named 'dlib'")
        if name == "h5py":
            raise OSError("libhdf5.so:\ncannot open")
        return types.SimpleNamespace(__version__="1.0") if name == "cv2" else types.SimpleNamespace()

    checks = list(doctor.packages(load))
    told = {check.message.split(":")[0] for check in checks if check.level == "FAIL"}
    assert {"package dlib", "package h5py"} <= told
    assert any("no optflow" in check.message for check in checks)
    assert all("\n" not in check.message for check in checks)
    assert "torch" in checks[-1].message and checks[-1].level == "OK"


def test_two_opencv_wheels():
    assert doctor.one_opencv(["opencv-contrib-python"]).level == "OK"
    assert "opencv-python" in doctor.one_opencv(["opencv-python", "opencv-contrib-python"]).message
    assert doctor.one_opencv([]).level == doctor.one_opencv(["a", "b"]).level == "WARN"


def test_disk_and_cores():
    assert [doctor.disk(gb).level for gb in (0.5, 3, 50)] == ["FAIL", "WARN", "OK"]
    assert [doctor.processors(n).level for n in (1, 2)] == ["WARN", "OK"]


def test_missing_program():
    check = doctor.program("no-such-program-here", "install it")
    assert check.level == "FAIL" and "install it" in check.message


def test_outside_the_project(tmp_path):
    assert levels(doctor.repository(tmp_path)) == ["FAIL", "FAIL"]
    assert "params.yaml: no such file" in next(iter(doctor.settings(tmp_path))).message
    (tmp_path / ".git").mkdir()
    (tmp_path / ".dvc").mkdir()
    assert not list(doctor.repository(tmp_path))


def test_links_are_really_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_cache", lambda root: root)
    check = doctor.links(tmp_path)
    assert check.level == "OK" and "hardlink" in check.message
    assert not list(tmp_path.iterdir()), "something is left behind"

    def refuse(*_):
        raise OSError

    for name in ("link", "symlink"):
        monkeypatch.setattr(doctor.os, name, refuse)
    monkeypatch.setattr(doctor, "_reflink", refuse)
    assert doctor.links(tmp_path).level == "WARN"


def test_bad_parameters_and_missing_model(tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("lambda_f:", "lambda_f: abc", 1))
    first = next(iter(doctor.settings(tmp_path)))
    assert first.level == "FAIL" and "lambda_f = 'abc'" in first.message
    (tmp_path / "params.yaml").write_text(text.replace("model_path:", "model_path: gone.dat", 1))
    assert any(check.level == "FAIL" and "gone.dat" in check.message for check in doctor.settings(tmp_path))


def test_datasets_are_read_by_their_readers(tmp_path):
    assert levels(doctor.datasets(tmp_path / "nothing")) == ["WARN"]
    mine = tmp_path / "mine"
    for i in range(3):
        for k in range(4):
            path = mine / f"frames/clip{i}/img{k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    rows = "".join(f"c{i},s{i},frames/clip{i},0,1,3,25,happiness,\n" for i in range(3))
    (mine / "clips.csv").write_text("clip_id,subject,frames,onset,apex,offset,fps,label,aus\n" + rows)
    (tmp_path / "holiday").mkdir()
    found = {check.message.split(":")[0]: check for check in doctor.datasets(tmp_path)}
    assert found["dataset mine"].level == "OK" and "3 clips of 3 subjects" in found["dataset mine"].message
    assert found["dataset holiday"].level == "WARN" and "not known" in found["dataset holiday"].message


@pytest.mark.skipif(not shutil.which("dvc") or not (ROOT / ".git").exists(), reason="needs DVC on PATH and a checkout")
def test_command_line():
    done = subprocess.run([sys.executable, "-m", "mer.doctor"], cwd=ROOT, text=True, capture_output=True, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) >= 10 and all(line.startswith(("OK    ", "WARN  ", "FAIL  ")) for line in lines), done.stdout
    assert done.returncode == any(line.startswith("FAIL") for line in lines) and not done.stderr


def test_a_failure_sets_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["doctor"])
    for told, code in (("WARN", 0), ("FAIL", 1)):
        checks = [doctor.Check("OK", "a"), doctor.Check(told, "b")]
        monkeypatch.setattr(doctor, "examine", lambda root, checks=checks: checks)
        assert doctor.run() == code
    assert "FAIL  b" in capsys.readouterr().out


def test_a_head_without_a_branch_is_told_with_the_way_back(tmp_path):
    def git(*words):
        done = run(tmp_path, "git", *words)
        assert done.code == 0, done.tail()

    git("init", "--quiet", "--initial-branch", "mine")
    assert doctor.detached(tmp_path) is None  # no commit yet
    git("commit", "--quiet", "--allow-empty", "--message", "one")
    assert doctor.detached(tmp_path) is None
    git("checkout", "--quiet", "--detach")
    found = doctor.detached(tmp_path)
    assert found.level == "WARN" and "`git checkout mine`" in found.message
