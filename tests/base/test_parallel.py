"""The map over work items: order, resume, errors from workers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mer.base import graph, parallel, scratch, store
from mer.base.errors import MerError

ROOT = Path(__file__).parents[2]


def double(item):
    return {"value": np.array([item * 2])}


def picky(item):
    if item == 3:
        raise MerError("item 3: is bad; expected a good one")
    return {"value": np.array([item])}


ITEMS = [(f"clip{i}", i) for i in range(6)]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    results = parallel.run_items(double, ITEMS, desc="test", unit="item", workers=workers)
    assert [result["value"][0] for result in results] == [0, 2, 4, 6, 8, 10]


def test_a_second_run_reuses_what_the_first_finished_and_says_so(tmp_path, capsys):
    with pytest.raises(MerError, match="item 3"):
        scratch.work(picky, ITEMS, tmp_path, desc="label", workers=1)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["clip0", "clip1", "clip2"]
    stamp = (tmp_path / "clip0.h5").stat().st_mtime_ns
    assert scratch.work(double, ITEMS, tmp_path, desc="label", workers=1, attrs={"units": "px"}, made={"clip5"}) is None
    assert "reusing 4 of 6 clips from an interrupted run" in capsys.readouterr().err
    assert (tmp_path / "clip0.h5").stat().st_mtime_ns == stamp
    found = {path.stem: store.read_shard(path) for path in tmp_path.iterdir()}
    assert [found[f"clip{i}"][0][f"clip{i}"]["value"][0] for i in range(5)] == [0, 1, 2, 6, 8]  # three are picky's
    assert len(found) == 5 and found["clip4"][1] == {"units": "px"}


def test_an_error_in_a_worker_process_arrives_as_it_is():
    with pytest.raises(MerError, match="item 3: is bad"):
        parallel.run_items(picky, ITEMS, desc="test", unit="item", workers=2)


def test_the_scratch_folder_depends_on_every_input(monkeypatch, tmp_path):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    one = scratch.scratch_dir("flow", {"sets": 1}, "digest")
    assert one == scratch.scratch_dir("flow", {"sets": 1}, "digest")
    others = [("flow", {"sets": 2}, "digest"), ("flow", {"sets": 1}, "d"), ("align", {"sets": 1}, "digest")]
    assert len({one, *(scratch.scratch_dir(*words) for words in others)}) == 4
    scratch.clear_scratch("flow", keep=one)
    assert one.exists()
    scratch.clear_scratch("flow")
    assert not one.exists()


def test_another_run_waits_for_the_folder_and_does_not_clear_it(monkeypatch, tmp_path):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    mine = scratch.scratch_dir("flow", 1)
    (mine / "clip.h5").touch()
    other = ("from mer.base import scratch; scratch.clear_scratch('flow'); scratch.scratch_dir('flow', 2); "
             "folder = scratch.scratch_dir('flow', 1); print(sorted(path.name for path in folder.iterdir()))")
    process = subprocess.Popen([sys.executable, "-c", other], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "flow: waiting for another run that makes the same\n"
    assert (mine / "clip.h5").exists() and len(list(mine.parent.iterdir())) == 2 and process.poll() is None
    scratch.clear_scratch("flow")  # leaves the other's own folder
    assert process.communicate(timeout=60)[0] == "[]\n" and process.returncode == 0


def test_a_digest_changes_with_content_and_names(tmp_path):
    (tmp_path / "a").write_text("x")
    first = graph.digest(tmp_path)
    (tmp_path / "a").write_text("y")
    second = graph.digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, graph.digest(tmp_path)}) == 3


def held(_):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks on this system")
def test_workers_never_see_ctrl_c_from_their_start_on():
    """Of a process that has started none before: what loky starts first lets signals through again."""
    code = ("from base.test_parallel import held; from mer.base import parallel; "
            "print(parallel.run_items(held, [(str(i), i) for i in range(4)], desc='d', unit='u', workers=2), held(0))")
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path})
    assert done.stdout == "[True, True, True, True] False\n", done.stderr
