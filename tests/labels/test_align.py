"""Alignment: where the five points land, points and frames together, one matrix per clip."""

import cv2
import numpy as np
import pytest
from labels.label_tools import clip_row, face_points, save_frames, texture

from mer.base.errors import MerError
from mer.labels import align
from mer.labels.records import Excluded


def record_of(points, numbers=None):
    return {"points": np.asarray(points, np.float32), "how": np.zeros(len(points), np.uint8),
            "numbers": np.arange(len(points), dtype=np.int32) if numbers is None else numbers}


@pytest.mark.parametrize("roll", [-0.4, 0.0, 0.3])
@pytest.mark.parametrize("scale", [0.6, 1.0, 2.0])
@pytest.mark.parametrize("size", [72, 144])
def test_eyes_are_level_and_the_box_is_centred_and_enlarged(roll, scale, size):
    points = face_points((180, 150), scale, roll)
    crop = align.move(align.similarity(points, size, 2.5), points)
    right, left = crop[36:42].mean(0), crop[42:48].mean(0)
    five = np.vstack([right, left, crop[[30, 48, 54]]])
    assert right[1] == pytest.approx(left[1], abs=1e-9) and left[0] > right[0]
    np.testing.assert_allclose((five.max(0) + five.min(0)) / 2, (size - 1) / 2)
    assert (five.max(0) - five.min(0)).max() * 2.5 == pytest.approx(size - 1)


def test_the_expected_place_of_the_eyes():
    # eyes 64 apart, mouth corners 71 below them: the box's side is 2.5 * 71, its centre 35.5 below the eyes
    crop = align.move(align.similarity(face_points(), 144), face_points())
    px = 143 / (2.5 * 71)
    np.testing.assert_allclose(crop[36:42].mean(0), [71.5 - 32 * px, 71.5 - 35.5 * px])
    np.testing.assert_allclose(crop[42:48].mean(0), [71.5 + 32 * px, 71.5 - 35.5 * px])


def test_it_is_a_similarity_without_reflection():
    matrix = align.similarity(face_points((60, 70), 1.3, 0.2))
    square = matrix[:, :2] @ matrix[:, :2].T
    np.testing.assert_allclose(square, square[0, 0] * np.eye(2), atol=1e-12)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_moving_the_face_in_the_frame_does_not_move_the_crop():
    points = face_points((100, 100))
    moved = (points - 100) @ np.array([[0.8, 0.3], [-0.3, 0.8]]) * 1.4 + (130, 90)
    np.testing.assert_allclose(align.move(align.similarity(points), points),
                               align.move(align.similarity(moved), moved), atol=1e-9)


def test_points_and_frames_agree():
    points = face_points((140, 120), 1.1, 0.15)
    picture = np.zeros((300, 280), np.uint8)
    target = points[54]
    yy, xx = np.mgrid[:300, :280]
    picture = np.round(255 * np.exp(-((xx - target[0]) ** 2 + (yy - target[1]) ** 2) / 18)).astype(np.uint8)
    made = align.align_frames([(0, picture), (1, picture)], record_of([points, points]), border=0)
    weight = made["frames"][0].astype(float)
    y, x = (np.mgrid[:144, :144] * weight).sum((1, 2)) / weight.sum()
    np.testing.assert_allclose([x, y], made["points"][0, 54], atol=0.1)


def test_one_matrix_per_clip_of_the_median_points():
    rng = np.random.default_rng(0)
    points = face_points() + rng.normal(0, 0.5, (6, 68, 2))
    picture = texture().astype(np.uint8)
    made = align.align_frames([(k, picture) for k in range(6)], record_of(points))
    assert made["matrix"].shape == (2, 3) and made["matrix"].dtype == np.float64
    np.testing.assert_allclose(made["matrix"], align.similarity(np.median(np.float32(points), axis=0)))
    assert (made["frames"] == made["frames"][0]).all()  # a still head stays still whatever the landmarks do
    np.testing.assert_allclose(made["points"], align.move(made["matrix"], points), atol=1e-3)
    per_frame = align.align_frames([(k, picture) for k in range(6)], record_of(points), per_frame=True)
    assert per_frame["matrix"].shape == (6, 2, 3) and (per_frame["frames"][1] != per_frame["frames"][0]).any()
    np.testing.assert_allclose(per_frame["matrix"][1], align.similarity(np.float32(points[1])))


def test_outside_the_frame_is_the_border_value():
    picture = np.full((120, 120), 30, np.uint8)
    made = align.align_frames([(0, picture)], record_of([face_points((60, 60))]), border=128, size=144)
    assert made["frames"][0, -1, 0] == 128 and made["frames"][0, 72, 72] == 30
    assert made["frames"].shape == (1, 144, 144) and made["frames"].dtype == np.uint8


def test_degenerate_points_exclude_and_changed_frames_stop():
    with pytest.raises(Excluded, match="eye centres"):
        align.similarity(np.zeros((68, 2)))
    picture = texture().astype(np.uint8)
    with pytest.raises(MerError, match="2 frames on disk, 3 with landmarks"):
        align.align_frames([(0, picture), (1, picture)], record_of([face_points()] * 3))


def test_a_clip_on_disk_keeps_numbers_and_annotation(tmp_path):
    clip = clip_row(first=11, last=13, apex=None)
    save_frames(tmp_path, clip, [texture().astype(np.uint8)] * 3)
    made = align.align_clip((clip, record_of([face_points()] * 3, np.arange(11, 14))), raw_root=str(tmp_path), size=64,
                            enlarge=2.5, border=0, per_frame=False)
    assert made["numbers"].tolist() == [11, 12, 13] and made["annotation"].tolist() == [11, -1, 13]
    assert made["frames"].shape == (3, 64, 64)
    assert cv2.getNumThreads() == 1
