"""What the doctor sees of the place: a repository above, a broken lock file of DVC, a full cache, no file locks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mer.base import store
from mer.runs import places, tracked

ROOT = Path(__file__).parents[2]


def test_a_project_may_be_a_part_of_a_repository(tmp_path):
    inside = tmp_path / "study/recognition"
    inside.mkdir(parents=True)
    assert [level for level, _ in places.repository(inside)] == ["FAIL", "FAIL"]
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")  # of a worktree it is a file
    (inside / ".dvc").mkdir()
    assert not list(places.repository(inside))


@pytest.mark.parametrize(("text", "broken"), [("{}", False), ('{"write": {}, "read": {}}', False), ("", True),
                                              ('{"wri', True), ("[]", True)])
def test_what_a_kill_left_of_dvcs_lock_file(tmp_path, text, broken):
    assert not list(places.lock_of_dvc(tmp_path))
    store.write_text(tmp_path / ".dvc/tmp/rwlock", text)
    told = list(places.lock_of_dvc(tmp_path / "below"))
    assert bool(told) == broken
    assert all(level == "FAIL" and "rwlock" in line and "delete this file" in line for level, line in told)


def test_products_that_the_cache_did_not_take(tmp_path, monkeypatch):
    monkeypatch.setattr(tracked, "cache", lambda root: root / ".dvc/cache")
    md5 = "0123456789abcdef0123456789abcdef"
    store.write_text(tmp_path / "dvc.lock", yaml.safe_dump({"stages": {"evaluate": {"outs": [
        {"path": "reports/predictions.csv", "md5": md5}, {"path": "reports/metrics.json", "md5": md5[::-1]}]}}}))
    store.write_text(tmp_path / "dvc.yaml", yaml.safe_dump({"stages": {"evaluate": {
        "outs": ["reports/predictions.csv"], "metrics": [{"reports/metrics.json": {"cache": False}}]}}}))
    assert not list(places.cached(tmp_path))  # nothing is checked out: nothing is lost
    for name in ("predictions.csv", "metrics.json"):
        store.write_text(tmp_path / "reports" / name, "")
    ((level, line),) = places.cached(tmp_path)
    assert level == "WARN" and "1 products of dvc.lock are not in it, the first reports/predictions.csv" in line
    assert "MB are free there" in line and "dvc commit" in line
    store.write_text(tracked.place(tmp_path / ".dvc/cache", md5), "")
    assert not list(places.cached(tmp_path))


def test_the_list_of_a_folder_is_read(tmp_path):
    out = tracked.Out("data/flow/mine", "ab" + "0" * 30 + ".dir", "flow@mine")
    assert list(tracked.files(tmp_path, out)) == []
    store.write_text(tracked.place(tmp_path, out.md5), json.dumps([{"relpath": "s01.h5", "md5": "x"}]))
    assert list(tracked.files(tmp_path, out)) == [("data/flow/mine/s01.h5", "x")]


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory) -> dict[str, str]:
    """The environment of a process whose file system gives no locks, as NFS and Lustre may."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD")
    folder = tmp_path_factory.mktemp("preload")
    (folder / "locks.c").write_text("#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "locks.so", folder / "locks.c"], check=True)
    return {**os.environ, "LD_PRELOAD": str(folder / "locks.so"), "PYTHONPATH": str(ROOT)}


def run(body: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    words = [sys.executable, "-c", f"from mer.base.errors import main\ndef run():\n    {body}\nmain(run)"]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_without_file_locks_shards_are_read_and_written(tmp_path, no_locks):
    done = run("import numpy; from mer.base import store; store.write_shard('a.h5', {'c': {'x': numpy.ones(3)}}); "
               "print(store.read_shard('a.h5')[0]['c']['x'].sum())", tmp_path, no_locks)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3.0\n", "")


def test_without_file_locks_a_stage_names_the_cause(tmp_path, no_locks):
    done = run("from mer.base import scratch; scratch.scratch_dir('flow@mine')", tmp_path, no_locks)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "this file system gives no locks: make .scratch a link to a folder on a local disk" in done.stderr
    assert "delete" not in done.stderr


def test_without_file_locks_the_doctor_says_so(tmp_path, no_locks):
    done = run("from pathlib import Path; from mer.runs import places; print(*places.locks(Path('.')))", tmp_path,
               no_locks)
    assert done.stdout.startswith("FAIL file locks in ") and "gives no locks" in done.stdout, done.stderr
    assert places.locks(tmp_path) == ("OK", "file locks: given")


def test_another_program_that_holds_a_shard_does_not_make_it_damaged(tmp_path):
    import h5py
    import numpy as np

    store.write_shard(tmp_path / "a.h5", {"c": {"x": np.ones(3)}})
    with h5py.File(tmp_path / "a.h5", "r+"):
        done = run("from mer.base import store; print(store.read_shard('a.h5')[0]['c']['x'].sum())", tmp_path,
                   {**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (0, "3.0\n"), done.stderr
