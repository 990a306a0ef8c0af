"""The whole graph on a miniature of every micro-expression release in its true layout: from raw folder to page.

The rows are invented, the faces synthetic; what is checked is that every stage takes the release as it is distributed.
"""

import csv
import functools
import json
import shutil
from pathlib import Path

import cv2
import pipeline
import pytest
import yaml
from raw_releases import micro

pytestmark = pytest.mark.slow

WRITERS = {"casme2": micro.write_casme2, "samm": micro.write_samm, "smic": micro.write_smic,
           "casme_sq": micro.write_casme_sq, "casme3": micro.write_casme3, "mmew": micro.write_mmew}
RUNS = [(["casme2"], "5"), (["samm"], "3"), (["smic"], "3"), (["casme_sq"], "3"), (["casme3"], "3"), (["mmew"], "4"),
        (["casme2", "samm", "smic"], "3-megc")]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return pipeline.finished(tmp_path_factory.getbasetemp())


@functools.cache
def faces(root: Path) -> list:
    """The frames of one synthetic clip."""
    clip = sorted((root / "data/raw/synthetic/frames").iterdir())[0]
    return [cv2.imread(str(path)) for path in sorted(clip.iterdir(), key=lambda path: int("".join(
        filter(str.isdigit, path.stem))))]


@pytest.mark.parametrize(("datasets", "classes"), RUNS, ids=lambda value: "-".join(value))
def test_the_whole_graph_runs_on_the_release_as_it_is_distributed(base, tmp_path, datasets, classes):
    root = tmp_path / "project"
    shutil.copytree(base, root, symlinks=True)
    pictures = faces(base)
    for name in datasets:
        WRITERS[name](root / "data/raw" / name, frame=lambda i: pictures[i % len(pictures)])
    params = yaml.safe_load((root / "params.yaml").read_text())
    params.update(datasets=datasets, classes=classes, selection=["last"])
    params["pretrain"]["sources"] = []
    params["index"]["accept_counts"] = True
    params["train"].update(steps=2, keep_checkpoints=False)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    done = pipeline.dvc(root, "repro")
    assert done.code == 0, done.tail()
    assert "train" in done.ran and "synthesize" not in done.ran
    clips = [row for name in datasets for row in csv.DictReader(open(root / f"data/index/{name}/clips.csv"))]
    with open(root / "reports/predictions.csv") as file:
        predicted = [row for row in csv.DictReader(file)]
    told = json.loads((root / "reports/plots/labels/data.json").read_text())
    lost = {entry["clip_id"] for name in datasets for entry in told[name]["excluded"]}
    assert predicted and {row["clip_id"] for row in predicted} <= {row["clip_id"] for row in clips} - lost
    assert all(row["subject"] == row["fold"] and row["subject"].split("/")[0] in datasets for row in predicted)
    page = (root / "reports/index.html").read_text()
    assert "Synthetic faces" not in page  # a release is not marked synthetic, whatever its pictures show
    for name in datasets:
        assert told[name]["index"]["clips"] == sum(row["subject"].startswith(f"{name}/") for row in clips)


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
