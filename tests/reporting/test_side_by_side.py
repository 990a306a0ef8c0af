"""The same clips in several runs: which are chosen, what is drawn of each run, what is refused."""

import contextlib
import dataclasses
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pipeline import commit, dvc
from pipeline import run as command
from reporting import fabricate
from reporting.test_plots import inks

from mer import compare
from mer.base import store
from mer.base.errors import MerError
from mer.evaluation import predictions, results
from mer.models.mol import pictures as mol
from mer.reporting import comparison, side_by_side
from mer.reporting.side_by_side import Chosen

CLIPS = [Chosen("synthetic/s01", "s01_c00", "one"), Chosen("synthetic/s02", "s02_c03", "")]


def left(root: Path, t=None, model="mol", flow=True, tasks="", **changes) -> Path:
    """A finished run, its folds and its reports; `tasks` as params.yaml has them."""
    t = fabricate.table(subjects=3, model=model) if t is None else t
    root.mkdir(parents=True)
    fabricate.run_folder(root, t, model=model, flow=flow)
    path = root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    if tasks:
        text = re.sub(rf"(\n{model}:.*?\n  tasks:)[^\n]*(?:\n  - \w+)*", rf"\g<1> {tasks}", text, count=1,
                      flags=re.DOTALL)
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    reports(root, t)
    return root


def reports(root: Path, t) -> None:
    predictions.write(root / "reports/predictions.csv", t)
    store.write_json(root / "reports/metrics.json", results.summarise(
        t, fabricate.NAMES, ("last", "oracle"), bootstrap=200, permutations=200, seed=0))


def opened(base: Path, *names: str) -> comparison.Comparison:
    with contextlib.chdir(base):
        return comparison.compare([compare.read(letter, name) for letter, name in zip("ABC", names, strict=False)])


def drawn(base: Path, *names: str, clips=CLIPS) -> list[tuple[str, str]]:
    """(title, description) of every picture."""
    with contextlib.chdir(base):
        made = list(side_by_side.draw(opened(base, *names), clips, base / "pictures"))
    assert all(inks(path) > 100 for path in made)
    found = []
    for path in made:
        with Image.open(path) as image:
            found.append((image.info["Title"], image.info["Description"]))
    return found


@pytest.fixture(scope="module")
def mols(tmp_path_factory) -> Path:
    """`full`, and `alone` without flow, whose error its predictions lack."""
    base = tmp_path_factory.mktemp("mols")
    left(base / "full")
    t = fabricate.table(subjects=3, seed=1)
    for name in ("epe", "epe_zero"):
        t.aux[name][:] = np.nan
    left(base / "alone", t, flow=False, tasks="[mer, landmark]")
    return base


def test_mol_shows_each_run_its_own_errors_and_says_what_it_lacks(mols):
    (title, told), (second, _) = drawn(mols, "full", "alone")
    c = opened(mols, "full", "alone")
    assert c.changed == ("mol.tasks",)
    last = [side_by_side.tested(e) for e in c.experiments]
    row = [t.rows(t.clip_id == "s01_c00") for t in last]
    assert title == "s01_c00, happiness, of synthetic/s01: one (synthetic data)" and ": one" not in second
    assert f"A full: {fabricate.NAMES[row[0].predicted[0]]} {row[0].p[0].max():.2f}" in told
    assert f"flow {row[0].aux['epe'][0]:.3f} px, landmarks {100 * row[0].aux['nme'][0]:.1f} %; B alone: " in told
    assert f"landmarks {100 * row[1].aux['nme'][0]:.1f} %, no flow task" in told


def test_all_columns_show_the_pair_that_the_first_run_with_flow_chose(mols, tmp_path):
    shutil.copytree(mols / "full", tmp_path / "full")
    shutil.copytree(mols / "alone", tmp_path / "alone")
    for path in (tmp_path / "full").glob("data/folds/*/*/outputs.h5"):
        clips = store.read_shard(path)[0]  # the larger motion is the second label's
        store.write_shard(path, {clip: arrays | {"pair": np.array([1, 5], np.int32)} for clip, arrays in clips.items()})
    alone, full = (side_by_side._look(e, side_by_side.tested(e).rows(np.array([0])), tmp_path / e.run.name / "data")
                   for e in opened(tmp_path, "alone", "full").experiments)
    names, given, own = mol.across([alone, full])
    assert len(names) == len(own[0].cells) == len(given[0].cells) == 4 and all(map(callable, own[1].cells))
    assert callable(own[0].cells[0]) and own[0].cells[1:] == ("no flow task", "", "")
    places = [(one.row, one.data, one.crop, one.sampling) for one in (alone, full)]
    assert [mol.look(*place).k for place in places] == [3, 5]
    assert mol.look(*places[0], 5).k == 5 and mol.look(*places[0], 5).label is None
    assert mol.look(*places[1], 2).estimate is None, "pair 2 has no label"
    assert mol.look(*places[1], 1).estimate is not None


def test_runs_without_any_flow_are_drawn_by_their_landmarks_alone(mols):
    shutil.copytree(mols / "alone", mols / "again")
    (_, told), _ = drawn(mols, "alone", "again")
    assert told.startswith("Rows: landmarks. Columns: frame k; no motion, k+1: dlib, TV-L1, then one a run.")


def test_fdp_shows_dynamic_images_and_what_each_run_predicts(tmp_path):
    t = fabricate.table(subjects=3, model="fdp")
    left(tmp_path / "full", t, model="fdp")
    left(tmp_path / "ranks", dataclasses.replace(t, aux={**t.aux, "mse": np.full(len(t), np.nan)}), model="fdp",
         tasks="[mer, rank]")
    for path in (tmp_path / "ranks").glob("data/folds/*/*/outputs.h5"):
        clips = store.read_shard(path)[0]
        store.write_shard(path, {clip: {"scores": arrays["scores"]} for clip, arrays in clips.items()})
    (_, told), _ = drawn(tmp_path, "full", "ranks")
    mse = t.where("last").aux["mse"][t.where("last").clip_id == "s01_c00"][0]
    assert f"error x 1000: {1000 * mse:.2f}; B ranks: " in told and told.endswith("no dynamic image task.")


def test_ma2mi_shows_its_heat_maps(tmp_path):
    left(tmp_path / "a", model="ma2mi")
    left(tmp_path / "b", fabricate.table(subjects=3, model="ma2mi", seed=4), model="ma2mi")
    (_, told), _ = drawn(tmp_path, "a", "b")
    assert told.startswith("Rows: Grad-CAM. Columns: onset, apex - onset, then one a run. A a: ")


def test_the_first_run_chooses_by_its_error_and_right_beside_wrong_of_one_subject(mols):
    e = opened(mols, "full", "alone").experiments[0]
    chosen, t = side_by_side.choose(e), side_by_side.tested(e)
    order = t.clip_id[np.argsort(t.aux["epe"])].tolist()
    assert [(one.clip_id, one.why) for one in chosen[:3]] == [
        (order[0], "Best by flow"), (order[round((len(t) - 1) / 2)], "Median by flow"), (order[-1], "Worst by flow")]
    assert len({(one.subject, one.clip_id) for one in chosen}) == len(chosen)
    no_flow = side_by_side.choose(opened(mols, "alone", "full").experiments[0])
    assert no_flow[0].why == "Best by landmarks"
    guesses = dataclasses.replace(t, p=np.random.default_rng(0).dirichlet([1, 1, 1], len(t)))
    e.run.__dict__["predictions"] = guesses
    pairs = [one for one in side_by_side.choose(e) if ", of " in one.why]
    assert pairs and len({one.subject for one in pairs}) <= side_by_side.PAIRS
    for one in pairs:
        (at,) = np.flatnonzero((guesses.clip_id == one.clip_id) & (guesses.subject == one.subject))
        said = "right" if guesses.predicted[at] == guesses.label[at] else "wrong"
        assert one.why.split("; ")[-1] == f"{said}, of {one.subject}"
    for subject in {one.subject for one in pairs}:
        both = [one for one in pairs if one.subject == subject]
        labels = {int(guesses.label[guesses.clip_id == one.clip_id][0]) for one in both}
        assert len(labels) == 1, "right and wrong clips are of one class"


def test_the_list_is_written_once_and_used_again(mols, monkeypatch, capsys):
    def asked() -> str:
        monkeypatch.setattr(sys, "argv", ["mer.compare", "full", "alone", "--clips", "list.csv", "--out", "page.html"])
        with contextlib.chdir(mols):
            compare.run()
        return capsys.readouterr().out

    assert "written: list.csv, " in asked()
    clips, page = side_by_side.read(mols / "list.csv"), (mols / "page.html").read_text(encoding="utf-8")
    assert 3 <= len(clips) <= 7
    assert page.count('<section id="clips"') == 1 and page.count("<img ") == 4 + len(clips) and "show faces" in page
    side_by_side.write(mols / "list.csv", clips[::-1][:2])
    assert "list.csv" not in asked()
    shorter = (mols / "page.html").read_text(encoding="utf-8")
    assert shorter.count("<img ") == 6 and str(mols) not in shorter


@pytest.mark.parametrize(("content", "told"), [
    ("subject\ns01\n", "column 'clip_id' is missing"), ("subject,clip_id\n", "no row below the header"),
    ("subject,clip_id\ns,c\ns,c\n", "row 2: clip c of s stands twice")])
def test_a_list_that_cannot_be_used_is_refused(tmp_path, content, told):
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(MerError, match=re.escape(told)) as error:
        side_by_side.read(tmp_path / "list.csv")
    assert "list.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("made", "told"), [
    ({"model": "fdp"}, "model = mol in A full, fdp in B other; expected runs of one model"),
    ({"change": ("align:\n  size:", "align:\n  size: 160")}, "align.size = 144 in A full, 160 in B other"),
    ({"t": 2}, "B other has not tested clip s03_c00 of synthetic/s03 (12 clips of 2 subjects)"),
])
def test_runs_that_did_not_see_the_same_clips_are_refused_in_one_line(mols, tmp_path, made, told):
    shutil.copytree(mols / "full", tmp_path / "full")
    subjects = made.pop("t", 3)
    left(tmp_path / "other", fabricate.table(subjects=subjects, model=made.get("model", "mol")), **made)
    with pytest.raises(MerError) as error:
        drawn(tmp_path, "full", "other", clips=[*CLIPS, Chosen("synthetic/s03", "s03_c00", "")])
    assert told in str(error.value) and "\n" not in str(error.value)


def test_what_the_folds_kept_must_be_there(mols, tmp_path):
    shutil.copytree(mols / "full", tmp_path / "full")
    shutil.copytree(mols / "full", tmp_path / "bare")
    for path in (tmp_path / "bare").glob("data/folds/*/*/outputs.h5"):
        path.unlink()
    with pytest.raises(MerError, match="outputs.h5"):
        drawn(tmp_path, "full", "bare")


def test_a_revision_is_drawn_from_the_cache_and_nothing_is_checked_out(mols, tmp_path):
    root = tmp_path / "project"
    shutil.copytree(mols / "full", root)

    def kept(*words):
        done = dvc(root, *words)
        assert done.code == 0, done.tail()

    command(root, "git", "init", "--quiet")
    kept("init", "--quiet")
    for folder in ("data/folds", "data/aligned/synthetic"):
        kept("add", "--quiet", folder)
    (root / ".gitignore").write_text("/data/raw\n/data/pretrained\n")
    commit(root, "run")
    before = drawn(root, "HEAD", str(mols / "alone"))
    shutil.rmtree(root / "data/folds")
    assert drawn(root, "HEAD", str(mols / "alone")) == before and not (root / "data/folds").exists()
    assert before[0][1].startswith("Rows: landmarks, flow")
    shutil.rmtree(root / ".dvc/cache")
    with pytest.raises(MerError, match=r"HEAD: the content of data/folds/0/synthetic_s01/outputs.h5 is not in the "
                                       r"cache; run `dvc fetch"):
        drawn(root, "HEAD", str(mols / "alone"))
