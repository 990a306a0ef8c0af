"""Losses and auxiliary errors of FDP: golden numbers, dynamic images of the frames that are fed, invariances."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from mer.labels import dynamic_image as labels
from mer.models.fdp import losses as fdp_losses
from mer.models.fdp.config import Config
from mer.models.fdp.losses import dynamic_image, pattern_correlation, rank_correlation, rank_loss
from mer.training import batches
from mer.training.batches import Clips


def frames_of(batch=2, t=8, side=6, seed=0, dtype=torch.float32):
    return torch.rand(batch, t, 1, side, side, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("t", "kind", "expected"),
    [
        (3, "exact", [-4 / 3, 2 / 3, 2 / 3]),
        (8, "exact", [-8.4607, -1.4607, 1.0393, 2.0393, 2.2893, 2.0893, 1.5893, 0.8750]),
        (8, "simple", [-7, -5, -3, -1, 1, 3, 5, 7]),
    ],
)
def test_golden_coefficients(t, kind, expected):
    """Spec section 2; a picture whose pixels each light in one frame is the stretched list of coefficients."""
    assert labels.coefficients(t, kind).tolist() == pytest.approx(expected, abs=5e-5)
    frames = torch.eye(t, dtype=torch.float64).view(1, t, 1, 1, t)
    low, high = min(expected), max(expected)
    stretched = [(value - low) / (high - low) for value in expected]
    assert dynamic_image(frames, kind).flatten().tolist() == pytest.approx(stretched, abs=2e-5)


def test_closed_form_of_the_coefficients():
    """alpha_s = 2 (T - s + 1) - (T + 1) (H_T - H_{s-1}), and their sum is 0."""
    for t in range(2, 17):
        harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, t + 1))])
        s = np.arange(1, t + 1)
        closed = 2 * (t - s + 1) - (t + 1) * (harmonic[t] - harmonic[s - 1])
        np.testing.assert_allclose(labels.coefficients(t), closed, atol=1e-12)
        assert abs(labels.coefficients(t).sum()) < 1e-12


@pytest.mark.parametrize("stretch", ["minmax", "symmetric"])
@pytest.mark.parametrize("kind", ["exact", "simple"])
def test_equals_the_stored_labels(kind, stretch):
    pixels = torch.randint(256, (3, 8, 1, 12, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = dynamic_image(pixels.float() / 255, kind, stretch)
    for clip, image in zip(pixels, found, strict=True):
        expected = labels.dynamic_image(clip[:, 0].numpy(), kind, stretch)
        np.testing.assert_allclose(image[0].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_still_clip_is_grey(dtype):
    """Exactly 0.5, however rounding falls, also beside a clip that moves; the smallest motion is stretched."""
    frames = frames_of(3, dtype=dtype)
    frames[0] = frames[0, :1]
    frames[1] = frames[1, :1]
    frames[1, 5, 0, 2, 3] += 1 / 255
    found = dynamic_image(frames)
    assert (found[0] == 0.5).all()
    assert found[1].max() == 1 and found[1, 0, 2, 3] == 1 and (found[1] > 0).sum() == 1
    assert (found[2].amin(), found[2].amax()) == (0, 1)


def test_the_symmetric_stretch_is_odd():
    """Of the negative film it is 1 minus the picture; what does not move is 0.5; the largest magnitude is at an end."""
    frames = frames_of(3, dtype=torch.float64)
    frames[..., 2, 3] = frames[:, :1, :, 2, 3]
    frames[2] = frames[2, :1]
    found = dynamic_image(frames, stretch="symmetric")
    torch.testing.assert_close(dynamic_image(1 - frames, stretch="symmetric"), 1 - found)
    assert (found[:, 0, 2, 3] == 0.5).all() and (found[2] == 0.5).all()
    assert (found[:2] - 0.5).abs().amax((1, 2, 3)).tolist() == pytest.approx([0.5, 0.5])
    lopsided = dynamic_image(frames)
    assert (lopsided[0, 0, 2, 3] - lopsided[1, 0, 2, 3]).abs() > 0.01  # the gray level of no motion wanders


def test_the_configuration_says_what_the_target_is():
    batch, outputs = example()
    losses = {stretch: fdp_losses.fdp_losses(outputs, batch, Config(stretch=stretch))["dynamic"].item()
              for stretch in ("minmax", "symmetric")}
    for stretch, loss in losses.items():
        truth = dynamic_image(batch.frames, stretch=stretch)
        assert loss == pytest.approx((outputs["dynamic"] - truth).square().mean().item())
        errors = fdp_losses.fdp_errors(outputs, batch, Config(stretch=stretch), truth.mean(0))
        assert errors["mse"].mean().item() == pytest.approx(loss)
        pattern = (outputs["dynamic"] - truth).flatten(1).var(1, correction=0)
        assert errors["mse_pattern"].tolist() == pytest.approx(pattern.tolist())
    assert losses["minmax"] != losses["symmetric"]


def test_pattern_correlation_is_pearson_s():
    torch.manual_seed(0)
    image, truth = torch.rand(3, 1, 6, 5), torch.rand(3, 1, 6, 5)
    expected = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(image, truth, strict=True)]
    assert pattern_correlation(image, truth).tolist() == pytest.approx(expected, abs=1e-6)
    assert pattern_correlation(0.1 * truth + 0.4, truth).tolist() == pytest.approx([1, 1, 1])
    assert pattern_correlation(1 - truth, truth).tolist() == pytest.approx([-1, -1, -1])
    constant = pattern_correlation(image[0], truth)  # of one picture with each, as the mean image is
    assert constant.shape == (3,) and constant[0].item() == pytest.approx(expected[0], abs=1e-6)
    assert pattern_correlation(torch.full((3, 1, 6, 5), 0.5), truth).tolist() == [0, 0, 0]


def test_a_ramp():
    """Spec section 2: the weighted sum of 1..8 is 42 exact, 84 simplified."""
    ramp = np.arange(1, 9)
    assert labels.coefficients(8) @ ramp == pytest.approx(42)
    assert labels.coefficients(8, "simple") @ ramp == pytest.approx(84)


def test_each_image_is_stretched_alone_and_follows_its_frames():
    frames = frames_of(3)
    found = dynamic_image(frames)
    assert (found.amin((1, 2, 3)) == 0).all() and (found.amax((1, 2, 3)) == 1).all()
    torch.testing.assert_close(dynamic_image(frames[1:2])[0], found[1])
    torch.testing.assert_close(dynamic_image(frames.flip(-1)), found.flip(-1))
    brighter = 0.3 * frames + frames_of(3, 1, seed=1) * 0.1  # another contrast and another still face
    torch.testing.assert_close(dynamic_image(brighter), found, rtol=0, atol=1e-5)


def test_a_crop_has_its_own_image():
    """The stretch depends on what lies inside the crop: the reason why stored images are no targets."""
    frames = frames_of(1, side=12)
    inside = dynamic_image(frames)[..., 2:8, 2:8]
    assert (dynamic_image(frames[..., 2:8, 2:8]) - inside).abs().max() > 1e-3


def test_rank_loss_golden():
    """Eq. 5: initially a * 28 for eight scores of 0; summed over frames, mean over clips."""
    assert rank_loss(torch.zeros(2, 8)).item() == 28
    assert rank_loss(torch.zeros(2, 8), 1 / 7).item() == pytest.approx(4)
    assert rank_loss(torch.arange(8.0).expand(2, 8)).item() == 0
    assert rank_loss(torch.tensor([[0.0, 3.0], [0.0, 1.0]])).item() == 1


def test_gradient_of_rank_loss():
    scores = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: rank_loss(s, 0.7), scores)


def example(t=8):
    batch = SimpleNamespace(frames=frames_of(2, t), label=torch.tensor([0, 2]))
    torch.manual_seed(2)
    return batch, {"logits": torch.randn(2, 3), "dynamic": torch.rand(2, 1, 6, 6), "scores": torch.randn(2, t)}


def test_joint_loss_has_a_term_per_task():
    batch, outputs = example()
    cfg = Config(rank_slope=0.5, coeffs="simple")
    terms = fdp_losses.fdp_losses(outputs, batch, cfg)
    assert list(terms) == ["mer", "dynamic", "rank"] and all(term.ndim == 0 for term in terms.values())
    truth = torch.stack([dynamic_image(clip[None], "simple")[0] for clip in batch.frames])
    torch.testing.assert_close(terms["dynamic"], ((outputs["dynamic"] - truth) ** 2).mean())
    torch.testing.assert_close(terms["rank"], (0.5 * torch.arange(8) - outputs["scores"]).abs().sum() / 2)
    expected = -outputs["logits"].log_softmax(1)[[0, 1], batch.label].mean()
    torch.testing.assert_close(terms["mer"], expected)
    assert list(fdp_losses.fdp_losses({"scores": outputs["scores"]}, batch, cfg)) == ["rank"]


def test_errors_stand_beside_their_constant():
    batch, outputs = example()
    cfg, constant = Config(), torch.full((1, 6, 6), 0.4)
    found = fdp_losses.fdp_errors(outputs, batch, cfg, constant)
    assert {name: tuple(v.shape) for name, v in found.items()} == dict.fromkeys(
        ("mse", "mse_pattern", "dynamic_corr", "mse_mean_image", "mse_pattern_mean_image", "dynamic_corr_mean_image",
         "rank_correlation"), (2,)
    )
    truth = dynamic_image(batch.frames)
    for b in range(2):
        assert found["mse"][b].item() == pytest.approx(((outputs["dynamic"][b] - truth[b]) ** 2).mean().item())
        assert found["mse_mean_image"][b].item() == pytest.approx(((constant - truth[b]) ** 2).mean().item())
        pattern = [image - image.mean() for image in (outputs["dynamic"][b], constant, truth[b])]
        for name, image in (("mse_pattern", pattern[0]), ("mse_pattern_mean_image", pattern[1])):
            assert found[name][b].item() == pytest.approx(((image - pattern[2]) ** 2).mean().item())
        assert found["dynamic_corr"][b] == pattern_correlation(outputs["dynamic"][b : b + 1], truth[b : b + 1])
        assert abs(found["dynamic_corr_mean_image"][b]) < 1e-6
    assert list(fdp_losses.fdp_errors({"logits": outputs["logits"]}, batch, cfg, constant)) == []


def clips_of(n=5, sets=2, t=4, side=10):
    pixels = torch.randint(256, (n, sets, t, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Clips(tuple(range(n)), pixels, torch.zeros(n, sets, t, 68, 2), None, None, torch.zeros(n, dtype=torch.long))


def test_mean_image_is_that_of_the_given_clips_as_they_are_tested():
    clips, rows, cfg = clips_of(), torch.tensor([0, 3, 4]), Config(coeffs="simple", stretch="symmetric")
    mean = fdp_losses.mean_dynamic_image(clips, rows, crop=6, cfg=cfg, batch=2)
    fed = batches.test_batch(clips, rows, crop=6).frames
    torch.testing.assert_close(mean, dynamic_image(fed, "simple", "symmetric").mean(0))
    torch.testing.assert_close(fed[1, :, 0], clips.frames[3, 0, :, 2:8, 2:8] / 255.0)
    changed = clips_of()
    changed.frames[1] = 7  # a clip that is not among them, as a test clip is not
    assert torch.equal(fdp_losses.mean_dynamic_image(changed, rows, crop=6, cfg=cfg, batch=2), mean)


def test_rank_correlation_is_spearman_s():
    torch.manual_seed(0)
    scores = torch.randn(20, 8)
    scores[:10] = scores[:10].round()  # ties
    expected = [spearmanr(row, range(8)).statistic for row in scores.tolist()]
    assert rank_correlation(scores).tolist() == pytest.approx(expected, abs=1e-12)


def test_rank_correlation_of_known_orders():
    scores = torch.tensor([[0.0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 1, 1]])
    assert rank_correlation(scores).tolist() == pytest.approx([1, -1, 0])
    torch.testing.assert_close(rank_correlation(scores.exp()), rank_correlation(scores))
