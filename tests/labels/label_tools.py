"""Clips, pictures and a stand-in for dlib that the label tests share."""

import cv2
import numpy as np

from mer.datasets.clips import Clip

EYES = np.array([[-32.0, 0.0], [32.0, 0.0]])


def face_points(centre=(100.0, 90.0), scale=1.0, roll=0.0) -> np.ndarray:
    """68 points of a plausible frontal face, (68, 2): inter-ocular distance 64 * scale, rolled by `roll` radians."""
    points = np.zeros((68, 2))
    angle = np.linspace(0.05, np.pi - 0.05, 17)
    points[:17] = np.column_stack([-71 * np.cos(angle), 10 + 100 * np.sin(angle)])
    for first, side in ((17, -1), (22, 1)):
        points[first:first + 5] = np.column_stack([side * 32 + np.linspace(-18, 18, 5), np.full(5, -21.0)])
    points[27:31] = np.column_stack([np.zeros(4), np.linspace(5, 40, 4)])
    points[31:36] = np.column_stack([np.linspace(-12, 12, 5), np.full(5, 46.0)])
    for first, eye in ((36, EYES[0]), (42, EYES[1])):
        turn = np.arange(6) * np.pi / 3
        points[first:first + 6] = eye + np.column_stack([14 * np.cos(turn), 5 * np.sin(turn)])
    turn = np.arange(12) * np.pi / 6 + np.pi
    points[48:60] = np.column_stack([25 * np.cos(turn), 71 + 8 * np.sin(turn)])
    turn = np.arange(8) * np.pi / 4 + np.pi
    points[60:] = np.column_stack([17 * np.cos(turn), 71 + 3 * np.sin(turn)])
    c, s = np.cos(roll), np.sin(roll)
    return points @ np.array([[c, s], [-s, c]]) * scale + centre


def texture(shape=(200, 200), seed=0, blur=2.0) -> np.ndarray:
    """A smooth random picture, (H, W) float32 in 20..235."""
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), blur)
    return 20 + 215 * (picture - picture.min()) / (picture.max() - picture.min())


def shifted(picture: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """The picture moved right by dx and down by dy pixels, uint8."""
    moved = cv2.warpAffine(picture, np.array([[1, 0, dx], [0, 1, dy]], np.float64), picture.shape[::-1],
                           flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(moved.round(), 0, 255).astype(np.uint8)


def clip_row(clip_id="s01_a", subject="own/s01", first=1, last=4, **changes) -> Clip:
    """A Clip whose frames lie in frames/<clip_id>."""
    row = {"clip_id": clip_id, "dataset": "own", "release": "plain", "subject": subject,
           "frames_dir": f"frames/{clip_id}", "first": first, "last": last, "onset": first, "apex": (first + last) // 2,
           "offset": last, "fps": 100.0, "label_raw": "a", "aus_raw": "", "flags": ""}
    return Clip(**{**row, **changes})


def save_frames(root, clip: Clip, pictures, suffix=".png") -> list:
    """Write pictures as frames first, first + 1 ... of a clip; returns their paths."""
    folder = root / clip.frames_dir
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"img{clip.first + i}{suffix}" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        assert cv2.imwrite(str(path), picture)
    return paths
