"""Face crops by a similarity transform: eyes level, a box around five points, one transform for the whole clip.

One transform per clip is the default, of the median of its points over the frames in which the face was found and does
not jump: dlib's points jitter by about half a pixel from frame to frame, which is the size of a micro-expression. A
transform per frame writes that jitter into the frames as motion; one of the first frame alone keeps that frame's error,
and is lost where another thing than the face was found there.
"""

import cv2
import numpy as np

from mer.base.errors import MerError
from mer.datasets.clips import Clip
from mer.labels import images, tracks
from mer.labels.listing import Files
from mer.labels.points68 import MOUTH_CORNERS, NOSE_TIP, eye_centres
from mer.labels.records import Excluded, Record, guarded, one


def similarity(points: np.ndarray, size: int = 144, enlarge: float = 2.5) -> np.ndarray:
    """The similarity from raw pixels to a size x size crop, that of the released codes of MOL and FDP.

    The eye centres become level; the box is the square of `enlarge` times the larger extent of eye centres, nose tip
    (30) and mouth corners (48, 54), around the middle of their extents; its outermost pixel centres are the crop's.

    Args:
        points: (68, 2) x, y in raw pixels.

    Returns:
        (2, 3) float64: crop = matrix[:, :2] @ raw + matrix[:, 2].

    Raises:
        Excluded: the eye centres coincide.
    """
    points = np.asarray(points, np.float64)
    eyes = np.stack(eye_centres(points))
    across = eyes[1] - eyes[0]
    distance = np.hypot(*across)
    if not distance > 1e-6:
        raise Excluded("its eye centres coincide, so it cannot be aligned")
    cos, sin = across / distance
    turn = np.array([[cos, sin], [-sin, cos]])
    five = np.vstack([eyes, points[[NOSE_TIP, *MOUTH_CORNERS]]]) @ turn.T
    low, high = five.min(0), five.max(0)
    scale = (size - 1) / (enlarge * (high - low).max())
    return np.column_stack([scale * turn, (size - 1) / 2 - scale * (low + high) / 2])


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) through the transform (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def warp(image: np.ndarray, matrix: np.ndarray, size: int, border: int = 128) -> np.ndarray:
    """The (size, size) crop of an image, bilinear, `border` where the crop reaches beyond the image."""
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
                          borderValue=border)


def align_frames(frames, record: Record, *, size: int = 144, enlarge: float = 2.5, border: int = 128,
                 per_frame: bool = False) -> Record:
    """Crops and landmarks of a clip.

    Args:
        frames: (frame number, (H, W) uint8 image) in order.
        record: the clip's landmark record: points (T, 68, 2) raw pixels, how (T,), numbers (T,).
        per_frame: each frame by its own landmarks.
            # paper: a similarity per frame; released code: same; here: one per clip, of the median points of its
            # steady frames (`tracks.steady`), this switch for the original.

    Returns:
        frames (T, size, size) uint8, points (T, 68, 2) float32 in crop pixels, matrix (2, 3) float64 raw -> crop
        (`per_frame`: (T, 2, 3)), numbers (T,) int32.

    Raises:
        MerError: the frames on disk are not those that have landmarks.
    """
    points, numbers = record["points"], record["numbers"]
    steady = points[tracks.steady(points, record["how"])]
    matrices = [similarity(p, size, enlarge) for p in (points if per_frame else [np.median(steady, axis=0)])]
    crops, seen = np.empty((len(numbers), size, size), np.uint8), []
    for position, (number, image) in enumerate(frames):
        seen.append(number)
        if position < len(crops):
            crops[position] = warp(image, matrices[min(position, len(matrices) - 1)], size, border)
    if not np.array_equal(seen, numbers):
        raise MerError(f"{len(seen)} frames on disk, {len(numbers)} with landmarks; the raw frames changed after the "
                       "landmarks stage, run `dvc repro`")
    moved = [move(m, p) for m, p in zip(matrices, points, strict=True)] if per_frame else move(matrices[0], points)
    return {"frames": crops, "points": np.asarray(moved, np.float32),
            "matrix": np.stack(matrices) if per_frame else matrices[0], "numbers": numbers}


def align_clip(item: tuple[Clip, Record], files: Files | None = None, *, raw_root: str, **settings) -> Record:
    """`align_frames` of a clip on disk and annotation (3,) int32: frame numbers of onset, apex (-1: none) and offset.

    Or the reason why the clip is excluded. files: where they are listed already.
    """
    cv2.setNumThreads(1)
    clip, record = item
    annotation = np.array([clip.onset, -1 if clip.apex is None else clip.apex, clip.offset], np.int32)
    return guarded(lambda: align_frames(images.frames(raw_root, clip, files), record, **settings)
                   | {"annotation": annotation})


def align_item(item: tuple[Clip, Files], *, marks: str, **settings) -> Record:
    """`align_clip` of a work item, run in a worker process, which reads the landmarks from their store `marks`."""
    clip, files = item
    return align_clip((clip, one(marks, clip, ("points", "how", "numbers"))), files, **settings)


TOLD = ("numbers", "matrix")  # what `tell` looks at


def tell(record: Record) -> dict[str, object]:
    """Of an aligned clip: its frames, and the scale of each of its transforms, crop by raw pixels."""
    return {"frames": len(record["numbers"]),
            "scale": [float(np.sqrt(np.linalg.det(m[:, :2]))) for m in np.reshape(record["matrix"], (-1, 2, 3))]}
