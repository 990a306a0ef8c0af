"""Shards and text files: whole or not at all, the same bytes for the same content."""

import time
import weakref
from collections.abc import Mapping

import numpy as np
import pytest

from mer.base import store
from mer.base.errors import MerError

CLIPS = {"b": {"frames": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "flow": np.ones((2, 2), np.float16)},
         "a": {"points": np.linspace(0, 1, 5, dtype=np.float32), "empty": np.zeros((0, 2), np.int32)}}


def test_a_shard_gives_back_what_was_written_and_its_attributes(tmp_path):
    store.write_shard(tmp_path / "deep" / "s.h5", CLIPS, {"units": "px"})
    clips, attrs = store.read_shard(tmp_path / "deep" / "s.h5")
    assert attrs == {"units": "px"} and set(clips) == {"a", "b"}
    for clip_id, arrays in CLIPS.items():
        for name, array in arrays.items():
            assert clips[clip_id][name].dtype == array.dtype
            np.testing.assert_array_equal(clips[clip_id][name], array)
    assert list(store.read_shard(tmp_path / "deep" / "s.h5", ["flow"])[0]["b"]) == ["flow"]


def test_the_same_content_gives_the_same_bytes_later_and_in_another_order(tmp_path):
    store.write_shard(tmp_path / "1.h5", CLIPS)
    time.sleep(1.1)  # HDF5's times have a resolution of one second
    store.write_shard(tmp_path / "2.h5", dict(reversed(CLIPS.items())))
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    store.write_shard(tmp_path / "s.h5", CLIPS)
    before = (tmp_path / "s.h5").read_bytes()
    with pytest.raises(TypeError):
        store.write_shard(tmp_path / "s.h5", {"c": {"bad": np.array([object()])}})
    assert (tmp_path / "s.h5").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]


def test_damaged_missing_and_foreign_shards_are_named(tmp_path):
    store.write_shard(tmp_path / "s.h5", CLIPS)
    whole = (tmp_path / "s.h5").read_bytes()
    (tmp_path / "s.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MerError, match=r"s\.h5: unreadable HDF5 shard"):
        store.read_shard(tmp_path / "s.h5")
    with pytest.raises(MerError, match=r"none\.h5: no such shard"):
        store.read_shard(tmp_path / "none.h5")


def test_json_refuses_nan_and_names_a_damaged_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_json(tmp_path / "m.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(MerError, match=r"m\.json: not valid JSON"):
        store.read_json(tmp_path / "m.json")


def test_csv_floats_survive_as_float32(tmp_path):
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    store.write_csv(tmp_path / "t.csv", ["x"], [[value] for value in values])
    back = np.array((tmp_path / "t.csv").read_text().split()[1:], dtype=np.float32)
    np.testing.assert_array_equal(back, values)


def test_arrays_that_are_made_when_they_are_asked_for_are_held_one_at_a_time(tmp_path):
    class Array(np.ndarray):  # a plain one bears no weak reference
        pass

    made, most = [], [0]

    class Lazy(Mapping):
        def __getitem__(self, name):
            array = np.full(1000, ord(name), np.int32).view(Array)
            made.append(weakref.ref(array))
            most[0] = max(most[0], sum(one() is not None for one in made))
            return array

        def __iter__(self):
            return iter("ab")

        def __len__(self):
            return 2

    store.write_shard(tmp_path / "lazy.h5", {"one": Lazy(), "two": Lazy()})
    plain = {name: np.full(1000, ord(name), np.int32) for name in "ab"}
    store.write_shard(tmp_path / "plain.h5", {"one": plain, "two": plain})
    assert len(made) == 4 and most[0] <= 2
    assert (tmp_path / "lazy.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()
