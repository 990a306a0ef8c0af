"""The whole graph on a miniature of every release of the laboratory in its true layout: from raw folder to page.

The rows are invented, the faces synthetic; what is checked is that every stage takes the release as it is distributed.
"""

import csv
import functools
import itertools
import json
import shutil
from pathlib import Path

import cv2
import pipeline
import pytest
import torch
import yaml
from raw_releases import casme, casme3_macro, dfme, fourdme, macro, micro, mmme, samm_long

pytestmark = pytest.mark.slow

WRITERS = {"casme2": micro.write_casme2, "samm": micro.write_samm, "smic": micro.write_smic,
           "casme_sq": micro.write_casme_sq, "casme3": micro.write_casme3, "mmew": micro.write_mmew,
           "casme": casme.write_casme, "casme_sq_long": micro.write_casme_sq, "dfme": dfme.write_dfme,
           "samm_long": samm_long.write_samm_long, "fourdme": fourdme.write_fourdme, "mmme": mmme.write_mmme,
           "casme3_macro": casme3_macro.write_casme3_macro}
RUNS = [(["casme2"], "5", "loso"), (["samm"], "3", "loso"), (["smic"], "3", "loso"), (["casme_sq"], "3", "loso"),
        (["casme3"], "3", "loso"), (["mmew"], "4", "kfold"), (["casme2", "samm", "smic"], "3-megc", "composite"),
        (["casme2", "samm"], "3-shared", "cross_dataset"), (["casme"], "4-tense", "kfold"),
        (["samm_long", "casme_sq_long"], "type", "composite"), (["dfme"], "7", "official"),
        (["fourdme"], "all", "loso"), (["mmme"], "3", "loso")]
SOURCES = {"dfme": ["casme3_macro"]}  # what is pretrained on in the run that tests it
EVERY_CLASS = [("sub9002", f"sub9002_0{i}", 1, 4, 9, word, 200, []) for i, word in ((2, "sadness"), (3, "surprise"))]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return pipeline.finished(tmp_path_factory.getbasetemp())


@functools.cache
def faces(root: Path) -> list:
    """The frames of one synthetic clip."""
    clip = sorted((root / "data/raw/synthetic/frames").iterdir())[0]
    return [cv2.imread(str(path)) for path in sorted(clip.iterdir(), key=lambda path: int("".join(
        filter(str.isdigit, path.stem))))]


def frames_of(pictures: list):
    """For writers of releases: the picture of the i-th frame, no two alike to the last pixel, as in a camera's."""
    drawn = itertools.count()

    def frame(i: int):
        picture, number = pictures[i % len(pictures)].copy(), next(drawn)
        for digit in range(3):  # gray squares in a corner, which JPEG keeps apart
            picture[:16, 16 * digit:16 * (digit + 1)] = 16 * (number // 16**digit % 16)
        return picture

    return frame


@pytest.mark.parametrize(("datasets", "classes", "protocol"), RUNS, ids=lambda value: "-".join(
    value) if isinstance(value, list) else value)
def test_the_whole_graph_runs_on_the_release_as_it_is_distributed(base, tmp_path, monkeypatch, datasets, classes,
                                                                  protocol):
    root = tmp_path / "project"
    shutil.copytree(base, root, symlinks=True)
    pictures = faces(base)
    monkeypatch.setitem(dfme.SETS, "training", [*dfme.SETS["training"], *EVERY_CLASS])
    monkeypatch.setattr(casme3_macro, "ROWS", [*casme3_macro.ROWS[:3], ("spNO.2", "b", 3, 6, 12, 4, "surprise")])
    monkeypatch.setattr(casme3_macro, "LENGTHS", casme3_macro.LENGTHS[:4])
    sources = SOURCES.get(datasets[0], [])
    for name in datasets + sources:
        WRITERS[name](root / "data/raw" / name, frame=frames_of(pictures))
    params = yaml.safe_load((root / "params.yaml").read_text())
    params.update(datasets=datasets, classes=classes, protocol=protocol, selection=["last"], kfold={"k": 2, "seed": 0})
    params["pretrain"].update(sources=sources, classes="4", head="drop", steps=2)
    params["index"]["accept_counts"] = True
    params["train"].update(steps=2, keep_checkpoints=False)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    done = pipeline.dvc(root, "repro")
    assert done.code == 0, done.tail()
    assert "train" in done.ran and "synthesize" not in done.ran
    clips = [row for name in datasets
             for row in csv.DictReader((root / f"data/index/{name}/clips.csv").read_text().splitlines())]
    with open(root / "reports/predictions.csv") as file:
        every = list(csv.DictReader(file))
    predicted = [row for row in every if row["selection"] == "last"]
    zero_shot = {row["clip_id"] for row in every if row["selection"] != "last"}  # before any fold, after pretraining
    assert zero_shot == ({row["clip_id"] for row in clips} if sources else set())
    told = json.loads((root / "reports/plots/labels/data.json").read_text())["datasets"]
    lost = {entry["clip_id"] for name in datasets for entry in told[name]["excluded"]}
    assert predicted and {row["clip_id"] for row in predicted} <= {row["clip_id"] for row in clips} - lost
    assert all(row["subject"].split("/")[0] in datasets for row in predicted)
    folds = {(row["subject"], row["fold"]) for row in predicted}
    assert len(folds) == len(dict(folds))  # a subject is tested in one fold
    if protocol == "cross_dataset":
        assert {fold for _, fold in folds} == {"samm"}
        assert all(row["subject"].startswith("samm/") for row in predicted)
    else:
        parted = protocol in ("kfold", "official")
        assert len(dict(folds)) > 1 and (parted or all(subject == fold for subject, fold in folds))
        assert len({fold for _, fold in folds}) == (2 if parted else len(folds))
        assert protocol != "official" or {fold for _, fold in folds} == {"test1", "test2"}
    with open(root / "data/folds/folds.csv") as file:
        written = {(row["clip_id"], row["fold"]) for row in csv.DictReader(file)}
    assert {(row["clip_id"], row["fold"]) for row in predicted} == written
    page = (root / "reports/index.html").read_text()
    assert "Synthetic faces" not in page  # a release is not marked synthetic, whatever its pictures show
    for name in datasets:
        assert told[name]["index"]["clips"] == sum(row["subject"].startswith(f"{name}/") for row in clips)
    if sources:
        about = json.loads((root / "data/pretrained/summary.json").read_text())
        assert (about["sources"], about["clips"], len(about["classes"])) == (sources, len(casme3_macro.ROWS), 4)


def test_a_network_is_pretrained_on_aff_wild2_and_its_classifier_dropped(base, tmp_path, monkeypatch):
    """MOL, section 4.1.2: clips cut from long videos, seven expressions, frames labelled -1 left out, three tasks."""
    root = tmp_path / "project"
    shutil.copytree(base, root, symlinks=True)
    labels = [label for word in range(7) for label in [word] * 10 + [-1] * 3]
    videos = {"long_1": ("Train_Set", labels, range(1, 92)), "long_2": ("Validation_Set", labels[::-1], range(1, 92))}
    monkeypatch.setattr(macro, "AFFWILD2", videos)
    pictures = faces(base)
    macro.write_affwild2(root / "data/raw/affwild2", frame=frames_of(pictures))
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["pretrain"].update(sources=["affwild2"], head="drop", steps=3)
    params["index"].update(accept_counts=True, affwild2="7")
    params["train"].update(steps=0)
    (root / "params.yaml").write_text(yaml.safe_dump(params | {"selection": ["last"]}, sort_keys=False))

    done = pipeline.dvc(root, "repro")
    assert done.code == 0, done.tail()
    with open(root / "data/index/affwild2/clips.csv") as file:
        clips = list(csv.DictReader(file))
    assert len(clips) == 14 and {int(row["last"]) - int(row["first"]) for row in clips} == {9}
    about = json.loads((root / "data/pretrained/summary.json").read_text())
    assert len(about["classes"]) == 7 and about["clips"] == 14 and about["sources"] == ["affwild2"]
    with open(root / "data/pretrained/0/log.csv") as file:
        assert {"mer", "flow", "landmark"} <= set(next(csv.DictReader(file)))
    before = torch.load(root / "data/pretrained/0/model.pt", weights_only=True)["model"]
    fold = torch.load(next(root.glob("data/folds/0/*/model.pt")), weights_only=True)["model"]
    assert torch.equal(fold["mer.fc1.weight"], before["mer.fc1.weight"])  # train.steps = 0: what was carried over
    assert len(before["mer.fc2.weight"]) == 7 and len(fold["mer.fc2.weight"]) == 3
    assert not any(torch.equal(row, other) for row in fold["mer.fc2.weight"] for other in before["mer.fc2.weight"])


def test_counts_that_differ_from_the_published_ones_stop_the_run(base, tmp_path):
    root = tmp_path / "project"
    shutil.copytree(base, root, symlinks=True)
    micro.write_casme2(root / "data/raw/casme2")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params.update(datasets=["casme2"], classes="5")
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    done = pipeline.dvc(root, "repro", "index@casme2")
    assert done.code != 0
    assert "error: casme2: counts differ from the published ones" in done.err
    assert "index.accept_counts" in done.err and "published" in done.out
