"""A command queues what a table lacks, DVC's queue runs it, a command writes the full table: MOL VIII, FDP 9, MA2MI 4.

The releases have the papers' names and layouts; their rows are invented and their faces synthetic.
"""

import csv
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pipeline
import pytest
import yaml
from raw_releases import micro
from test_releases_graph import faces, frames_of

pytestmark = pytest.mark.slow

MMEW = [  # six classes, and a subject for each of five folds
    ("S01-01-001", 1, 6, 12, "12", "happiness", "happiness"), ("S02-02-001", 1, 5, 12, "1+2", "surprise", "surprise"),
    ("S03-03-001", 1, 5, 12, "4+5", "anger", "anger"), ("S04-04-001", 1, 5, 12, "9", "disgust", "disgust"),
    ("S05-05-001", 1, 5, 12, "1+4", "fear", "fear"), ("S05-06-001", 1, 5, 12, "15", "sadness", "sadness")]
FEW = {"selection": ["last"], "sampling": {"t": None, "sets": 1}, "index": {"accept_counts": True},
       "parallel": {"workers": 1}, "pretrain": {"steps": 2}, "evaluate": {"pictures": 0},
       "train": {"steps": 2, "eval_every": 2, "workers": 1, "keep_checkpoints": False}}
JOBS = "1"  # on two cores two at once gain little, as each waits for what the other labels
# table -> options of `queue`, experiments, cells; the first and the last are variants, without the papers' sources
TABLES = {"mol-8": (("-S", "pretrain.sources=[]"), 4, 8), "fdp-9": (("-S", "pretrain.sources=[]"), 6, 12),
          "ma2mi-4": (("-S", "pretrain.sources=[synthetic_macro]", "-S", "ma2mi.autoencoder=conv_ae"), 9, 15)}


def prepare(root: Path) -> None:
    """What a user does: put the releases there, tell DVC and Git of them. And few training steps."""
    pictures = faces(root)
    for name, writer in (("casme2", micro.write_casme2), ("samm", micro.write_samm), ("mmew", micro.write_mmew)):
        writer(root / "data/raw" / name, frame=frames_of(pictures))
    params = yaml.safe_load((root / "params.yaml").read_text())
    for key, value in FEW.items():
        params[key] = {**params[key], **value} if isinstance(value, dict) else value
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    # DVC writes the whole lock anew after every stage, which takes longer than many a stage; the run cache has the rest
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    lock["stages"] = {name: lock["stages"][name] for name in ("check", "synthesize")}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    pipeline.commit(root, "few steps")


def command(root: Path, *words: str) -> pipeline.Done:
    done = pipeline.run(root, sys.executable, "-m", "mer.tables", *words)
    assert "Traceback" not in done.err, done.tail()
    return done


def test_three_tables_are_filled_through_the_queue(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(micro, "MMEW", MMEW)
    root = tmp_path / "project"
    shutil.copytree(pipeline.finished(tmp_path_factory.getbasetemp()), root, symlinks=True)
    prepare(root)

    told = command(root, "queue", "mol-8", "--run")
    assert told.code == 2 and "run `dvc add data/raw/casme2 && git add -f data/raw/casme2.dvc`" in told.err, told.tail()
    releases = [f"data/raw/{name}" for name in ("casme2", "samm", "mmew")]
    assert pipeline.dvc(root, "add", *releases).code == 0
    pipeline.commit(root, "releases")

    for name, (options, experiments, cells) in TABLES.items():
        printed = command(root, "queue", name, *options)
        lines = [shlex.split(line) for line in printed.out.splitlines()]
        assert len(lines) == experiments and all(line[:4] == ["dvc", "exp", "run", "--queue"] for line in lines)
        assert f"{cells} missing" in printed.err, printed.tail()
        queued = command(root, "queue", name, *options, "--run")
        assert queued.code == 0 and f"{experiments} experiments queued" in queued.err, queued.tail()
        again = command(root, "queue", name, *options, "--run")
        assert again.out == "" and f"{cells} in the queue; nothing is left to queue" in again.err, again.tail()

    began = time.monotonic()
    ran = subprocess.run([*pipeline.DVC, "exp", "run", "--run-all", "--jobs", JOBS], cwd=root, capture_output=True,
                         text=True, env=pipeline.environment(root), timeout=3600)
    count = sum(experiments for _, experiments, _ in TABLES.values())
    print(f"\n`dvc exp run --run-all --jobs {JOBS}`, {count} experiments: {time.monotonic() - began:.0f} s")
    assert ran.returncode == 0, ran.stderr[-3000:]

    made = command(root, *TABLES)
    assert made.code == 0, made.tail()
    with open(root / "reports/comparison/cells.csv", encoding="utf-8", newline="") as file:
        filled = list(csv.DictReader(file))
    for name, (options, _, cells) in TABLES.items():
        mine = [row for row in filled if row["table"] == name and row["ours"]]
        assert len(mine) == cells, made.tail()
        assert all(bool(row["published"]) == (name == "fdp-9") == (not row["variant"]) for row in mine), made.tail()
        with open(root / f"reports/comparison/{name}.csv", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        ours = [i for i, text in enumerate(header) if text.endswith("this pipeline")]
        apart = [row for row in rows if row[0].startswith("variants")]
        assert ours and all(row[i] for row in apart or rows for i in ours) and bool(apart) == (name != "fdp-9")
        done = command(root, "queue", name, *options)
        assert done.out == "" and f"{cells} filled; nothing is left to queue" in done.err, done.tail()
    for row in (row for row in filled if row["ours"]):  # each number is the experiment's own
        metrics = {}
        for name in ("metrics", "details"):
            shown = pipeline.run(root, "git", "show", f"{row['run'].split()[0]}:reports/{name}.json")
            metrics |= json.loads(shown.out)
        scale = 1 if row["table"] == "ma2mi-4" and row["metric"] == "uf1" else 100
        assert float(row["ours"]) == pytest.approx(scale * metrics[row["metric"]], abs=1e-6)
        assert int(row["n_clips"]) == metrics["n_clips"] and row["seeds"] == "0" and row["selection"] == "last"
    other = command(root, "queue", "mol-8", *TABLES["mol-8"][0], "-S", "seeds=[1]")
    assert len(other.out.splitlines()) == 4  # runs with another seed do not count
