"""A release that is a link is given to Git, since DVC adds none: the queue's advice must be one that works."""

import subprocess
from dataclasses import replace
from pathlib import Path

from mer import params
from mer.tables import queue

ROOT = Path(__file__).parents[2]


def test_the_advice_for_a_linked_release_works(tmp_path, monkeypatch):
    p = replace(params.load(ROOT / "params.yaml"), datasets=("mine",), pretrain=replace(
        params.load(ROOT / "params.yaml").pretrain, sources=()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    Path("data/raw").mkdir(parents=True)
    Path(".gitignore").write_text("/data/**\n!/data/**/\n")
    Path("data/raw/mine").symlink_to(tmp_path / "elsewhere")
    subprocess.run(["git", "init", "-q"], check=True)
    (line,) = queue.invisible(p)
    assert "data/raw/mine is a link that Git does not know" in line and "dvc add" not in line
    subprocess.run(["git", "add", "-f", "data/raw/mine"], check=True)  # what it says
    assert queue.invisible(p) == []
    Path("data/raw/mine").unlink()
    subprocess.run(["git", "rm", "-q", "--cached", "data/raw/mine"], check=True)
    Path("data/raw/mine").mkdir()
    (line,) = queue.invisible(p)
    assert "run `dvc add data/raw/mine && git add -f data/raw/mine.dvc`" in line
