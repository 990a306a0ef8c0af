"""A run whose data stay in the shards: the bytes of a resident one, the same errors before training, bounded reads."""

import shutil
import threading
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from pipeline import digests
from training import test_folds as tools
from training import test_models_in_folds as models

from mer.base.errors import MerError
from mer.labels import records
from mer.models.ma2mi import autoencoder_training
from mer.training import batches, engine, folds, pretrain, streaming
from mer.training.streaming import Streamed

GPU = pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(),
                                                                      reason="torch sees no GPU here")])
KEEP = {**models.SMALL["ma2mi"], "keep_reconstruction": True, "posterior": "sample"}
VARIANTS = {
    "mol": {"model": "mol", "mol": {"width": 0.03125, "k": 2}},
    "fdp": {"model": "fdp", "sampling": {"t": tools.T, "sets": 4}},  # from a film
    "offapexnet": {"model": "offapexnet", "sampling": {"t": 2}},
    "ma2mi": {"model": "ma2mi"},
    "ma2mi keep": {"model": "ma2mi", "ma2mi": KEEP},
    "ma2mi pixels": models.VARIANTS["ma2mi pixels"],
}


def stored(folder, name):
    """The parameters of a variant, and its label stores."""
    p = models.knobs(folder, VARIANTS[name])
    p = replace(p, selection=("last", "oracle"), pretrain=replace(p.pretrain, batch=4), train=replace(p.train, batch=4))
    tools.write_stores(folder, p)
    if p.model == "ma2mi":
        models.write_latents(folder)
    return p


def streamed(p, gb=0.0):
    return replace(p, train=replace(p.train, resident_gb=gb))


def trained(p, data, scratch, device):
    """Digests of all that pretraining and a fold write, and what the pretrained network says of all clips."""
    plan = replace(tools.plan_of(p, data, scratch / "pretraining"), device=device)
    pretrain.run(plan, 0, scratch / "pretrained")
    plan = replace(plan, scratch=scratch / "folds", pretrained=scratch / "pretrained")
    tools.run(plan)
    said = [] if p.model == "ma2mi" else folds.zero_shot(plan, [[0], [1], [2]], 0).p.tolist()
    return {file.split("/", 1)[1]: value for file, value in digests(scratch).items()}, said, folds.load_clips(plan)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_streamed_run_gives_the_bytes_of_a_resident_one(name, device, tmp_path, capsys):
    p = stored(tmp_path, name)
    *resident, clips = trained(streamed(p, 1.0), tmp_path, tmp_path / "resident", device)
    assert not isinstance(clips, Streamed)
    assert "8 clips, 0.00" in (told := capsys.readouterr().err) and f"GB: on the device ({device})" in told
    *read, clips = trained(streamed(p), tmp_path, tmp_path / "streamed", device)
    assert isinstance(clips, Streamed) and "GB: streamed from data/aligned" in capsys.readouterr().err
    assert {file.split("/")[-1] for file in read[0]} >= {"log.csv", "model.pt", "predictions.csv", "diagnostics.json"}
    assert read == resident


def test_a_streamed_autoencoder_is_the_resident_one(tmp_path):
    p = stored(tmp_path, "ma2mi")
    told = [autoencoder_training.run(each, [tmp_path / "aligned/own"], tmp_path / f"{i}/scratch", tmp_path / f"{i}/out",
                                     "cpu") for i, each in enumerate((p, streamed(p)))]
    found = [list(digests(tmp_path / f"{i}/out").values()) for i in range(2)]
    assert told[0] == told[1] and found[0] == found[1] and len(found[0]) == 2


def load(p, data):
    plan = tools.plan_of(p, data, data / "scratch")
    return plan.task.load(data, plan.entries, "cpu")


def changed(data, stage, name, change, summed=True):
    """Change an array of the clip s02_happy; `summed`: its store's summary.json tells of it, as if it was made so."""
    path = data / stage / "own/s02.h5"
    found = {clip: dict(arrays) for clip, arrays in records.store.read_shard(path)[0].items()}
    found["s02_happy"][name] = change(found["s02_happy"][name].copy())
    records.store.write_shard(path, found)
    summary = records.store.read_json(path.parent / "summary.json")
    told = summary["shards"] | {path.name: records.store.digest(path)} if summed else summary["shards"]
    records.store.write_json(path.parent / "summary.json", {**summary, "shards": told})


def damaged(data):
    with h5py.File(data / "aligned/own/s02.h5", "r+") as file:
        file["s02_happy/frames"][4, 100, 100] ^= 1  # of a frame that no set may have


def not_finite(array):
    array[-1] = np.nan
    return array


SPOILED = {
    r"s02\.h5: clip s02_happy, frames: damaged, its checksum differs": damaged,
    r"aligned/own: clip s02_happy, points: holds numbers that are not finite":
        lambda data: changed(data, "aligned", "points", not_finite),
    r"flow/own: clip s02_happy, flow: holds numbers that are not finite":
        lambda data: changed(data, "flow", "flow", not_finite),
    r"data/flow/own: clip s02_happy is labelled for other sampled frames":
        lambda data: changed(data, "flow", "index", lambda index: index + 1),
    r"s02\.h5: clip s02_happy, frames: uint8, \(5, 100, 144\); expected uint8, \(..., 144, 144\)":
        lambda data: changed(data, "aligned", "frames", lambda frames: frames[:, :100]),
    r"aligned/own/s02\.h5: not the shard that the summary.json beside it tells of":
        lambda data: changed(data, "aligned", "frames", lambda frames: 255 - frames, summed=False),
    r"flow/own: clip s02_happy is neither labelled nor excluded": lambda data: (data / "flow/own/s02.h5").write_bytes(
        (data / "flow/own/s01.h5").read_bytes()),
    r"s02\.h5: no such shard": lambda data: (data / "flow/own/s02.h5").unlink(),
    r"s02\.h5: unreadable HDF5 shard": lambda data: (data / "flow/own/s02.h5").write_bytes(b"no shard"),
}


@pytest.fixture(scope="module")
def mol(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mol")
    return stored(folder, "mol"), folder


@pytest.mark.parametrize("gb", [None, 0.0])
@pytest.mark.parametrize("message", SPOILED)
def test_what_can_be_known_is_refused_before_training(message, gb, mol, tmp_path):
    p, data = mol
    for stage in ("aligned", "flow", "dynamic"):
        shutil.copytree(data / stage, tmp_path / stage)
    SPOILED[message](tmp_path)
    with pytest.raises(MerError, match=message):
        load(streamed(p, gb), tmp_path)


def test_a_shard_that_changes_meanwhile_ends_the_training_in_a_line(mol, tmp_path):
    p, data = mol
    for stage in ("aligned", "flow", "dynamic"):
        shutil.copytree(data / stage, tmp_path / stage)
    plan = tools.plan_of(streamed(p), tmp_path, tmp_path / "scratch")
    clips, rows = plan.task.load(tmp_path, plan.entries, "cpu"), torch.arange(8)
    model, _ = folds.start_model(plan, clips, rows[:2], 0, "x")
    changed(tmp_path, "aligned", "frames", lambda frames: frames[:4])
    before = threading.active_count()
    with pytest.raises(MerError, match=r"aligned/own/s02\.h5: changed while it was read; run the same command again"):
        engine.train(model, plan.task, clips, rows, engine.budget(p, p.train, 8), seed=0, state=tmp_path / "s.pt",
                     desc="test")
    assert threading.active_count() == before  # no reader is left


def test_a_read_for_another_draw_is_refused(mol):
    p, data = mol
    clips, method, rows = load(streamed(p), data), tools.plan_of(p, data, data).task, torch.arange(4)
    budget = engine.budget(p, p.train, 8)
    picked, other = (method.pick(clips, rows, budget, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    batch = method.draw(picked, rows, budget, torch.Generator().manual_seed(1))
    again = method.draw(load(p, data), rows, budget, torch.Generator().manual_seed(1))
    assert all(torch.equal(one, two) for one, two in zip(vars(batch).values(), vars(again).values(), strict=True))
    with pytest.raises(RuntimeError, match="`pick` has read for another draw"):
        method.draw(other, rows, budget, torch.Generator().manual_seed(1))


def test_streamed_clips_go_to_another_process_as_what_says_where_they_lie(mol, tmp_path):
    p, data = mol
    clips = load(streamed(p), data)
    batches.test_batch(clips, torch.tensor([0, 5]), crop=128)  # files are open
    torch.save(clips, tmp_path / "clips.pt")
    assert (tmp_path / "clips.pt").stat().st_size < 100_000
    again = torch.load(tmp_path / "clips.pt", weights_only=False, mmap=True)
    rows = torch.arange(8)
    assert torch.equal(batches.test_batch(again, rows, crop=128).flow, batches.test_batch(clips, rows, crop=128).flow)


def test_only_rows_that_are_drawn_are_read_and_a_few_steps_ahead(mol, monkeypatch):
    p, data = mol
    clips = load(streamed(p), data)
    sizes, read = [], clips.frames.files.read

    def counted(number, offset, into):
        sizes.append(into.nbytes)
        read(number, offset, into)

    monkeypatch.setattr(clips.frames.files, "read", counted)
    batches.test_batch(clips, torch.tensor([0, 5]), crop=128)
    assert sum(sizes) == 2 * tools.T * (tools.SIDE ** 2 + 68 * 2 * 4)  # files of frames and points are the same
    began = []
    found = streaming.sources(clips, lambda step: began.append(step) or step, range(100))
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    found.close()
    assert set(began) <= set(range(5 + streaming.AHEAD))
    assert next(streaming.sources("resident", None, range(3))) == "resident"


@pytest.mark.parametrize(("free", "gb", "chosen"), [(300, None, True), (150, None, False), (None, None, True),
                                                    (1, 100e-9, True), (10**9, 99e-9, False)])
def test_data_are_resident_where_they_fit(free, gb, chosen, monkeypatch, capsys):
    monkeypatch.setattr(streaming.memory, "free", lambda: free)
    assert streaming.fits(2, 100, "cpu", gb, "data/aligned") is chosen
    where = "on the device (cpu)" if chosen else "streamed from data/aligned"
    assert capsys.readouterr().err == f"2 clips, 1e-07 GB: {where}\n"
