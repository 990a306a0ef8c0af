"""A release is two files in readers/: what it declares there is known everywhere, and no other file names it."""

import dataclasses
import doctest
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from raw_releases.plain import row, write_plain

from mer import datasets, params
from mer.base.errors import MerError
from mer.base.graph import closure
from mer.datasets import class_sets, releases, table
from mer.datasets.index import build_index
from stages import check

ROOT = Path(__file__).parents[2]
HEAVY = ("pandas", "openpyxl", "torch", "numpy", "h5py", "cv2")
READER = '''"""A miniature: the plain layout under a name of its own."""

from mer.datasets.readers import plain

DATASETS = {"fresh": "micro"}
VARIANTS = ("first", "second")
SIGNS = "fresh_faces"


def read(root, *, dataset, variant):
    return plain.read(root / variant, dataset=dataset)
'''
SETS = """fresh:
  from: FRESH, a university
  reads: clips.csv of each variant
  labels: [joy, fear]
  sets:
    '2':
      classes: [joy, fear]
      source: a paper
      expected: {plain: {counts: [1, 1], subjects: 2}}
"""
ASKED = """
import json, sys
from mer import params
from mer.datasets import class_sets, read, releases
from mer.datasets.__main__ import guess
from pathlib import Path
releases.check_name("fresh")
p = params.load()
print(json.dumps({
    "clips": [clip.clip_id for clip in read("fresh", sys.argv[1]).clips],
    "second": [clip.clip_id for clip in read("fresh", sys.argv[1], variant="second").clips],
    "classes": class_sets.label_set(p.datasets[0], p.classes).names, "index": p.index.fresh,
    "guess": guess(Path(sys.argv[1]))}))
"""


def python(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": str(folder), "PATH": ""})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def copied(tmp_path):
    """The project's code somewhere else, with one release more."""
    root = tmp_path / "project"
    for name in ("mer", "stages"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, root)
    (root / "mer/datasets/readers/fresh.py").write_text(READER)
    (root / "mer/datasets/readers/fresh.yaml").write_text(SETS)
    return root


def test_a_release_is_added_by_its_two_files_alone(copied, tmp_path):
    raw = tmp_path / "raw"
    write_plain(raw / "first", [row("a"), row("b", "p2", label="fear")])
    write_plain(raw / "second", [row("c")])
    (raw / "fresh_faces").mkdir()
    values = yaml.safe_load((copied / "params.yaml").read_text())
    (copied / "params.yaml").write_text(yaml.safe_dump(values | {"datasets": ["fresh"], "classes": "2"}))
    found = json.loads(python(copied, "-c", ASKED, str(raw)))
    assert found == {"clips": ["a", "b"], "second": ["c"], "classes": ["joy", "fear"], "index": "first",
                     "guess": "fresh"}
    rows = python(copied, "-m", "mer.datasets", "table").splitlines()
    assert ("| `fresh` | FRESH, a university | clips.csv of each variant; which: `index.fresh` (first, second) | 2, 2 "
            "| `2` (2) |") in rows and len(rows) == len(table.markdown().splitlines()) + 1
    assert python(copied, "-m", "stages.code", "--check") == "dvc.yaml: 0 differences\n"
    python(copied, "-m", "stages.check")
    assert {path.stem for path in (copied / "data/check/readers").iterdir()} == {"fresh", "synthetic_macro"}


def test_only_check_depends_on_readers_and_label_sets():
    stages = [path.stem for path in (ROOT / "stages").glob("*.py") if path.stem not in ("__init__", "code")]
    readers = {name for name in stages for path in closure(f"stages.{name}", ROOT) if "datasets/readers" in path}
    assert readers == {"check"}
    shared = closure("stages.index", ROOT)
    assert {f"mer/datasets/{name}.py" for name in ("rules", "tree", "workbook", "clips", "class_sets")} <= shared
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert "data/check/readers/${item}.json" in graph["index"]["do"]["deps"]


def test_an_edit_of_a_reader_or_its_sets_changes_what_is_told_of_its_datasets_alone(tmp_path, monkeypatch):
    shutil.copytree(releases.READERS, tmp_path / "readers")
    monkeypatch.setattr(releases, "READERS", tmp_path / "readers")
    names = [*releases.known(), "mine"]
    before = {name: releases.described(name) for name in names}
    assert list(before["mine"]) == ["plain.py"] and list(before["mmew_macro"]) == ["mmew.py", "mmew.yaml"]
    for file, touched in (("mmew.py", {"mmew", "mmew_macro"}), ("casme2.yaml", {"casme2"}),
                          ("plain.yaml", {"synthetic", "synthetic_macro"})):
        path = tmp_path / "readers" / file
        text = path.read_bytes()
        path.write_bytes(text + b"# edited\n")
        assert {name for name in names if releases.described(name) != before[name]} == touched
        path.write_bytes(text)
    (tmp_path / "readers/smic.yaml").unlink()
    with pytest.raises(MerError, match=r"smic\.yaml cannot be read"):
        releases.described("smic")


def test_check_tells_what_reads_the_datasets_of_the_run(tmp_path, monkeypatch):
    p = params.load(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    for names in (("synthetic", "casme2"), ("synthetic",)):
        check.write(dataclasses.replace(p, datasets=names))
        told = {path.stem: json.loads(path.read_text()) for path in Path("data/check/readers").iterdir()}
        assert told == {name: releases.described(name) for name in (*names, "synthetic_macro")}


def test_every_reader_has_label_sets_for_what_it_declares_and_no_others():
    readers = {release.reader for release in releases.known().values()}
    assert readers == {path.stem for path in releases.READERS.glob("*.yaml")} and len(readers) > 10
    for reader in readers:
        told = yaml.safe_load((releases.READERS / f"{reader}.yaml").read_text(encoding="utf-8"))
        assert list(told) == [name for name, release in releases.known().items() if release.reader == reader]
    assert {release.role for release in releases.known().values()} == {"micro", "macro", "long"}


def test_a_release_in_several_datasets_declares_whose_people_each_shows():
    for name, release in releases.known().items():
        first = next(other for other, entry in releases.known().items() if entry.reader == release.reader)
        if release.reader != "plain":  # rendered faces: other people in each
            assert releases.people(name) == releases.people(first), name
            assert releases.people(name) == name or not releases.known()[releases.people(name)].people
        if name.endswith("_macro") and release.reader != "plain":
            assert releases.people(name) == name.removesuffix("_macro")
    assert releases.people("samm_long") == "samm" and releases.people("synthetic_macro") == "synthetic_macro"
    assert releases.people("lab_macro") == releases.people("lab") == "lab"


def test_a_dataset_that_its_readers_sets_lack_is_told(tmp_path, monkeypatch):
    (tmp_path / "samm.yaml").write_text("sam: {}")
    monkeypatch.setattr(releases, "READERS", tmp_path)
    with pytest.raises(MerError, match=r"samm\.yaml: key `samm` is missing"):
        class_sets.released.__wrapped__("samm")


def test_params_yaml_has_a_key_for_every_release_with_variants():
    section = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["index"]
    assert {name for name, release in releases.known().items() if release.variants} | {
        "accept_counts", "images"} == set(section)


def test_the_document_has_the_table_of_the_releases():
    assert f"\n\n{table.markdown()}\n\n" in (ROOT / "data/README.md").read_text(encoding="utf-8")


def test_what_a_store_carries_on_gives_the_same_classes_also_to_clips_that_a_set_leaves_out(tmp_path):
    mine = write_plain(tmp_path / "raw/mine", [row("a"), row("b", label="fear"), row("c")])
    (mine / "classes.yaml").write_text("sets: {2: {classes: [joy, fear], exclude: {plain: {c: camera moved}}}}")
    clips, summary = build_index("mine", mine)
    (tmp_path / "aligned/mine").mkdir(parents=True)
    (tmp_path / "aligned/mine/summary.json").write_text(json.dumps({"index": summary}))
    found = class_sets.label_set("mine", "2", tmp_path / "aligned")
    assert [class_sets.class_index(clip, found) for clip in clips] == [0, 1, None]


def test_the_examples_of_the_documentation_run():
    done = doctest.testmod(releases)
    assert done.attempted > 3 and done.failed == 0


def test_the_library_face_is_cheap_to_import():
    python(ROOT, "-c", "import sys, mer.datasets; mer.datasets.read; "
                       f"assert not set({HEAVY}) & set(sys.modules), sys.modules")
    assert datasets.read is releases.read
    with pytest.raises(AttributeError, match="no attribute 'reed'"):
        datasets.reed  # noqa: B018
