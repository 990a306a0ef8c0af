"""Fine-tuning that keeps the reconstruction: frames drawn as for every row of Table 2, with the latents beside them."""

from dataclasses import replace

import pytest
import torch
from training import test_folds as tools
from training import test_models_in_folds as models

from mer import params
from mer.base import store
from mer.base.errors import MerError
from mer.models.ma2mi import kept
from mer.training import engine
from mer.training import task as tasks

data = models.data  # the fixture: label stores of the nine clips and their latents


def drawn(p, data, folder, seed=3):
    """(clips, rows, the batch) of a fold's method."""
    plan = tools.plan_of(p, data, folder)
    method = tasks.task(p)
    clips, rows = method.load(data, plan.entries, "cpu"), torch.arange(len(plan.entries))
    budget = engine.budget(p, p.train, len(rows))
    return clips, rows, method.draw(clips, rows, budget, torch.Generator().manual_seed(seed))


def test_every_row_of_table_2_trains_on_the_same_frames(data, tmp_path):
    p = models.knobs(tmp_path, models.VARIANTS["ma2mi keep"])
    assert p.align.size > p.train.crop and p.ma2mi.turn > 0
    without = replace(p, ma2mi=replace(p.ma2mi, keep_reconstruction=False))
    assert torch.equal(drawn(p, data, tmp_path)[2].frames, drawn(without, data, tmp_path)[2].frames)


def test_the_latents_are_those_of_onset_and_apex_mirrored_as_the_frames_are(data, tmp_path):
    p = models.knobs(tmp_path, models.VARIANTS["ma2mi keep"])
    clips, _, batch = drawn(p, data, tmp_path)
    _, _, plain = drawn(replace(p, ma2mi=replace(p.ma2mi, keep_reconstruction=False, turn=0.0)), data, tmp_path)
    flips = plain.flips.tolist()
    assert set(flips) == {True, False}
    for entry, flip, latents in zip(clips.entries, flips, batch.latents, strict=True):
        path = data / "latents/own" / f"{entry.subject.split('/')[1]}.h5"
        record = store.read_shard(path)[0][entry.clip.clip_id]
        expected = torch.from_numpy(record["mean"][int(flip), [0, 2]]).float()  # frames 1 and 3 of 1..5
        assert torch.equal(latents, expected)


def test_in_pixel_space_the_latents_are_the_frames_that_are_drawn(data, tmp_path):
    p = models.knobs(tmp_path, models.VARIANTS["ma2mi pixels"])
    p = replace(p, ma2mi=replace(p.ma2mi, keep_reconstruction=True))
    clips, _, batch = drawn(p, data, tmp_path)
    assert isinstance(clips, kept.Kept) and clips.mean is None
    torch.testing.assert_close(batch.latents, (2 * batch.frames - 1).expand(-1, -1, 3, -1, -1))


def test_latents_of_another_crop_are_refused(tmp_path):
    keep = {**models.VARIANTS["ma2mi keep"]}
    with pytest.raises(MerError, match=r"params.yaml: train.crop = 60 with pretrain.crop = 64; expected the same with "
                                       r"ma2mi.keep_reconstruction = true, whose latents are of one crop"):
        models.knobs(tmp_path, {**keep, "train": {**models.BUDGET, "crop": 60, "eval_every": 1}})
    pixels = {"ma2mi": {**keep["ma2mi"], "autoencoder": "none"}}
    found = models.knobs(tmp_path, {**keep, **pixels, "train": {**models.BUDGET, "crop": 60, "eval_every": 1}})
    assert isinstance(found, params.Params)
