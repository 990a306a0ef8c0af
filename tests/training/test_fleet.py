"""Networks trained side by side, here or on a cluster: the bytes of one alone, and one copy of the clips."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import cluster as processes
import pytest
import torch
from pipeline import digests
from training import test_folds as tools

from mer.base.errors import MerError
from mer.base.knobs import Parallel
from mer.training import fleet, folds, pretrain

p, stores, alone = tools.p, tools.stores, tools.alone


def plan_on(p, stores, scratch: Path, **section) -> folds.Plan:
    on = Parallel(**{"workers": 0, "backend": "loky", **section})
    return tools.plan_of(replace(p, parallel=on, train=replace(p.train, workers=0)), stores, scratch)


def jobs(plan: folds.Plan, seeds=(0,)) -> list:
    return [(f"{fold.name} {seed}", (plan, seed, fold)) for seed in seeds for fold in folds.split(plan)]


def watched(job):
    """A fold, and of its process: its id, its place, how often it read the clips, whether it mapped them."""
    folds.run_fold(job)
    place = next(iter(fleet._held.values()))
    maps = Path("/proc/self/maps")
    mapped = "clips.pt" in maps.read_text() if maps.exists() else True
    return os.getpid(), Path(str(place[0].lock_file)).name, folds.load_clips.cache_info().misses, mapped


def test_two_devices_train_folds_side_by_side_with_the_bytes_of_one(alone, p, stores, tmp_path, capsys):
    plan = plan_on(p, stores, tmp_path, devices=("cpu", "cpu"))
    found = fleet.run(watched, jobs(plan), plan, desc="train", unit="fold")
    assert len(found) == 3 and len({pid for pid, *_ in found}) == 2
    assert {pid: place for pid, place, *_ in found}.keys() == {pid for pid, *_ in found}
    assert len({(pid, place) for pid, place, *_ in found}) == 2 == len({place for _, place, *_ in found})
    assert {rest for _, _, *rest in found for rest in [tuple(rest)]} == {(1, True)}  # read once a process, and mapped
    made = digests(folds.folder(plan, 0, tools.fold_of(plan)))
    assert made == digests(alone) and len(made) == 5
    told = float(capsys.readouterr().err.split(" MB of clips, one copy in memory for all processes")[0].split()[-1])
    clips = folds.load_clips(plan)
    tensors = [value for value in vars(clips).values() if isinstance(value, torch.Tensor)]
    size = sum(value.nbytes for value in tensors)
    assert size / 2**20 < told < size / 2**20 + 0.5
    assert not (tmp_path / folds.SHARED).exists()


def test_a_file_that_an_interrupted_run_left_is_taken(p, stores, tmp_path, monkeypatch):
    """As the scratch folder's key is that of the data."""
    plan = plan_on(p, stores, tmp_path)
    with folds.shared(plan):
        first = (tmp_path / folds.SHARED).stat().st_mtime_ns
        with folds.shared(plan):
            assert (tmp_path / folds.SHARED).stat().st_mtime_ns == first
        assert not (tmp_path / folds.SHARED).exists()
    monkeypatch.setattr(folds, "_read", None)
    with folds.shared(plan, wanted=False):
        assert not (tmp_path / folds.SHARED).exists()


def test_a_disk_that_is_too_small_for_the_networks_stops_training(p, stores, tmp_path, monkeypatch):
    plan = plan_on(p, stores, tmp_path)
    weights = sum(value.nbytes for value in plan.task.build(len(plan.classes)).state_dict().values())
    assert fleet.need(plan, jobs=3, at_work=2) == (3 + 2 * 3) * weights
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("free", "free")(weights))
    with pytest.raises(MerError, match=r"train: needs about \d+ MB of disk, \d+ MB are free in \S+; make room there"):
        fleet.run(folds.run_fold, jobs(plan), plan, desc="train", unit="fold")


@pytest.mark.slow
def test_folds_and_seeds_on_two_workers_over_tcp_of_which_one_is_killed(alone, p, stores, tmp_path, monkeypatch):
    pytest.importorskip("distributed")  # of the extra `cluster`
    monkeypatch.chdir(tmp_path)
    before = tmp_path / "pretraining"
    with processes.started(tmp_path / "dask") as dask:
        killer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(f"""
            import os, pathlib, signal, time
            while not list(pathlib.Path({str(tmp_path / 'folds')!r}).glob("0/*/[a-z]*")):
                time.sleep(0.01)
            os.kill({dask.workers[0].pid}, signal.SIGKILL)""")])
        plan = plan_on(p, stores, tmp_path / "folds", backend="dask", cluster=dask.address)
        fleet.run(folds.run_fold, jobs(plan), plan, desc="train", unit="fold")
        assert killer.wait(timeout=30) == 0 and dask.workers[0].poll() == -signal.SIGKILL
        knobs = replace(plan.params, pretrain=replace(p.pretrain, sources=("own",)), seeds=(0, 1))
        seeds = replace(plan, params=knobs, scratch=before)
        fleet.run(pretrain.run_seed, pretrain.jobs(seeds), seeds, desc="pretrain", unit="seed", pretraining=True)
    assert digests(folds.folder(plan, 0, tools.fold_of(plan))) == digests(alone)
    assert all(folds.is_done(plan, 0, fold) for fold in folds.split(plan))
    pretrain.run(seeds, 1, tmp_path / "here")
    assert digests(before / "1") == digests(tmp_path / "here/1") != digests(before / "0")


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs, as far as questions go."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(("devices", "workers", "count", "expected"), [
    ((), 0, 9, ["cuda:0", "cuda:1"] * 3), ((), 0, 4, ["cuda:0", "cuda:1"] * 2), ((), 0, 2, ["cuda:0", "cuda:1"]),
    ((), 3, 9, ["cuda:0", "cuda:1", "cuda:0"]), ((), 1, 9, ["cuda:0"]), (("cuda:1",), 0, 9, ["cuda:1"]),
    (("cuda:1", "cuda:1", "cuda:0"), 0, 9, ["cuda:1", "cuda:1", "cuda:0"])])
def test_the_places_on_gpus(p, stores, tmp_path, monkeypatch, gpus, devices, workers, count, expected):
    monkeypatch.setattr(fleet, "at_once", lambda plan: 3)
    plan = replace(plan_on(p, stores, tmp_path, devices=devices), device="cuda")
    plan = replace(plan, params=replace(plan.params, train=replace(p.train, workers=workers)))
    assert fleet.places(plan, count) == expected


@pytest.mark.parametrize(("threads", "workers", "count", "expected"), [
    (1, 0, 9, 8), (2, 0, 9, 4), (3, 0, 9, 2), (9, 0, 9, 1), (1, 0, 2, 2), (1, 5, 9, 5)])
def test_the_places_on_the_cpu(p, stores, tmp_path, monkeypatch, threads, workers, count, expected):
    monkeypatch.setattr("mer.base.parallel.cores", lambda: 8)
    train = replace(p.train, threads=threads, workers=workers)
    plan = tools.plan_of(replace(p, train=train), stores, tmp_path)
    assert fleet.places(plan, count) == ["cpu"] * expected
    if workers:
        assert fleet.places(plan, count, pretraining=True) == ["cpu"] * 8


@pytest.mark.parametrize(("free", "expected"), [(1, 1), (7, 2), (9, 3), (100, 4)])
def test_as_many_folds_as_the_gpu_s_memory_holds(p, stores, tmp_path, monkeypatch, free, expected):
    """Two real steps, here on the CPU; the numbers of the GPU are invented: 2 GB and the context's."""
    done = []
    for name, value in {"reset_peak_memory_stats": lambda: done.append("reset"), "empty_cache": lambda: None,
                        "max_memory_reserved": lambda: 2 * 2**30, "mem_get_info": lambda: (free * 2**30, 0)}.items():
        monkeypatch.setattr(torch.cuda, name, value)
    steps = fleet.engine.train
    monkeypatch.setattr(fleet.engine, "train", lambda *words, **more: done.append(steps(*words, **more)))
    assert fleet.at_once(plan_on(p, stores, tmp_path)) == expected
    assert done[0] == "reset" and [entry["step"] for entry in done[1][0]] == [1, 2] and len(done) == 2
    assert list(tmp_path.iterdir()) == []


def test_devices_that_are_not_here_or_of_another_kind_are_refused(p, gpus):
    def asked(device, *names):
        return fleet.pick_device(replace(p, train=replace(p.train, device=device),
                                         parallel=Parallel(0, "loky", devices=names)))

    assert asked("auto", "cuda:1") == "cuda" and asked("cpu", "cpu", "cpu") == "cpu"
    with pytest.raises(MerError, match=r"devices = \['cpu'\] with train.device = 'auto', which is cuda here"):
        asked("auto", "cpu")
    with pytest.raises(MerError, match="cuda:2 is not here; torch sees 2 GPUs"):
        asked("cuda", "cuda:0", "cuda:2")
