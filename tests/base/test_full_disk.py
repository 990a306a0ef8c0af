"""On a disk that gets full each writer says, in a line, which file it was, what it needs and what is free; nothing half
written is left, and with room the same call makes the same bytes. Real small file systems where one may mount them."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mer.base import errors, store

ROOT = Path(__file__).parents[2]
BIG = 300_000  # bytes, more than the small file system has


@pytest.fixture
def small(tmp_path):
    """A folder on a file system of 256 KB; elsewhere a process' largest file is a fourth of BIG."""
    folder = tmp_path / "small"
    folder.mkdir()
    if not sys.platform.startswith("linux") or os.geteuid():
        pytest.skip("mounts a small file system, for which one must be root on Linux")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("this container may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def shard(path):
    store.write_shard(path, {"c": {"x": np.arange(BIG // 8, dtype=np.int64)}}, {})


def text(path):
    store.write_text(path, "x" * BIG)


def checkpoint(path):
    import torch

    from mer.training import checkpoint

    checkpoint.save(path, {"model": {"w": torch.zeros(BIG // 4)}})


def picture(path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from mer.reporting import plots

    figure, axes = plt.subplots()
    axes.imshow(np.random.default_rng(0).random((400, 400)))
    plots.save(figure, path, "title", "words", True)


@pytest.mark.parametrize("write", [shard, text, checkpoint, picture])
def test_a_full_disk_is_a_line_and_leaves_nothing(small, write):
    path = small / "product"
    if write is picture:
        (small / "filled").write_bytes(b"x" * 250_000)
    with pytest.raises(OSError, match="No space left") as caught:
        write(path)
    said = errors.refused(caught.value)
    assert said.startswith(f"{path}: No space left on device; ") and " MB are free there; make room" in said, said
    assert (write is picture) or " MB are needed, " in said, said
    assert [one.name for one in small.iterdir() if one.name != "filled"] == []


def test_with_room_the_same_call_makes_the_same_bytes(small, tmp_path):
    with pytest.raises(OSError, match="No space left"):
        shard(small / "a.h5")
    subprocess.run(["mount", "-o", "remount,size=2m", small], check=True)
    shard(small / "a.h5")
    shard(tmp_path / "a.h5")
    assert (small / "a.h5").read_bytes() == (tmp_path / "a.h5").read_bytes()


def test_an_error_of_a_worker_keeps_what_is_needed():
    import pickle

    error = errors.full(OSError(errno.ENOSPC, "x"), Path("/nowhere/a.h5"), 5_000_000)
    assert "5.00 MB are needed, " in errors.refused(pickle.loads(pickle.dumps(error)))


@pytest.mark.parametrize("error", [
    OSError("Unable to close file (file write failed: errno = 28, error message = 'No space left on device')"),
    OSError([("a/x", "b/x", "[Errno 28] No space left on device: 'b/x'")])])  # HDF5's words, and shutil's
def test_others_words_for_a_full_disk(error):
    said = errors.refused(error)
    assert "No space left on device" in said and "make room" in said


def test_a_full_disk_behind_another_error_is_told(tmp_path):
    """joblib says that it could not pickle, and that because a disk was full."""
    body = ("from mer.base.errors import main\ndef run():\n    try:\n        raise OSError(28, 'x', 'big')\n"
            "    except OSError as error:\n        raise ValueError('could not pickle') from error\nmain(run)")
    done = subprocess.run([sys.executable, "-c", body], cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and done.stderr.startswith("error: big: No space left on device; "), done.stderr
