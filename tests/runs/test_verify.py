"""`mer doctor --verify` finds a flipped bit in whatever it reads, names the file, and says what makes it anew."""

import hashlib
import json
import sys

import numpy as np
import pytest
import torch
import yaml

from mer import doctor
from mer.base import store
from mer.base.errors import MerError
from mer.runs import damage, finished, networks, tracked
from mer.training import checkpoint


def put(root, content: bytes, end: str = "") -> str:
    """Give the cache an object; its name."""
    name = hashlib.md5(content).hexdigest()
    path = root / ".dvc/cache/files/md5" / name[:2] / (name[2:] + end)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name + end


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A store of two shards, a checkpoint and a table, in dvc.lock and in the cache; a piece in .scratch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracked, "cache", lambda root: root / ".dvc/cache")
    folder = tmp_path / "data/flow/mine"
    for name in ("s01", "s02"):
        store.write_shard(folder / f"{name}.h5", {name: {"flow": np.arange(500, dtype=np.float32)}}, {})
    store.write_text(folder / "clips.csv", "clip_id\nc\n")
    checkpoint.save(tmp_path / "data/pretrained/model.pt", {"model": {"w": torch.arange(100.0)}})
    listed = [{"md5": put(tmp_path, path.read_bytes()), "relpath": path.name} for path in sorted(folder.iterdir())]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {
        "flow@mine": {"outs": [{"path": "data/flow/mine", "md5": put(tmp_path, json.dumps(listed).encode(), ".dir")}]},
        "pretrain": {"outs": [{"path": "data/pretrained/model.pt",
                               "md5": put(tmp_path, (tmp_path / "data/pretrained/model.pt").read_bytes())}]}}}))
    store.write_shard(tmp_path / ".scratch/flow@mine/0/c.h5", {"c": {"flow": np.ones(5000)}})
    return tmp_path


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_is_whole_is_whole(project):
    assert damage.verify(project, []) == (10, [])


@pytest.mark.parametrize(("name", "anew"), [
    ("data/flow/mine/s01.h5", "delete it, then `dvc checkout data/flow/mine/s01.h5`"),
    ("data/flow/mine/clips.csv", "delete it, then `dvc checkout data/flow/mine/clips.csv`"),
    ("data/pretrained/model.pt", "delete it, then `dvc checkout data/pretrained/model.pt`"),
    (".scratch/flow@mine/0/c.h5", "delete it, the next run of its stage makes it anew")])
def test_a_flipped_bit_of_a_product_is_found(project, name, anew):
    flip(project / name)
    _, (found,) = damage.verify(project, [])
    assert found.path == name and found.anew == anew


def test_a_damaged_object_of_the_cache_that_dvc_restored(project):
    """`dvc checkout` restores it without a word; then the object, not the file alone, must go."""
    name = hashlib.md5((project / "data/flow/mine/s02.h5").read_bytes()).hexdigest()
    path = project / ".dvc/cache/files/md5" / name[:2] / name[2:]
    flip(path)
    (project / "data/flow/mine/s02.h5").write_bytes(path.read_bytes())
    _, found = damage.verify(project, [])
    mine = path.relative_to(project).as_posix()
    assert [one.path for one in found] == [mine, "data/flow/mine/s02.h5"]
    assert found[0].anew.startswith(f"delete data/flow/mine/s02.h5 and {mine}, then `dvc pull data/flow/mine` where")
    assert all("else `dvc repro flow@mine` makes it" in one.anew for one in found)


def test_an_object_that_nothing_needs(project):
    name = put(project, b"of an older run")
    flip(project / ".dvc/cache/files/md5" / name[:2] / name[2:])
    _, (found,) = damage.verify(project, [])
    assert found.anew == "no product here needs it: delete it"


def test_the_command_counts_and_fails(project, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["doctor", "--verify"])
    assert doctor.run() == 0 and "OK    10 files were read, 0 are damaged" in capsys.readouterr().out
    flip(project / "data/flow/mine/s01.h5")
    assert doctor.run() == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("FAIL  data/flow/mine/s01.h5: ") and told[-1] == "FAIL  10 files were read, 1 are damaged"


def test_a_folder_that_is_no_export(project):
    with pytest.raises(MerError, match=r"data: no export \(config.json is not there\)"):
        damage.verify(project, [project / "data"])


def test_a_changed_file_of_an_export_is_refused_before_it_is_used(tmp_path):
    path = tmp_path / "seed0_a.safetensors"
    path.write_bytes(b"weights")
    network = finished.Network(0, "a", ("a",), 1, 1, path, hashlib.sha256(b"weights").hexdigest())
    assert networks.unchanged(network)
    flip(path)
    assert not networks.unchanged(network)


@pytest.mark.parametrize("config", [{}, {"params": 1}, {"format": 1, "params": {}}, {"format": 1}])
def test_a_damaged_list_of_an_export_is_one_line(tmp_path, config):
    store.write_json(tmp_path / "config.json", config)
    with pytest.raises(MerError, match="config.json: "):
        finished.open_run(tmp_path)
