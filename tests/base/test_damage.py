"""Damage is found when it is read: in shards, in checkpoints, in what a run predicts."""

import shutil

import h5py
import numpy as np
import pytest
import torch

from mer.base import store
from mer.base.errors import MerError
from mer.evaluation import predictions
from mer.training import checkpoint

RNG = np.random.default_rng(0)
CLIPS = {f"c{i}": {"frames": RNG.integers(0, 256, (4, 16, 16), np.uint8), "points": RNG.normal(size=(4, 68, 2)),
                   "empty": np.zeros((0, 3), np.float32), "one": np.float32(2.5), "words": np.array([b"why", b"not"])}
         for i in range(3)}


@pytest.fixture
def shard(tmp_path):
    store.write_shard(tmp_path / "s01.h5", CLIPS, {"units": "px"})
    return tmp_path / "s01.h5"


def test_what_is_whole_is_read_back(shard):
    clips, about = store.read_shard(shard)
    assert about == {"units": "px"} and set(clips) == set(CLIPS)
    for name, record in CLIPS.items():
        assert all(np.array_equal(clips[name][key], value) for key, value in record.items())


def test_two_hundred_flipped_bits_of_arrays_are_all_found(shard):
    whole = shard.read_bytes()
    with h5py.File(shard, "r") as file:
        places = [(data.id.get_offset() + int(RNG.integers(data.nbytes))) for group in file.values()
                  for data in group.values() if data.nbytes for _ in range(20)]
    assert len(places) >= 200
    for place in places[:200]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(RNG.integers(8))
        shard.write_bytes(damaged)
        with pytest.raises(MerError, match=r"s01.h5: clip c\d, \w+: damaged, its checksum differs; delete it"):
            store.read_shard(shard)


@pytest.mark.parametrize("spoil", [lambda f: f.attrs.__delitem__("about"), lambda f: f.attrs.__delitem__("schema"),
                                   lambda f: f.attrs.__setitem__("about", "{"),
                                   lambda f: f.attrs.__setitem__("schema", 1),
                                   lambda f: f["c0/points"].attrs.__delitem__("crc32"),
                                   lambda f: f.create_dataset("stray", data=1)])
def test_a_shard_without_its_parts_is_one_line(shard, spoil):
    with h5py.File(shard, "r+") as file:
        spoil(file)
    with pytest.raises(MerError, match=r"s01.h5.*run `dvc repro`"):
        store.read_shard(shard)


def test_a_flipped_bit_in_a_checkpoint_is_found_wherever_it_is(tmp_path):
    path = tmp_path / "model.pt"
    checkpoint.save(path, {"model": {"weight": torch.randn(64, 64)}, "classes": ["a", "b"]})
    whole, found = path.read_bytes(), 0
    for place in RNG.integers(len(whole), size=200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(RNG.integers(8))
        path.write_bytes(damaged)
        try:
            again = checkpoint.load(path)
        except MerError:
            found += 1
            continue
        path.write_bytes(whole)  # a bit that is read by nobody, such as of the padding
        assert torch.equal(again["model"]["weight"], checkpoint.load(path)["model"]["weight"])
    assert found >= 190
    path.write_bytes(whole)
    assert checkpoint.load(path)["classes"] == ["a", "b"]


def test_a_fold_that_is_gone_is_not_passed_over(tmp_path):
    from reporting import fabricate

    root = fabricate.run_folder(tmp_path, fabricate.table(subjects=3, per_class=1))
    folds = root / "data/folds"
    files = sorted(folds.glob("*/*/predictions.csv"))
    table = predictions.of_folds(folds, files, [0])
    store.write_csv(folds / "folds.csv", ["fold", "clip_id", "subject"], [
        [fold, clip, subject] for fold, clip, subject in dict.fromkeys(
            zip(table.fold, table.clip_id, table.subject, strict=True))])
    assert len(predictions.of_folds(folds, files, [0])) == len(table)
    with pytest.raises(MerError, match=r"folds: 9 of 18 predictions that folds.csv names are not there \(sel"):
        predictions.of_folds(folds, files, [0, 1])
    whole = files[0].read_text()
    lines = whole.splitlines(keepends=True)
    lines.remove(next(line for line in lines if ",oracle," in line))
    files[0].write_text("".join(lines))
    with pytest.raises(MerError, match=r"1 of 9 predictions that folds.csv names are not there \(selection oracle\)"):
        predictions.of_folds(folds, files, [0])
    files[0].write_text(whole)
    shutil.rmtree(files[1].parent)
    with pytest.raises(MerError, match=r"folds: 3 of 9 predictions that folds.csv names are not there \(sel"):
        predictions.of_folds(folds, sorted(folds.glob("*/*/predictions.csv")), [0])


def test_a_fold_of_another_run_is_not_counted(tmp_path):
    from reporting import fabricate

    root = fabricate.run_folder(tmp_path, fabricate.table(subjects=3, per_class=1))
    folds = root / "data/folds"
    files = sorted(folds.glob("*/*/predictions.csv"))
    table = predictions.of_folds(folds, files[:2], [0])
    store.write_csv(folds / "folds.csv", ["fold", "clip_id"], dict.fromkeys(
        zip(table.fold.tolist(), table.clip_id.tolist(), strict=True)))
    with pytest.raises(MerError, match=r"folds: 3 predictions are none that folds.csv names, the first of clip"):
        predictions.of_folds(folds, files, [0])
