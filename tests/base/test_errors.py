"""What a user sees when the machine refuses, or when a command is stopped: one line, an exit code, no orphan."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mer.base.errors import refused

ROOT = Path(__file__).parents[2]


def command(body: str) -> list[str]:
    return [sys.executable, "-c", "from mer.base.errors import main, quiet_interrupt\n" + textwrap.dedent(body)]


def ended(body: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(command(body), cwd=folder, capture_output=True, text=True, check=False, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize(("body", "words"), [
    ("open('nowhere/at/all')", "nowhere/at/all: No such file or directory; make it, or correct the path"),
    ("open('.', 'w')", ".: Is a directory; a file is expected there"),
    ("open('file/below', 'w')", "file/below: Not a directory; a part of the path is a file"),
    ("open('/dev/full', 'w', buffering=1).write('x\\n')", "No space left on device; "),
    ("import h5py; h5py.File('file', 'r')", "error: "),
    ("import h5py; h5py.File('nowhere/x.h5', 'w')", "nowhere/x.h5: No such file or directory")])
def test_what_the_machine_refuses_is_one_line(tmp_path, body, words):
    (tmp_path / "file").write_text("no HDF5")
    done = ended(f"def run():\n    {body}\nmain(run)", tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and words in line


def test_a_full_disk_says_what_is_free(tmp_path):
    text = refused(OSError(errno.ENOSPC, "x", str(tmp_path / "a/b.h5")))
    assert text.startswith(f"{tmp_path / 'a/b.h5'}: No space left on device; ") and " MB are free there" in text


def test_hdf5s_own_words_are_read():
    text = refused(OSError("Unable to synchronously create file (unable to open file: name = 'a.h5', errno = 13, "
                           "error message = 'Permission denied', flags = 13, o_flags = 242)"))
    assert text == "a.h5: Permission denied; allow it, or name another place"


def test_a_defect_keeps_its_traceback(tmp_path):
    done = ended("def run():\n    [][0]\nmain(run)", tmp_path)
    assert done.returncode == 1 and "IndexError" in done.stderr


WORK = """
    import os, time
    from mer.base import parallel
    def slow(seconds):
        open(f"worker-{os.getpid()}", "w").close()
        time.sleep(seconds)
    def run():
        parallel.run_items(slow, [(str(i), 60) for i in range(4)], desc="slow", unit="item", workers=2)
    main(run)
"""


def started(folder: Path) -> tuple[subprocess.Popen, list[int]]:
    """A command that maps over two workers, and the workers' process ids."""
    process = subprocess.Popen(command(WORK), cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    for _ in range(600):
        workers = [int(path.name.partition("-")[2]) for path in folder.glob("worker-*")]
        if len(workers) == 2:
            return process, workers
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"no workers: {process.stderr.read()}")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize(("send", "number", "code", "word"), [
    (os.kill, signal.SIGTERM, 143, "terminated"), (os.kill, signal.SIGINT, 130, "interrupted"),
    (os.killpg, signal.SIGINT, 130, "interrupted")])  # as a terminal does: to the workers too
def test_a_stopped_command_is_one_line_and_leaves_no_worker(tmp_path, send, number, code, word):
    process, workers = started(tmp_path)
    send(process.pid, number)
    _, told = process.communicate(timeout=60)
    lines = [line for line in told.splitlines() if line.strip() and "slow:" not in line]
    assert process.returncode == code and "Traceback" not in told, told
    assert lines[-1].endswith(f"{word}; finished items are kept, run the same command again to continue"), told
    for _ in range(100):
        if not any(map(alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(alive, workers))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_a_killed_worker_is_one_line(tmp_path):
    process, workers = started(tmp_path)
    os.kill(workers[0], signal.SIGKILL)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in told, told
    assert "error: a worker process was killed" in told


def test_ctrl_c_while_modules_are_imported_is_one_line(tmp_path):
    done = ended("quiet_interrupt()\nraise KeyboardInterrupt", tmp_path)
    assert done.returncode == -signal.SIGINT or done.returncode == 130
    assert done.stderr == "interrupted; finished items are kept, run the same command again to continue\n"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_the_workers_of_a_killed_command_end_too(tmp_path):
    process, workers = started(tmp_path)
    process.kill()
    process.wait(timeout=60)
    for _ in range(200):
        if not any(map(alive, workers)):
            break
        time.sleep(0.1)
    left = [pid for pid in workers if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
