"""Batches: crop and flip move frames, landmarks and flow together; the stored data are never touched."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mer.labels.points68 import MIRROR, POINTS
from mer.labels.sampling import spaced
from mer.models.mol import losses
from mer.training import batches, inputs
from mer.training.batches import Clips, Film


def texture(side: int, seed: int) -> torch.Tensor:
    """A smooth random picture (side, side) in [0, 255]."""
    noise = torch.rand(1, 1, side // 6 + 2, side // 6 + 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(side, side), mode="bicubic")[0, 0].clamp(0, 1) * 255


@pytest.fixture
def clips() -> Clips:
    """Three clips, two sampling sets, t = 4, 40 px; frame k of set s is the picture shifted by (s + 1)(2k, k) px."""
    n, sets, t, side = 3, 2, 4, 40
    frames, flow = torch.zeros(n, sets, t, side, side), torch.zeros(n, sets * (t - 1), 2, side, side)
    pair = torch.tensor([(s, k) for s in range(sets) for k in range(t - 1)]).expand(n, -1, -1)
    points = torch.rand(n, sets, t, 68, 2, generator=torch.Generator().manual_seed(9)) * side
    for i in range(n):
        picture = texture(side, i)
        for s in range(sets):
            for k in range(t):
                frames[i, s, k] = picture.roll((k * (s + 1), 2 * k * (s + 1)), (0, 1))
        for p, (s, _) in enumerate(pair[i].tolist()):
            flow[i, p, 0], flow[i, p, 1] = 2 * (s + 1), s + 1
    return Clips((None,) * n, frames.round().to(torch.uint8), points, flow.half(), pair, torch.arange(n))


def make(clips, seed=0, flip=True, crop=24, flow_pairs=2):
    return batches.train_batch(clips, torch.tensor([0, 1, 2, 1]), crop=crop, flip=flip, flow_pairs=flow_pairs,
                               generator=torch.Generator().manual_seed(seed))


def warp_error(batch) -> float:
    """Mean grey-level error of the next frame pulled back along the flow label, away from the border."""
    errors = []
    for b in range(len(batch.frames)):
        for q, k in enumerate(batch.pairs[b].tolist()):
            back = losses.warp(batch.frames[b, k + 1][None], batch.flow[b, q][None])[0]
            errors.append((back - batch.frames[b, k])[:, 6:-6, 6:-6].abs().mean().item())
    return float(np.mean(errors))


def test_mirrored_landmarks_are_the_other_side_of_the_face():
    assert [MIRROR[i] for i in MIRROR] == list(range(POINTS))
    assert [MIRROR[i] for i in (0, 8, 17, 27, 31, 36, 39, 48, 51, 60, 67)] == [
        16, 8, 26, 27, 35, 45, 42, 54, 51, 64, 65]


def test_flow_labels_match_the_frames_after_crop_and_flip_as_before(clips):
    plain = warp_error(batches.test_batch(clips, torch.arange(3), crop=40))
    augmented = [warp_error(make(clips, seed)) for seed in range(8)]
    assert plain < 1e-3  # the shift is exact, but the picture has been rounded
    assert max(augmented) < 1e-3
    unflipped = make(clips, 0)
    wrong = batches.Batch(unflipped.frames, unflipped.points, -unflipped.flow, unflipped.pairs, unflipped.label)
    assert warp_error(wrong) > 0.01  # the check can fail


def test_landmarks_follow_crop_and_flip(clips):
    drawn = clips.frames.clone().fill_(0)
    points = torch.zeros_like(clips.points)
    spots = torch.randint(16, 24, (68, 2), generator=torch.Generator().manual_seed(1))
    points[...] = spots.float()
    for x, y in spots.tolist():
        drawn[..., y, x] = 255
    marked = Clips(clips.entries, drawn, points, clips.flow, clips.pair, clips.label)
    for seed in range(5):
        batch = make(marked, seed)
        at = batch.points.round().long()
        for b in range(4):
            assert (batch.frames[b, 0, 0][at[b, 0, :, 1], at[b, 0, :, 0]] == 1).all()


def test_two_crops_of_one_clip_differ_by_their_offsets_and_the_data_stay(clips):
    before = clips.points.clone(), clips.frames.clone(), clips.flow.clone()
    batch = make(clips, seed=3, flip=False)  # rows 1 and 3 are the same clip
    offsets = batch.points - clips.points[[0, 1, 2, 1], 0]
    for b in range(4):
        same_set = [torch.allclose((batch.points[b] - clips.points[[0, 1, 2, 1][b], s]).std(dim=(0, 1)),
                                   torch.zeros(2), atol=1e-4) for s in (0, 1)]
        assert any(same_set)  # one offset for all frames and points of a clip
    assert offsets.shape == (4, 4, 68, 2)
    for kept, now in zip(before, (clips.points, clips.frames, clips.flow), strict=True):
        assert torch.equal(kept, now)


def test_flipping_twice_is_the_identity(clips):
    rows, zero = torch.arange(3), torch.zeros(3, dtype=torch.long)
    columns = torch.arange(3).expand(3, 3)
    whole = batches.Wanted(rows, zero, columns)
    once = batches._cut(clips.find(whole), zero, zero, torch.ones(3, dtype=torch.bool), 40)
    frames = (once.frames * 255).round().to(torch.uint8).permute(0, 2, 1, 3, 4)
    again = Clips(clips.entries, frames, once.points[:, None], once.flow.half(),
                  torch.stack([torch.zeros_like(once.pairs), once.pairs], -1), clips.label)
    twice = batches._cut(again.find(whole), zero, zero, torch.ones(3, dtype=torch.bool), 40)
    plain = batches.test_batch(clips, rows, crop=40)
    assert torch.allclose(twice.frames, plain.frames) and torch.allclose(twice.flow, plain.flow)
    assert torch.allclose(twice.points, plain.points, atol=1e-4)


def test_a_batch_is_a_function_of_its_generator_and_uses_every_set_and_flip(clips):
    assert torch.equal(make(clips, 5).frames, make(clips, 5).frames)
    assert not torch.equal(make(clips, 5).frames, make(clips, 6).frames)
    speeds = {round(make(clips, seed).flow[b, 0, 0, 5, 5].item()) for seed in range(12) for b in range(4)}
    assert speeds == {2, 4, -2, -4}
    many = [make(clips, seed) for seed in range(12)]
    assert {k for batch in many for k in batch.pairs.flatten().tolist()} == {0, 1, 2}
    assert all((batch.pairs.diff(dim=1) > 0).all() for batch in many)


def test_statistics_are_those_of_the_chosen_clips_alone(clips):
    rows = torch.tensor([0, 2])
    mean, sd, residual, shape = inputs.statistics(clips, rows)
    pixels = clips.frames[rows, 0].double() / 255
    assert mean == pytest.approx(pixels.mean().item()) and sd == pytest.approx(pixels.std(unbiased=False).item())
    assert residual == pytest.approx((pixels - pixels.mean(1, keepdim=True)).square().mean().sqrt().item())
    assert torch.allclose(shape, clips.points[rows, 0].mean((0, 1)), atol=1e-4)
    changed = clips.frames.clone()
    changed[1] = 0
    other = Clips(clips.entries, changed, clips.points, clips.flow, clips.pair, clips.label)
    assert inputs.statistics(other, rows)[:3] == (mean, sd, residual)


def test_a_model_without_flow_gets_no_flow(clips):
    bare = Clips(clips.entries, clips.frames, clips.points, None, None, clips.label)
    assert make(bare).flow is None and make(bare).pairs is None
    assert SimpleNamespace(**vars(batches.test_batch(bare, torch.arange(2), crop=24))).frames.shape == (2, 4, 1, 24, 24)


@pytest.fixture
def filmed() -> Clips:
    """Three clips of 9, 40 and 3 frames of 30 px whose gray level is the frame's number, 100 more for each clip."""
    length = np.array([9, 40, 3])
    level = torch.cat([torch.arange(n) + 100 * i for i, n in enumerate(length)])
    frames = level.to(torch.uint8)[:, None, None].expand(-1, 30, 30).contiguous()
    points = level.float()[:, None, None].expand(-1, 68, 2).contiguous()
    first = np.cumsum(length) - length
    middle = torch.stack([torch.from_numpy(start + spaced(n, 4, np.array([2**19]))[0])
                          for start, n in zip(first, length, strict=True)])
    return Clips((None,) * 3, frames[middle][:, None], points[middle][:, None], None, None, torch.arange(3),
                 Film(frames, points, first, length))


def drawn(filmed, seed):
    """The frame numbers (B, t) of a batch of clip 1, told by their levels, and by their points."""
    batch = batches.train_batch(filmed, torch.tensor([1, 1, 1, 1]), crop=30, flip=False, flow_pairs=0,
                                generator=torch.Generator().manual_seed(seed))
    levels = (batch.frames[:, :, 0, 0, 0] * 255).round().long() - 100
    assert torch.equal(levels, batch.points[:, :, 0, 0].long() - 100)
    return levels


def test_a_film_gives_every_offset_at_one_spacing_by_the_generator_alone(filmed):
    many = torch.cat([drawn(filmed, seed) for seed in range(40)])
    assert (many.diff(dim=1) == 10).all() and set(many[:, 0].tolist()) == set(range(10))
    assert torch.equal(drawn(filmed, 3), drawn(filmed, 3)) and not torch.equal(drawn(filmed, 3), drawn(filmed, 4))


def test_a_film_keeps_clips_apart_and_tests_see_the_midpoints(filmed):
    batch = batches.train_batch(filmed, torch.tensor([2, 0]), crop=30, flip=False, flow_pairs=0,
                                generator=torch.Generator().manual_seed(0))
    levels = (batch.frames[:, :, 0, 0, 0] * 255).round().long()
    assert (levels[0] >= 200).all() and (levels[0] < 203).all() and (levels[1] < 9).all()
    tested = batches.test_batch(filmed, torch.tensor([1]), crop=30)
    assert (tested.frames[0, :, 0, 0, 0] * 255).round().long().tolist() == [105, 115, 125, 135]


def test_no_pair_or_zero_pairs_asked_for_is_every_labelled_one(clips):
    assert make(clips, flow_pairs=0).pairs.tolist() == [[0, 1, 2]] * 4
