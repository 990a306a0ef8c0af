"""The quality numbers, each on a case whose answer is known."""

import json

import numpy as np
import pytest
from labels.label_tools import clip_row, face_points, save_frames, shifted, texture

from mer.base.errors import MerError
from mer.labels import align, quality
from mer.labels.points68 import inter_ocular
from mer.labels.truth import flow_errors, flow_in_crop, landmark_errors, true_points
from mer.reporting import quality_plots


def test_jitter_measures_noise_and_not_motion():
    rng = np.random.default_rng(0)
    still = face_points() + rng.normal(0, 0.5, (200, 68, 2))
    assert quality.jitter(still) == pytest.approx(0.5, rel=0.02)
    moving = still + 0.8 * np.arange(200)[:, None, None]
    assert quality.jitter(moving) == pytest.approx(quality.jitter(still))
    assert np.isnan(quality.jitter(still[:2]))


def test_landmark_errors_are_fractions_of_the_inter_ocular_distance():
    truth = np.stack([face_points(scale=s) for s in (1.0, 2.0)])  # 64 and 128 pixels
    assert inter_ocular(truth) == pytest.approx([64, 128])
    np.testing.assert_allclose(landmark_errors(truth + (3.2, 0), truth), [[0.05] * 68, [0.025] * 68])


def test_true_flow_in_the_crop_scales_and_turns_with_it():
    points = face_points((100, 100), 1.0, 0.3)
    matrix = align.similarity(points)
    flow = np.stack([np.full((200, 200), 2.0), np.full((200, 200), -1.0)])
    unsure = np.zeros((200, 200), np.uint8)
    unsure[:100] = 1
    truth, valid = flow_in_crop(flow, unsure, matrix, matrix, 144)
    np.testing.assert_allclose(truth[:, valid].T, np.tile(matrix[:, :2] @ [2.0, -1.0], (valid.sum(), 1)), atol=1e-5)
    y, x = np.argwhere(valid)[:, 0], np.argwhere(valid)[:, 1]
    raw = np.linalg.solve(matrix[:, :2], np.stack([x, y]) - matrix[:, 2:])
    assert valid.any() and raw[1].min() > 99 and raw.max() < 200 and raw.min() > -1


def test_crops_of_their_own_cancel_the_motion_that_they_follow():
    points = face_points((100, 100))
    moved = points + (3.0, 2.0)
    flow = np.stack([np.full((220, 220), 3.0), np.full((220, 220), 2.0)])
    onset, apex = align.similarity(points), align.similarity(moved)
    truth, valid = flow_in_crop(flow, np.zeros((220, 220)), onset, apex, 96)
    np.testing.assert_allclose(truth[:, valid], 0, atol=1e-5)


def test_flow_errors():
    truth, valid = np.ones((2, 4, 4)), np.ones((4, 4), bool)
    assert flow_errors(np.zeros((2, 4, 4)), truth, valid) == pytest.approx(
        {"epe": 2**0.5, "epe_zero": 2**0.5, "slope": 0, "epe_active": 2**0.5, "epe_zero_active": 2**0.5})
    assert flow_errors(0.5 * truth, truth, valid) == pytest.approx(
        {"epe": 2**0.5 / 2, "epe_zero": 2**0.5, "slope": 0.5, "epe_active": 2**0.5 / 2, "epe_zero_active": 2**0.5})
    half = truth.copy()
    half[:, :2] = 0.1  # too little to count as active
    found = flow_errors(np.zeros((2, 4, 4)), half, valid)
    assert found["epe_zero_active"] == pytest.approx(2**0.5) and found["epe_zero"] == pytest.approx(0.55 * 2**0.5)
    assert "epe_active" not in flow_errors(truth, 0.1 * truth, valid)
    valid[0] = False
    wrong_where_unsure = truth.copy()
    wrong_where_unsure[:, 0] = 9
    assert flow_errors(wrong_where_unsure, truth, valid)["epe"] == 0


def test_chosen_clips_are_spread_and_repeatable():
    clips = [clip_row(f"c{i}") for i in range(10)]
    assert [c.clip_id for c in quality.chosen(clips, 3)] == ["c0", "c4", "c9"]
    assert len(quality.chosen(clips, 24)) == 10 and quality.chosen([], 5) == []


@pytest.fixture
def measured(tmp_path):
    """Two clips with truth: detected points 0.05 of the inter-ocular distance off, crops moving by a known flow."""
    clips = [clip_row(name, last=5, apex=3, onset=2, first=2, offset=5) for name in ("a", "b")]
    picture = texture((240, 220), blur=3)
    marks, truth, records = {}, {}, {}
    points = np.repeat(face_points((105, 90))[None], 6, 0)
    for clip in clips:
        pictures = [shifted(picture, 1.0 * (k >= 2), 0) for k in range(6)]  # it moves from frame 2 (onset) to 3
        save_frames(tmp_path, clip_row(clip.clip_id, first=1, last=6), pictures)
        found = points[1:5] + (3.2, 0)
        marks[clip.clip_id] = {"points": found, "how": np.array([0, 1, 2, 0]), "numbers": np.arange(2, 6),
                               "score": np.array([1, 0.5, np.nan, 2])}
        truth[clip.clip_id] = {"numbers": np.arange(1, 7), "points": points,
                               "flow": np.stack([np.ones((240, 220)), np.zeros((240, 220))]),
                               "eye_mask": np.zeros((240, 220), np.uint8)}
        made = align.align_clip((clip, marks[clip.clip_id]), raw_root=str(tmp_path), size=96, enlarge=2.5, border=128,
                                per_frame=False)
        records[clip.clip_id] = made
    result = quality.Quality()
    quality.measure_landmarks(result, ((c, marks[c.clip_id]) for c in clips), lambda clip: truth[clip.clip_id], 1)
    flow = np.stack([np.full((96, 96), 0.6), np.full((96, 96), 0.8)])[None].astype(np.float16)
    flows = {"a": {"flow": flow}, "b": {"flow": 2 * flow}, "c": {"flow": flow}}
    quality.measure_magnitude(result, flows.items(), {"a": "one", "b": "two"})
    quality.measure_flow(result, [quality.onset_apex((c, records[c.clip_id], truth[c.clip_id])) for c in clips])
    return result


def test_numbers_of_a_dataset(measured):
    n = measured.numbers
    assert (n["clips"], n["clips_excluded"], n["frames"]) == (2, 1, 8)
    assert n["detection_rate"] == 0.75 and n["upsampled_rate"] == 0.25 and n["score_min"] == 0.5
    assert n["landmark_error_mean"] == pytest.approx(0.05) and n["landmark_error_jaw"] == pytest.approx(0.05)
    assert n["landmark_failure_rate"] == 0 and n["landmark_jitter_px"] == pytest.approx(0, abs=1e-6)
    assert n["flow_magnitude_one"] == pytest.approx(1, abs=1e-3) and n["flow_magnitude"] == pytest.approx(1.5, abs=1e-3)
    assert n["flow_truth_clips"] == 2
    assert n["flow_epe"] < 0.25 * n["flow_epe_zero"] and n["flow_slope"] == pytest.approx(1, abs=0.15)
    assert json.loads(json.dumps(n, allow_nan=False)) == n  # finite, plain numbers


def test_pictures_are_written_and_repeat(measured, tmp_path):
    first = quality_plots.draw(measured, tmp_path / "one", "synthetic")
    again = quality_plots.draw(measured, tmp_path / "two", "synthetic")
    assert [p.name for p in first] == ["landmarks.png", "flow_magnitude.png", "flow_examples.png"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]


def test_without_truth_only_what_can_be_known(tmp_path):
    rng = np.random.default_rng(0)
    mark = {"points": face_points() + rng.normal(0, 0.3, (9, 68, 2)), "how": np.zeros(9), "numbers": np.arange(9),
            "score": np.ones(9)}
    result = quality.Quality()
    quality.measure_landmarks(result, [(clip_row("a"), mark)], lambda clip: None, 0)
    assert not [name for name in result.numbers if "error" in name] and result.errors is None
    assert result.numbers["landmark_jitter_iod"] == pytest.approx(0.3 / 64, rel=0.1)
    assert [p.name for p in quality_plots.draw(result, tmp_path / "plots", "own")] == ["landmarks.png"]


def test_truth_is_matched_by_frame_number_and_a_frame_without_it_is_told():
    truth = {"numbers": np.array([10, 2, 5]), "points": np.arange(3.0)[:, None, None] * np.ones((3, 68, 2))}
    assert true_points("a", truth, np.array([2, 10]))[:, 0, 0].tolist() == [1, 0]
    with pytest.raises(MerError, match="a: frame 3 has no true points"):
        true_points("a", truth, np.array([2, 3]))
