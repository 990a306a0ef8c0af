"""Dynamic images: golden coefficients (Bilen et al.), sums, the static guard."""

import numpy as np
import pytest

from mer.labels import dynamic_image as di


def test_golden_coefficients():
    np.testing.assert_allclose(di.coefficients(3), [-4 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(di.coefficients(8), [-8.4607, -1.4607, 1.0393, 2.0393, 2.2893, 2.0893, 1.5893, 0.8750],
                               atol=5e-5)
    np.testing.assert_array_equal(di.coefficients(8, "simple"), [-7, -5, -3, -1, 1, 3, 5, 7])
    assert di.coefficients(1).tolist() == [1.0]
    assert np.corrcoef(di.coefficients(8), di.coefficients(8, "simple"))[0, 1] == pytest.approx(0.676, abs=5e-4)


@pytest.mark.parametrize("t", [2, 3, 8, 16, 100])
@pytest.mark.parametrize("kind", ["exact", "simple"])
def test_coefficients_sum_to_zero(t, kind):
    assert di.coefficients(t, kind).sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("t", [2, 5, 8])
def test_exact_is_rank_weights_on_running_means(t):
    frames = np.random.default_rng(0).random((t, 4, 3))
    means = np.cumsum(frames, 0) / np.arange(1, t + 1)[:, None, None]
    expected = np.tensordot(2 * np.arange(1, t + 1) - t - 1, means, 1)
    np.testing.assert_allclose(np.tensordot(di.coefficients(t), frames, 1), expected, atol=1e-12)


def test_a_ramp():
    assert di.coefficients(8) @ np.arange(1, 9) == pytest.approx(42)
    assert di.coefficients(8, "simple") @ np.arange(1, 9) == pytest.approx(84)


def test_a_static_clip_is_half_everywhere():
    frame = np.random.default_rng(0).integers(0, 256, (12, 9), np.uint8)
    image = di.dynamic_image(np.repeat(frame[None], 8, 0))
    assert image.dtype == np.float32 and (image == 0.5).all()


def test_motion_fills_the_range():
    frames = np.random.default_rng(0).integers(0, 256, (8, 12, 9), np.uint8)
    image = di.dynamic_image(frames)
    assert image.min() == 0 and image.max() == 1
    later = np.full((3, 2, 2), 100, np.uint8)
    later[1:, 0, 0], later[1:, 1, 1] = 140, 60  # brighter and darker after the first frame
    np.testing.assert_allclose(di.dynamic_image(later), [[1, 0.5], [0.5, 0]], atol=1e-6)


def test_the_symmetric_stretch_leaves_what_did_not_move_in_the_middle():
    """Largest magnitude to an end, 0 to 0.5, and the negative film is 1 minus the picture."""
    frames = np.full((8, 3, 3), 100, np.uint8)
    frames[3:, 0, 0], frames[3:, 1, 1] = 180, 80  # up by 80, down by 20
    image = di.dynamic_image(frames, stretch="symmetric")
    np.testing.assert_allclose(image, np.array([[1, 0.5, 0.5], [0.5, 0.375, 0.5], [0.5, 0.5, 0.5]]), atol=1e-6)
    assert (image[0, 1:] == 0.5).all() and di.dynamic_image(frames)[2, 2] == pytest.approx(0.2)
    np.testing.assert_allclose(di.dynamic_image(255 - frames, stretch="symmetric"), 1 - image, atol=1e-6)
    assert (di.dynamic_image(frames[:1].repeat(8, 0), stretch="symmetric") == 0.5).all()


@pytest.mark.parametrize("stretch", ["minmax", "symmetric"])
def test_a_record_holds_one_image_per_set(stretch):
    frames = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)
    record = {"frames": frames, "numbers": np.arange(20), "annotation": np.array([0, 9, 19])}
    made = di.dynamic_clip(("a", record), t=8, sets=3, span="onset_offset", seed=0, coeffs="exact",
                           stretch=stretch)
    assert made["dynamic"].shape == (3, 6, 5) and made["dynamic"].dtype == np.float16
    np.testing.assert_allclose(made["dynamic"][2], di.dynamic_image(frames[made["index"][2]], stretch=stretch),
                               atol=5e-4)
