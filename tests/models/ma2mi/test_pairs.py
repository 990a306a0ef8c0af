"""Cached latents and the pairs drawn from them: which frame, which latent, which side of the mirror."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mer.base import store
from mer.base.errors import MerError
from mer.models.ma2mi import encoding, pair_reading
from mer.models.ma2mi import pairs as latents
from mer.models.ma2mi.autoencoder import ConvAe
from mer.models.ma2mi.config import Config
from mer.training import checkpoint
from mer.training.batches import Entry

CFG = Config(size=32, autoencoder="conv_ae", conv_ae_width=1 / 8, interval=(2, 3))


def autoencoder():
    torch.manual_seed(0)
    return ConvAe(CFG.conv_ae_width).eval().requires_grad_(False)


def pairs(lengths=(9, 5), logvar=None, side=32):
    """Clips whose every frame and latent says which frame it is: value = 20 * clip + frame; columns tell the mirror."""
    numbers = torch.cat([20 * i + torch.arange(n) for i, n in enumerate(lengths)])
    frames = numbers.to(torch.uint8)[:, None, None].repeat(1, side, side)
    frames[:, :, 0] = 255  # the left edge, to see flips
    mean = torch.stack([numbers, numbers + 0.5])[:, :, None, None, None].expand(2, len(numbers), 4, 4, 4).half()
    length = torch.tensor(lengths)
    return latents.Pairs(tuple(SimpleNamespace() for _ in lengths), frames, length.cumsum(0) - length, length,
                         mean, logvar, torch.arange(len(lengths)))


def draw(store_, rows, cfg=CFG, flip=False, seed=0):
    return latents.pair_batch(store_, torch.as_tensor(rows), cfg, flip=flip,
                              generator=torch.Generator().manual_seed(seed))


def number(frames):
    """Which frame a picture (..., 1, S, S) of `pairs` is."""
    return (255 * frames[..., 0, 5, 16]).round()


@pytest.mark.parametrize("interval", [(2, 6), (1, 1), (8, 16)])
def test_drawn_pairs_lie_in_the_interval_and_in_the_clip(interval):
    lengths = torch.tensor([1, 2, 3, 5, 9, 40]).repeat_interleave(300)
    t, later = latents.draw_pairs(lengths, interval, torch.Generator().manual_seed(0)).unbind(1)
    d = later - t
    assert (t >= 0).all() and (later < lengths).all()
    for n in (1, 2, 3, 5, 9, 40):
        low, high = min(interval[0], n - 1), min(interval[1], n - 1)
        assert set(d[lengths == n].tolist()) == set(range(low, high + 1))
        for step in range(low, high + 1):
            expected = set(range(n - step))
            seen = set(t[(lengths == n) & (d == step)].tolist())
            assert seen <= expected and (len(expected) > 10 or seen == expected)


def test_a_batch_holds_frames_and_latents_of_the_same_moments():
    for seed in range(5):
        batch = draw(pairs(), [1, 0, 1, 0], flip=True, seed=seed)
        assert batch.frames.shape == (4, 2, 1, 32, 32) and batch.latents.shape == (4, 2, 4, 4, 4)
        moments = number(batch.frames)
        mirrored = (batch.frames[:, 0, 0, 0, -1] == 1).float()
        assert torch.equal(batch.frames[:, 0, 0, 0, 0] == 1, mirrored == 0)
        torch.testing.assert_close(batch.latents[..., 0, 0, 0], moments + mirrored[:, None] / 2)
        assert torch.equal(moments // 20, torch.tensor([1.0, 0, 1, 0])[:, None].expand(4, 2))
        assert set((moments[:, 1] - moments[:, 0]).tolist()) <= {2.0, 3.0}
        assert batch.label.tolist() == [1, 0, 1, 0]


def test_about_half_the_clips_are_mirrored_and_none_without_flip():
    rows = [0] * 200
    left = draw(pairs(), rows, flip=True).frames[:, 0, 0, 0, 0] == 1
    assert 70 < left.sum() < 130
    assert (draw(pairs(), rows).frames[:, 0, 0, 0, 0] == 1).all()


def test_the_transformed_frame_is_that_of_the_transform():
    batch = draw(pairs(), [0, 1])
    torch.testing.assert_close(batch.warped, latents.warp_images(batch.frames[:, 0], batch.theta))
    without = draw(pairs(), [0, 1], Config(size=32, autoencoder="conv_ae", position_loss=False))
    assert without.warped is None and without.theta is None


def test_a_sample_of_the_posterior_has_its_spread():
    spread = torch.full((2, 14, 4, 4, 4), 2 * np.log(0.3)).half()
    exact, noisy = draw(pairs(), [0] * 50), draw(pairs(logvar=spread), [0] * 50)
    assert (noisy.latents - exact.latents).std().item() == pytest.approx(0.3, rel=0.05)


def test_in_pixel_space_the_latents_are_the_pictures():
    values = pairs()
    values = latents.Pairs(**{**vars(values), "mean": None})
    batch = draw(values, [0, 1], Config(size=32, autoencoder="none"))
    torch.testing.assert_close(batch.latents, (2 * batch.frames - 1).expand(-1, -1, 3, -1, -1))


def test_same_generator_same_batch():
    a, b, c = (draw(pairs(), [0, 1, 0], flip=True, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(a.frames, b.frames) and torch.equal(a.theta, b.theta)
    assert not torch.equal(a.theta, c.theta)


def test_pictures_are_resized_without_a_shift():
    frames = torch.zeros(1, 64, 64, dtype=torch.uint8)
    frames[:, 16:48, 16:48] = 255
    small = latents.pictures(frames, 32)
    assert small.shape == (1, 1, 32, 32) and small.mean().item() == pytest.approx(0.25, abs=1e-3)
    torch.testing.assert_close(small, small.flip(-1))
    assert torch.equal(latents.pictures(frames, 64)[0, 0] * 255, frames[0].float())


def test_latents_of_a_clip_are_those_of_its_pictures(tmp_path):
    model = autoencoder()
    frames = np.random.default_rng(0).integers(0, 256, (5, 36, 36), np.uint8)
    record = encoding.encode_clip(model, frames, crop=32, size=32, batch=3)
    assert record["mean"].shape == record["logvar"].shape == (2, 5, 4, 4, 4) and record["mean"].dtype == np.float16
    pictures = latents.pictures(torch.from_numpy(frames)[:, 2:34, 2:34], 32)
    for side, values in enumerate((pictures, pictures.flip(-1))):
        for name, exact in zip(("mean", "logvar"), model.encode(values), strict=True):
            torch.testing.assert_close(torch.from_numpy(record[name][side]).float(), exact, rtol=1e-3, atol=1e-3)
    store.write_shard(tmp_path / "s.h5", {"c": record}, {"units": "scaled latent"})
    again = store.read_shard(tmp_path / "s.h5")[0]["c"]
    assert all(np.array_equal(again[name], record[name]) for name in record)


def entries_of(tmp_path, lengths=(6, 4)):
    """A store of aligned frames and latents of two clips of two people, as the stages write them."""
    found = []
    rng, model = np.random.default_rng(1), autoencoder()
    for i, n in enumerate(lengths):
        frames = rng.integers(0, 256, (n, 36, 36), np.uint8)
        record = {"frames": frames, "numbers": np.arange(10, 10 + n), "annotation": np.array([10, 12, 9 + n])}
        store.write_shard(tmp_path / f"aligned/set/p{i}.h5", {f"c{i}": record})
        store.write_shard(tmp_path / f"latents/set/p{i}.h5",
                          {f"c{i}": encoding.encode_clip(model, frames, crop=32, size=32)})
        found.append(Entry(SimpleNamespace(clip_id=f"c{i}", dataset="set", subject=f"set/p{i}"), i))
    for stage in ("aligned", "latents"):
        store.write_json(tmp_path / stage / "set/summary.json", {"excluded": []})
    return tuple(found)


def test_a_store_is_read_in_the_order_of_the_entries(tmp_path):
    entries = entries_of(tmp_path)
    found = pair_reading.load(tmp_path, entries[::-1], CFG, crop=32, device="cpu")
    assert found.start.tolist() == [0, 4] and found.length.tolist() == [4, 6] and found.label.tolist() == [1, 0]
    assert found.frames.shape == (10, 32, 32) and found.mean.shape == (2, 10, 4, 4, 4) and found.logvar is None
    assert len(found) == 2
    model = autoencoder()
    mean, _ = model.encode(latents.pictures(found.frames[4:], 32))
    torch.testing.assert_close(found.mean[0, 4:].float(), mean, rtol=1e-3, atol=1e-3)
    sampled = Config(**{**vars(CFG), "posterior": "sample"})
    assert pair_reading.load(tmp_path, entries, sampled, crop=32, device="cpu").logvar.shape == (2, 10, 4, 4, 4)
    plain = Config(**{**vars(CFG), "autoencoder": "none"})
    assert pair_reading.load(tmp_path, entries, plain, crop=32, device="cpu").mean is None


def test_the_chosen_autoencoder_is_opened_or_the_run_stops(tmp_path):
    model = autoencoder()
    model.scale.fill_(0.5)
    checkpoint.save(tmp_path / "model.pt", {"model": model.state_dict()})
    opened, name = latents.open_autoencoder(CFG, tmp_path / "model.pt")
    assert opened.scale == 0.5 and not opened.training and name["kind"] == "conv_ae" and len(name["sha256"]) == 64
    assert latents.open_autoencoder(Config(autoencoder="none"), tmp_path)[0] is None
    with pytest.raises(MerError, match="no such checkpoint"):
        latents.open_autoencoder(CFG, tmp_path / "other.pt")
    with pytest.raises(MerError, match=r"ma2mi\.sd_vae: \S*nothing has no diffusion"):
        latents.open_autoencoder(Config(sd_vae=str(tmp_path / "nothing")), tmp_path / "model.pt")


def test_both_frames_of_a_clip_are_turned_alike():
    picture = torch.rand(4, 1, 1, 20, 20, generator=torch.Generator().manual_seed(1)).expand(-1, 2, -1, -1, -1)
    found = latents.turned(picture, 20, torch.Generator().manual_seed(0))
    assert torch.equal(found[:, 0], found[:, 1]) and found.shape == picture.shape
    assert (found[:, 0, :, 9:11, 9:11] - picture[:, 0, :, 9:11, 9:11]).abs().max() < 0.3  # about the centre
    assert sum((found[b] - picture[b]).abs().max() > 0.1 for b in range(4)) >= 3  # an angle may be near 0
    torch.testing.assert_close(latents.turned(picture, 0, torch.Generator()), picture)
