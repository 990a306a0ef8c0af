"""Rows of arrays by their place in the shards: what h5py reads there, by many threads, of files that do not change."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mer.base import columns, memory, store
from mer.base.errors import MerError


@pytest.fixture
def shards(tmp_path):
    """Three shards of two clips: (paths, {(shard, clip): array})."""
    rng, made, paths = np.random.default_rng(0), {}, []
    for s in range(3):
        clips = {f"c{c}": {"frames": rng.integers(0, 256, (3 + s + c, 4, 5), np.uint8), "mean": rng.normal(
            size=(2, 3 + s + c, 4)).astype(np.float16)} for c in range(2)}
        paths.append(tmp_path / f"s{s}.h5")
        store.write_shard(paths[-1], clips)
        made |= {(s, clip): arrays for clip, arrays in clips.items()}
    return paths, made


def column_of(shards, name, trailing):
    paths, made = shards
    found = [columns.places(path, ("c0", "c1"), (name,)) for path in paths]
    return columns.column(name, trailing, tuple(clip for _, clip in made), columns.Files(paths), [s for s, _ in made],
                          [found[s][clip][name] for s, clip in made])


@pytest.mark.parametrize(("name", "trailing"), [("frames", 2), ("mean", 1)])
def test_wholes_and_rows_are_those_of_the_shards(shards, name, trailing):
    column, made = column_of(shards, name, trailing), list(shards[1].values())
    assert column.length.tolist() == [int(np.prod(arrays[name].shape[:-trailing])) for arrays in made]
    for i, arrays in enumerate(made):
        assert np.array_equal(column.whole(i), arrays[name])
        for which in ([0], [0, 1, 2], [2, 0, 1], [1, 1, 2], []):
            into = np.empty((len(which), *column.row), column.dtype)
            column.rows(i, which, into)
            assert np.array_equal(into, arrays[name].reshape(-1, *column.row)[which])


def test_many_threads_read_the_same_with_few_open_files(shards, monkeypatch):
    monkeypatch.setattr(columns, "OPEN", 2)
    column, made = column_of(shards, "frames", 2), list(shards[1].values())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(column.whole, [i % 6 for i in range(300)]))
    assert all(np.array_equal(array, made[i % 6]["frames"]) for i, array in enumerate(found))


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(path.read_bytes()[:-3]), os.unlink])
def test_a_file_that_has_changed_is_refused(shards, change):
    column = column_of(shards, "frames", 2)
    change(shards[0][1])
    assert column.whole(0).size
    with pytest.raises(MerError, match=r"s1\.h5: changed while it was read"):
        column.rows(2, [0], np.empty((1, 4, 5), np.uint8))


def test_what_is_free_is_no_more_than_the_limit_leaves():
    assert memory.free() > 2**20
    pytest.importorskip("resource")
    code = ("import resource, psutil; from mer.base import memory; limit = psutil.Process().memory_info().vms + 2**27;"
            "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); print(memory.free())")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 <= int(done.stdout) <= 2**27
