"""The notebook of the first hour: committed without outputs, and every cell runs, in order, in a finished miniature."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from pipeline import ROOT, finished, run

CELLS = json.loads((ROOT / "first_hour.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def executed(code: str, names: dict, root: Path) -> str:
    """What a cell prints: Python lines are executed, a line with `!` goes to the shell, {names} filled in."""
    out = io.StringIO()
    python = [line for line in code.splitlines() if not line.startswith("!")]
    with contextlib.redirect_stdout(out), contextlib.chdir(root):
        exec("\n".join(python), names)
    for line in (line for line in code.splitlines() if line.startswith("!")):
        words = re.sub(r"{(\w+)}", lambda match: str(names[match[1]]), line[1:]).split()
        done = run(root, *words)
        assert done.code == 0, done.tail()
        out.write(done.out)
    return out.getvalue()


def test_it_is_committed_without_outputs():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None
               for cell in CELLS if cell["cell_type"] == "code")
    assert "synthetic" in "".join(CELLS[0]["source"])
    shell = [code for code in CODE if "\n!" in f"\n{code}"]
    assert shell and all(code.splitlines()[-1].startswith("!") for code in shell), "a command ends its cell"


@pytest.mark.slow
def test_every_cell_runs(tmp_path, tmp_path_factory):
    root = shutil.copytree(finished(tmp_path_factory.getbasetemp()), tmp_path / "project", symlinks=True)
    names: dict = {}
    told = [executed(code, names, root) for code in CODE]
    assert "OK    Python" in told[0] and "up to date" in told[1]
    assert re.match(r"MOL on synthetic, 3 classes - synthetic\naccuracy 0\.\d{3} \[", told[2])
    assert told[3].count("taken for") == min(5, round(9 * (1 - names["m"]["accuracy"])))
    assert (root / "predict" / names["clip"].name / "index.html").is_file()
