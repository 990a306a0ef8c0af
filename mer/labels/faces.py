"""Face boxes and 68 landmarks of every frame, by dlib's HOG detector and its 68-point predictor.

dlib and the predictor's file are loaded once per process. The detector looks at the frame as it is first, enlarges it
(4 times dearer) only where nothing is found, and falls back on the nearest frame's box; `how` records which.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import dlib
import numpy as np

from mer.base.errors import MerError
from mer.datasets.clips import Clip
from mer.labels import images
from mer.labels.points68 import POINTS
from mer.labels.records import Excluded, Record, guarded

PREDICTOR = "shape_predictor_68_face_landmarks.dat"
PLAIN, ENLARGED, NEIGHBOUR = 0, 1, 2  # values of `how`


def predictor_path(model_path: str | None = None) -> Path:
    """Where the 68-point predictor's file lies: `model_path`, else inside the package `face_recognition_models`.

    The package is located without importing it, because its import needs the removed `pkg_resources`.

    Raises:
        MerError: the file is not there.
    """
    if model_path is not None:
        if not Path(model_path).is_file():
            raise MerError(f"params.yaml: landmarks.model_path = {model_path}: no such file; expected dlib's "
                           f"{PREDICTOR}, or null for the one in the package face_recognition_models")
        return Path(model_path)
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / "models" / PREDICTOR).is_file():
            return path
    raise MerError(f"{PREDICTOR}: not found; `pip install face_recognition_models`, or set landmarks.model_path in "
                   "params.yaml to the file")


@functools.cache
def dlib_models(path: str) -> tuple[Callable, Callable]:
    """(detect, predict) on gray images; the predictor (100 MB) is read once per process."""
    try:
        predictor = dlib.shape_predictor(path)
    except RuntimeError as error:
        raise MerError(f"{Path(path).name}: dlib cannot load it ({' '.join(str(error).split())}); expected {PREDICTOR}"
                       ) from None
    detector = dlib.get_frontal_face_detector()

    def detect(image: np.ndarray, upsample: int) -> tuple[np.ndarray, np.ndarray]:
        found, scores, _ = detector.run(image, upsample, 0.0)
        boxes = [(r.left(), r.top(), r.right(), r.bottom()) for r in found]
        return np.array(boxes, np.int32).reshape(-1, 4), np.array(scores, np.float32)

    def predict(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        shape = predictor(image, dlib.rectangle(*map(int, box)))
        if shape.num_parts != POINTS:
            raise MerError(f"{Path(path).name}: predicts {shape.num_parts} points; expected {POINTS} ({PREDICTOR})")
        return np.array([(p.x, p.y) for p in shape.parts()], np.float32)

    return detect, predict


def label_frames(frames: Iterable[tuple[int, np.ndarray]], detect: Callable, predict: Callable,
                 upsample_retry: int = 1) -> Record:
    """Boxes and landmarks of a clip's frames.

    Args:
        frames: (frame number, (H, W) uint8 image), consumed one by one; only frames without a face are kept waiting.
        detect: (image, upsample) -> boxes (n, 4) of left, top, right, bottom and scores (n,).
        predict: (image, box) -> (68, 2) points.
        upsample_retry: how often to double the image where nothing is found at its own size; 0 = do not retry.

    Returns:
        points (T, 68, 2) float32 raw pixels, whole ones (dlib rounds); boxes (T, 4) int32; how (T,) uint8: 0 found at
        the frame's size, 1 after enlarging, 2 box of the nearest frame that has one (the earlier of two); faces (T,)
        uint8 number found, of which the largest is taken; score (T,) float32 detector's confidence, NaN where how is
        2; numbers (T,) int32.

    Raises:
        Excluded: no face in any frame.
    """
    numbers, rows, waiting = [], [], {}
    for position, (number, image) in enumerate(frames):
        numbers.append(number)
        how = PLAIN
        boxes, scores = detect(image, 0)
        if not len(boxes) and upsample_retry:
            how = ENLARGED
            boxes, scores = detect(image, upsample_retry)
        if not len(boxes):
            waiting[position] = image
            rows.append(None)
            continue
        best = int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
        rows.append((predict(image, boxes[best]), boxes[best], how, min(len(boxes), 255), scores[best]))
    seen = [position for position, row in enumerate(rows) if row is not None]
    if not seen:
        raise Excluded(f"no face found in any of its {len(rows)} frames")
    for position, image in waiting.items():
        box = rows[min(seen, key=lambda s: (abs(s - position), s))][1]
        rows[position] = (predict(image, box), box, NEIGHBOUR, 0, np.nan)
    points, boxes, how, faces, score = zip(*rows, strict=True)
    return {"points": np.stack(points).astype(np.float32), "boxes": np.stack(boxes).astype(np.int32),
            "how": np.array(how, np.uint8), "faces": np.array(faces, np.uint8), "score": np.array(score, np.float32),
            "numbers": np.array(numbers, np.int32)}


def landmark_clip(clip: Clip, *, raw_root: str, model_path: str, upsample_retry: int) -> Record:
    """`label_frames` of a clip on disk, or the reason why it is excluded. One work item, run in a worker process."""
    cv2.setNumThreads(1)
    detect, predict = dlib_models(model_path)
    return guarded(lambda: label_frames(images.frames(raw_root, clip), detect, predict, upsample_retry))


def counts(records: Iterable[Record]) -> dict[str, int]:
    """How the frames of all labelled clips were found, for the stage's summary."""
    records = [r for r in records if "excluded" not in r]
    how = np.concatenate([r["how"] for r in records]) if records else np.zeros(0, np.uint8)
    faces = np.concatenate([r["faces"] for r in records]) if records else how
    return {"frames": int(how.size), "detected": int((how != NEIGHBOUR).sum()),
            "upsampled": int((how == ENLARGED).sum()), "neighbour": int((how == NEIGHBOUR).sum()),
            "several_faces": int((faces > 1).sum())}
