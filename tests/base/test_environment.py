"""Products know which versions made them, and nobody mixes them unawares."""

import ast
from pathlib import Path

import pytest

from mer import doctor
from mer.base import environment, scratch, store
from mer.base.graph import PAGES, closure
from mer.labels import records

ROOT = Path(__file__).parents[2]
NAMES = {module: package for package, module in environment.MODULES.items()}
NOT_IMPORTED = {"face_recognition_models", "pillow"}  # located as a folder; used by matplotlib
DECIDES_NOTHING = {  # imported beside what a stage needs of a module
    "index": {"h5py"}, "quality": {"torch"}, "pretrain": {"opencv-contrib-python"},
    "report": {"torch", "h5py"}}


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in names | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}}


@pytest.mark.parametrize("stage", environment.DECIDE)
def test_the_packages_that_decide_a_stage_are_those_that_its_code_imports(stage):
    found = [path.replace("${model}", "*") for path in closure(f"stages.{stage}", ROOT)]
    files = {file for path in found for pattern in (path, f"{path}/**/*") for file in ROOT.glob(pattern)
             if file.suffix == ".py" and file.name not in PAGES}
    used = {NAMES[name] for file in files for name in imports(file) if name in NAMES}
    assert set(environment.DECIDE[stage]) - NOT_IMPORTED <= used
    assert used - set(environment.DECIDE[stage]) == DECIDES_NOTHING.get(stage, set())


def test_every_stage_is_known():
    others = {"__init__", "check", "code"}  # make no product
    assert set(environment.DECIDE) == {path.stem for path in (ROOT / "stages").glob("*.py")} - others


def test_a_store_says_what_made_it_and_what_was_before(tmp_path):
    before = {"made_with": {"index@own": {"openpyxl": "1"}}}
    told = environment.made_with("flow", "own", before)
    assert told == before["made_with"] | {"flow@own": environment.versions("flow")}
    assert set(told["flow@own"]) == set(environment.DECIDE["flow"]) and all(told["flow@own"].values())
    summary = records.write(tmp_path, "flow", [], {}, attrs={}, summary={"dataset": "own"},
                            before={"excluded": [], "index": {}, "made_with": told})
    assert summary["made_with"] == store.read_json(tmp_path / "summary.json")["made_with"] == told


def other_opencv(monkeypatch, version: str = "4.9.0.80") -> None:
    """As if another OpenCV were installed; below what pyproject.toml ever admitted, so that it is another anywhere."""
    real = environment.installed
    monkeypatch.setattr(environment, "installed",
                        lambda package: version if package in environment.OPENCV else real(package))


def test_a_stage_says_in_one_line_that_what_it_reuses_was_made_by_another_opencv(monkeypatch, capsys):
    before = {"made_with": environment.made_with("align", "own")}
    environment.tell("flow", [before])
    assert capsys.readouterr().err == ""
    other_opencv(monkeypatch)
    environment.tell("flow", [before])
    line = capsys.readouterr().err
    assert line.startswith("flow: another environment: opencv-contrib-python 4.9.0.80 here, ")
    assert "when align@own was made" in line and line.count("\n") == 1


def test_doctor_names_products_of_other_versions_and_products_of_several(monkeypatch, tmp_path):
    assert doctor.versions(tmp_path).level == "OK"
    mine = environment.made_with("align", "own")
    store.write_json(tmp_path / "data/aligned/own/summary.json", {"made_with": mine})
    assert doctor.versions(tmp_path).level == "OK"
    other_opencv(monkeypatch)
    told = doctor.versions(tmp_path)
    assert told.level == "WARN" and "opencv-contrib-python 4.9.0.80 here" in told.message
    store.write_json(tmp_path / "data/flow/own/summary.json", {"made_with": environment.made_with("flow", "own", {
        "made_with": mine})})
    told = doctor.versions(tmp_path)
    assert told.level == "WARN" and "4.9.0.80 (flow@own)" in told.message and "(align@own)" in told.message


def test_a_restart_under_other_versions_begins_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    first = scratch.scratch_dir("flow", 1)
    assert scratch.scratch_dir("flow", 1) == first
    other_opencv(monkeypatch)
    assert scratch.scratch_dir("flow", 1) != first


def test_mixed_tells_the_versions_and_their_stages():
    recorded = {"a": {"numpy": "1", "torch": "2"}, "b": {"numpy": "3"}, "c": {"numpy": "1"}}
    assert environment.mixed(recorded) == {"numpy": {"1": ["a", "c"], "3": ["b"]}}
