"""What is told of pretraining: its numbers on clips whose answers are known, its files, the same in every run."""

import numpy as np
import pytest
import torch
from torch import nn
from training import test_folds as tools
from training import test_models_in_folds as models

from mer.base import store
from mer.models.ma2mi import reconstruction
from mer.models.ma2mi.config import Config
from mer.models.ma2mi.pairs import Pairs
from mer.training import pretrain

data = models.data  # the fixture: label stores of the nine clips
CFG = Config(autoencoder="sd_vae", size=64, interval=(2, 2))
GREY_STEP = 2  # grey levels by which a clip of speed 1 brightens in a frame


class Follows(nn.Module):
    """A network that reads a clip's speed off its two frames and adds it to the earlier latent: never wrong."""

    fpe = True

    def positions(self, pictures):
        return pictures.mean((2, 3), keepdim=True)

    def actions(self, frames):
        return (frames[:, 1] - frames[:, 0]).mean((2, 3), keepdim=True) * 255 / GREY_STEP

    def fuse(self, position, action):
        return action.flatten()

    def dit(self, latent, condition):
        return latent + condition[:, None, None, None]


def clips_of_speed(speeds: list[int], frames: int = 9) -> Pairs:
    """Clips whose pictures brighten and whose latents grow by their own speed in every frame."""
    t, count = torch.arange(frames), len(speeds)
    values = torch.cat([speed * t for speed in speeds])
    pictures = (GREY_STEP * values).to(torch.uint8)[:, None, None].expand(-1, 64, 64)
    mean = values.half()[None, :, None, None, None].expand(2, -1, 4, 8, 8)
    length = torch.full((count,), frames)
    return Pairs(tuple(range(count)), pictures, length.cumsum(0) - frames, length, mean, None,
                 torch.zeros(count).long())


def test_the_numbers_are_means_over_all_clips_that_are_held_out(tmp_path):
    every = [1 + i % 12 for i in range(480)]
    rows = reconstruction.held_out(len(every))
    speeds = [every[row] for row in rows]  # 48 clips, two batches
    told = reconstruction.measure(Follows(), clips_of_speed(every), CFG, tmp_path)
    assert set(told) == {"reconstruction", "copy", "shuffled_c", "shuffled_action", "shuffled_position"}
    assert told["copy"] == pytest.approx(2 * np.mean(speeds))  # two frames apart
    assert told["reconstruction"] == told["shuffled_position"] == pytest.approx(0, abs=1e-4)
    # another clip's speed: the mean distance of two of them, but for the luck of the order
    assert told["shuffled_c"] == pytest.approx(2 * np.mean(np.abs(np.subtract.outer(speeds, speeds))), rel=0.25)
    assert reconstruction.measure(Follows(), clips_of_speed(every), CFG, tmp_path) == told


def test_one_clip_has_no_other_to_be_shuffled_with(tmp_path):
    told = reconstruction.measure(Follows(), clips_of_speed([3]), CFG, tmp_path)
    assert told["copy"] == pytest.approx(6) and "shuffled_c" not in told


def test_a_tenth_of_the_clips_is_held_out_and_not_trained_on():
    assert [len(reconstruction.held_out(n)) for n in (1, 5, 6, 39, 168, 2559, 20000)] == [0, 0, 3, 3, 16, 255, 256]
    rows = reconstruction.held_out(168)
    assert rows == sorted(set(rows)) and (rows[0], rows[-1]) == (0, 167) and max(np.diff(rows)) <= 12


def pretrained(folder, data, variant):
    """The folder that pretraining of a small network leaves."""
    folder.mkdir(exist_ok=True)
    p = models.knobs(folder, models.VARIANTS[variant])
    pretrain.run(tools.plan_of(p, data, folder), 0, folder)
    return folder / "0"


@pytest.mark.parametrize(("variant", "losses", "told"), [
    ("fdp", {"mer", "dynamic", "rank", "total"}, set()), ("ma2mi maer", {"mer", "total"}, set()),
    ("ma2mi no fpe", {"reconstruction", "total"}, {"reconstruction", "copy", "shuffled_c", "shuffled_action"}),
    ("ma2mi pixels", {"reconstruction", "diversity", "consistency", "equivariance", "total"},
     {"reconstruction", "copy", "shuffled_c", "shuffled_action", "shuffled_position"})])
def test_every_model_tells_its_losses_and_the_reconstruction_its_rivals(data, tmp_path, variant, losses, told):
    made = pretrained(tmp_path, data, variant)
    if variant == "ma2mi no fpe":  # has an autoencoder
        told = told | {"autoencoder_grey_error", "autoencoder_grey_error_mean_picture"}
    numbers = store.read_json(made / "diagnostics.json")
    assert set(numbers) == {f"loss_{name}" for name in losses} | told
    assert all(np.isfinite(value) for value in numbers.values())
    assert (made / "examples.h5").exists() == ("reconstruction" in told)


def test_the_same_run_gives_the_same_files_and_its_examples_are_in_order(data, tmp_path):
    first, second = (pretrained(tmp_path / name, data, "ma2mi") for name in ("a", "b"))
    assert {path.name for path in first.iterdir()} == {"model.pt", "log.csv", "diagnostics.json", "examples.h5"}
    assert all(path.read_bytes() == (second / path.name).read_bytes() for path in first.iterdir())
    numbers = store.read_json(first / "diagnostics.json")
    assert numbers["autoencoder_grey_error"] == models.GREY["grey_error"]
    examples = store.read_shard(first / "examples.h5")[0]
    assert sorted(examples) == ["1", "2", "3"] and len({one["clip"].item() for one in examples.values()}) == 3
    gains = [(one["copy"] - one["error"]).item() for _, one in sorted(examples.items())]
    assert gains == sorted(gains, reverse=True)
    for one in examples.values():
        for name in ("first", "second", "start", "truth", "estimate"):
            assert one[name].shape == (64, 64) and 0 <= one[name].min() <= one[name].max() <= 1
        assert not np.array_equal(one["first"], one["second"])
        assert not np.array_equal(one["truth"], one["second"])  # what the latent decodes to


def test_in_pixel_space_the_latent_is_the_picture(data, tmp_path):
    for one in store.read_shard(pretrained(tmp_path, data, "ma2mi pixels") / "examples.h5")[0].values():
        np.testing.assert_allclose(one["truth"], one["second"], atol=1e-3)
        np.testing.assert_allclose(one["start"], one["first"], atol=1e-3)


def test_without_the_autoencoders_weights_the_network_is_kept_and_the_pictures_are_missed(data, tmp_path, capsys):
    whole = pretrained(tmp_path, data, "ma2mi")
    kept = data / "latents/autoencoder.pt"
    aside = kept.rename(kept.with_suffix(".aside"))
    try:
        without = pretrained(tmp_path / "without", data, "ma2mi")
    finally:
        aside.rename(kept)
    assert not (without / "examples.h5").exists() and "no pictures of the reconstruction" in capsys.readouterr().err
    for name in ("model.pt", "log.csv", "diagnostics.json"):
        assert (without / name).read_bytes() == (whole / name).read_bytes()


def test_final_losses_are_those_of_the_last_tenth():
    log = [{"step": i + 1, "mer": float(i), "total": 2.0 * i} for i in range(20)]
    assert pretrain.final_losses(log) == {"loss_mer": 18.5, "loss_total": 37.0}
    assert pretrain.final_losses(log[:1]) == {"loss_mer": 0.0, "loss_total": 0.0}


def test_the_summary_is_the_mean_of_the_seeds_and_each(tmp_path):
    for seed, value in ((0, 1.0), (3, 2.0)):
        store.write_json(tmp_path / str(seed) / "diagnostics.json", {"copy": value})
    assert pretrain.summarise({0: tmp_path / "0"}) == {"copy": 1.0}
    assert pretrain.summarise({seed: tmp_path / str(seed) for seed in (0, 3)}) == {
        "copy": 1.5, "seed0_copy": 1.0, "seed3_copy": 2.0}
