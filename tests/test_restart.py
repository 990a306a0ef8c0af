"""`kill -9` in the middle of a stage, for real: the next `dvc repro` goes on from there and ends in the same bytes."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from pipeline import DVC, digests, dvc, environment, finished, miniature

pytestmark = pytest.mark.slow

# in the graph's order: where to kill (a stage, and what must have appeared of it), and what the next run says
KILLS = {
    "synthesize": ("*/frames/[!.]*", r"synthesize: reusing [1-9]\d? of 23 clips from an interrupted run"),
    "landmarks@synthetic": ("*.h5", r"landmarks synthetic: reusing [1-9] of 9 clips from an interrupted run"),
    "align-macro@synthetic_macro": (
        "*.h5", r"align synthetic_macro: reusing [1-9]\d? of 14 clips from an interrupted run"),
    "flow@synthetic": ("*.h5", r"flow synthetic: reusing [1-9] of 9 clips from an interrupted run"),
    "pretrain": ("0/state.pt", r"pretrain seed 0: continuing at step [1-5] of 6"),
    "train": ("0/*/state.pt", r"fold synthetic/s\d\d seed 0: continuing at step [1-5] of 6"),
    "train, a fold done": ("0/*/predictions.csv", r"train: reusing [12] of 3 folds from an interrupted run"),
}


def scratch_of(root, name):
    """The scratch folder of a stage of the graph: `align-macro@D` works as `align@D`."""
    return root / ".scratch" / name.split(",")[0].replace("-macro", "")


def repro_killed_at(root, name, pattern) -> str:
    """Run `dvc repro` until `pattern` is in the stage's scratch folder, kill all its processes; what it wrote."""
    log = root.parent / f"{root.name}.log"
    with open(log, "w") as file:
        process = subprocess.Popen([*DVC, "repro"], cwd=root, env=environment(root), stdout=file,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        began = time.monotonic()
        while process.poll() is None and not any(scratch_of(root, name).glob(f"*/{pattern}")):
            assert time.monotonic() < began + 600, log.read_text()[-3000:]
            time.sleep(0.002)
        ended = process.poll()
        if ended is None:
            os.killpg(process.pid, signal.SIGKILL)  # dvc, the shell, the stage and its workers
        process.wait()  # DVC believes in its dead owner's lock as long as the owner is a zombie
    assert ended is None, f"dvc repro ended before {name} could be killed:\n{log.read_text()[-3000:]}"
    return log.read_text()


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A miniature whose `dvc repro` was killed at each of KILLS: the folder, and what each next run wrote. As a clone
    of a finished run it holds what its products cost when they were first made, which stays."""
    root = miniature(tmp_path_factory.mktemp("killed") / "project")
    (root / "reports").mkdir()
    shutil.copy(finished(tmp_path_factory.getbasetemp()) / "reports/costs.json", root / "reports")
    wrote = [repro_killed_at(root, name.split(",")[0], pattern) for name, (pattern, _) in KILLS.items()]
    last = dvc(root, "repro")
    assert last.code == 0, last.tail()
    return root, dict(zip(KILLS, [*wrote[1:], last.out + last.err], strict=True))


@pytest.mark.parametrize("where", KILLS)
def test_the_next_run_goes_on_and_says_what_it_reuses(killed, where):
    _, wrote = killed
    assert re.search(KILLS[where][1], wrote[where]), wrote[where][-3000:]


def test_the_results_equal_an_uninterrupted_runs_to_the_byte(killed, tmp_path_factory):
    root, _ = killed
    whole = finished(tmp_path_factory.getbasetemp())
    ours, expected = (digests(folder / "data", folder / "reports") for folder in (root, whole))
    assert len(expected) > 60
    assert sorted(set(ours) ^ set(expected)) == []
    assert [name for name, value in expected.items() if ours[name] != value] == []
    assert (root / "dvc.lock").read_bytes() == (whole / "dvc.lock").read_bytes()


def test_a_complete_stage_leaves_nothing_behind(killed):
    """But the pretrained network, which DVC asks for again whenever only the micro-expression release changed, and the
    empty files that were locked: those who wait for a lock must find the same file."""
    root, _ = killed
    scratch = root / ".scratch"
    assert [path.name for path in (scratch / "locks").iterdir() if not path.is_file() or path.stat().st_size] == []
    left = {path.relative_to(scratch).as_posix() for path in scratch.rglob("*")
            if path.is_file() and path.parent != scratch / "locks"}
    assert {re.sub(r"/\w{16}/", "/", path) for path in left} == {
        f"pretrain/0/{name}" for name in ("model.pt", "log.csv", "gradients.csv", "diagnostics.json")}
    assert [str(path) for path in (root / "data").rglob("*.tmp")] == []


def test_ctrl_c_loses_at_most_the_clips_in_hand(tmp_path):
    """The terminal sends SIGINT to all processes; the stage says what to do, and nothing of it is left running."""
    root = miniature(tmp_path / "project")
    log = tmp_path / "log"
    with open(log, "w") as file:
        # a shell that runs the tests in its background has them ignore SIGINT, and so would the stage
        process = subprocess.Popen([*DVC, "repro", "landmarks@synthetic"], cwd=root, env=environment(root), stdout=file,
                                   stderr=subprocess.STDOUT, start_new_session=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        while process.poll() is None and not any(scratch_of(root, "landmarks@synthetic").glob("*/*.h5")):
            time.sleep(0.002)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(timeout=60)
    text = log.read_text()
    assert code != 0 and time.monotonic() - began < 20, text
    assert "interrupted; finished items are kept, run the same command again to continue" in text
    assert "Traceback" not in text, text
    again = dvc(root, "repro", "landmarks@synthetic")
    assert again.code == 0, again.tail()
    assert re.search(r"landmarks synthetic: reusing [1-9]\d* of 9 clips from an interrupted run", again.err), again.err
