"""The campaign's own table, and one of each fault in a real miniature."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import campaign
from victims import Ended, Project

FOLDER = Path(__file__).parent


def test_the_table_counts_what_was_tried(tmp_path):
    rows = [{"fault": "kill", "what": "train", "result": "killed", "problem": "", "lost": lost} for lost in (0.5, 1.0)]
    rows.append({"fault": "SIGINT", "what": "doctor", "result": "bad", "problem": "traceback", "lost": 0.0})
    log = tmp_path / "faults.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = subprocess.run([sys.executable, FOLDER / "campaign.py", "--table", log], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(FOLDER.parents[1])}, check=True)
    assert done.stdout.splitlines()[2:] == ["| SIGINT | 1 | none | 1 PROBLEM |", "| kill | 2 | 0.75 | 2 killed |"]


@pytest.mark.parametrize(("code", "err", "orphans", "problem"), [
    (2, "error: a.h5: No space left on device; 1 MB are free there\n", [], ""),
    (2, "Traceback (most recent call last):\n  File \"/x/mer/a.py\"\nerror: No space left\n", [], "traceback"),
    (1, "error: No space left\n", [], "exit code 1"), (2, "error: No space left\n", [7], "1 processes left"),
    (2, "error: something else\n", [], "last line")])
def test_what_counts_as_a_problem(code, err, orphans, problem):
    made = campaign.trials.judged("full", "train", Ended(code, err, 1.0, orphans), (2,), ("No space left",))
    assert made.problem.partition(":")[0].startswith(problem) and bool(made.problem) == bool(problem)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_one_of_each_fault(tmp_path_factory):
    project = Project(tmp_path_factory.getbasetemp())
    kinds = ("signals", "kills", "bits", "used", *(("full", "forbidden") if os.geteuid() == 0 else ()))
    tried = [campaign.KINDS[kind](project, random.Random(kind)) for kind in kinds]
    assert [(trial.fault, trial.what, trial.problem) for trial in tried if trial.problem] == []
