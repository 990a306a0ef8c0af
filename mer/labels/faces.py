"""Face boxes and 68 landmarks of every frame, by dlib's HOG detector and its 68-point predictor.

dlib and the predictor's file are loaded once per process. The detector looks at a whole frame as it is first, enlarges
it (4 times dearer) only where nothing is found, and falls back on the nearest frame's box; `how` records which. Between
whole frames it looks where the face was (`mer/labels/lattice.py`); of several faces one is followed through the clip
(`mer/labels/tracks.py`).
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
from mer.labels import images, lattice, tracks
from mer.labels.listing import Files
from mer.labels.points68 import POINTS
from mer.labels.records import Excluded, Record, guarded
from mer.labels.tracks import ENLARGED, NEIGHBOUR, PLAIN, Track

PREDICTOR = "shape_predictor_68_face_landmarks.dat"
SURE = 0.5  # score of a face below which the whole frame is searched for a better one
PIECE = 144  # pixels; a piece of the frame that is enlarged begins at a multiple: whole cells of the first levels


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


def everywhere(detect: Callable, image: np.ndarray, upsample_retry: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Boxes (n, 4) and scores (n,) of a whole frame, enlarged if nothing is found at its own size, and how."""
    boxes, scores = detect(image, 0)
    if len(boxes) or not upsample_retry:
        return boxes, scores, PLAIN
    return *detect(image, upsample_retry), ENLARGED


class Near:
    """The face of a track, looked for near its latest box."""

    def __init__(self, detect: Callable, upsample_retry: int):
        self.detect, self.upsample_retry, self.follower = detect, upsample_retry, None

    def search(self, image: np.ndarray, box: np.ndarray, how: int) -> tuple[np.ndarray, float] | None:
        """Its box (4,) and score in a frame after the one where it had `box`, found as `how` says; None: not there."""
        if how == ENLARGED:
            return self._enlarged(image, box)
        if self.follower is None or lattice.box_of(self.follower.cell) != tuple(box.tolist()):
            cell = lattice.cell_of(box)
            self.follower = None if cell is None else lattice.Follower(self.detect, cell)
        found = self.follower and self.follower.search(image)
        return found and (np.array(found[0], np.int32), found[1])

    def _enlarged(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float] | None:
        side = box[2] - box[0]
        left, top = (max(int(x - side) // PIECE * PIECE, 0) for x in box[:2])
        boxes, scores = self.detect(np.ascontiguousarray(image[top:box[3] + side, left:box[2] + side]),
                                    self.upsample_retry)
        shares = [tracks.overlap(found + (left, top, left, top), box) for found in boxes]
        if not shares or max(shares) < tracks.OVERLAP:
            return None
        best = int(np.argmax(shares))
        return (boxes[best] + (left, top, left, top)).astype(np.int32), float(scores[best])


def label_frames(read: Callable[[], Iterable[tuple[int, np.ndarray]]], detect: Callable, predict: Callable, *,
                 upsample_retry: int = 1, whole_every: int = 1) -> Record:
    """Box and landmarks of one face in each of a clip's frames.

    # released code: the whole frame, enlarged, every time, and the first face that is found; here: see above.

    Args:
        read: gives the clip's (frame number, (H, W) uint8 image), one by one; called again only where the face is
            missing in a frame.
        detect: (image, upsample) -> boxes (n, 4) of left, top, right, bottom and scores (n,).
        predict: (image, box) -> (68, 2) points.
        upsample_retry: how often to double the image where nothing is found at its own size; 0 = do not retry.
        whole_every: frames from one search of the whole frame to the next; 1: all, the exhaustive way.

    Returns:
        points (T, 68, 2) float32 raw pixels, whole ones (dlib rounds); boxes (T, 4) int32; how (T,) uint8: 0 found at
        the frame's size, 1 after enlarging, 2 box of the nearest frame that has one (the earlier of two); faces (T,)
        uint8 number found where it was searched; score (T,) float32 detector's confidence, NaN where how is 2; others
        (n, 6) float32 the other faces of the whole frames searched: frame number, box, score; numbers (T,) int32.

    Raises:
        Excluded: no face in any frame, or points that jump so often that less than half of the frames hang together.
    """
    numbers, seen, whole, near = [], [], set(), Near(detect, upsample_retry)
    leader: Track | None = None
    for position, (number, image) in enumerate(read()):
        numbers.append(number)
        found = None
        if leader is not None and position % whole_every and position - 1 in leader.rows:
            found = near.search(image, leader.last, leader.rows[position - 1]["how"])
        if leader is not None and found is not None and found[1] >= SURE:
            leader.add(position, *found, leader.rows[position - 1]["how"], 1, predict(image, found[0]))
            continue
        whole.add(position)
        boxes, scores, how = everywhere(detect, image, upsample_retry)
        for track, box, score in zip(tracks.assign(seen, boxes), boxes, scores, strict=True):
            track.add(position, box, score, how, len(boxes), predict(image, box))
            track.total += float(score)
        leader = tracks.followed(seen)
    if leader is None:
        raise Excluded(f"no face found in any of its {len(numbers)} frames")
    missing = {position for position in range(len(numbers)) if position not in leader.rows}
    if missing:
        _fill(read(), missing, whole, leader, near, predict)
    rows = [leader.rows[position] for position in range(len(numbers))]
    others = [(numbers[position], *row["boxes"], row["score"]) for track in seen if track is not leader
              for position, row in track.rows.items() if position in whole]
    record = {name: np.stack([row[name] for row in rows]).astype(kind) for name, kind in KINDS.items()}
    _refuse_jumps(record)
    return record | {"others": np.array(sorted(others), np.float32).reshape(-1, 6),
                     "numbers": np.array(numbers, np.int32)}


KINDS = {"points": np.float32, "boxes": np.int32, "how": np.uint8, "faces": np.uint8, "score": np.float32}


def _fill(frames, missing: set[int], whole: set[int], track: Track, near: Near, predict: Callable) -> None:
    """The positions that a track lacks: looked for near its nearest box where the whole frame was not searched, else
    that box."""
    known = sorted(track.rows)
    for position, (_, image) in enumerate(frames):
        if position not in missing:
            continue
        row = track.rows[min(known, key=lambda k: (abs(k - position), k))]
        found = None if position in whole else near.search(image, row["boxes"], row["how"])
        box, score, how = (*found, row["how"]) if found else (row["boxes"], np.nan, NEIGHBOUR)
        track.add(position, box, score, how, int(how != NEIGHBOUR), predict(image, box))


def _refuse_jumps(record: Record) -> None:
    jumps, steady = (at(record["points"], record["how"]) for at in (tracks.jumps, tracks.steady))
    if jumps.any() and steady.sum() < tracks.STEADY * len(steady):
        raise Excluded(f"its points jump {jumps.sum()} times by more than half an inter-ocular distance; at most "
                       f"{steady.sum()} of its {len(steady)} frames hang together")


def landmark_clip(clip: Clip, files: Files | None = None, *, raw_root: str, model_path: str, **settings) -> Record:
    """`label_frames` of a clip on disk, or the reason why it is excluded. files: where they are listed already."""
    cv2.setNumThreads(1)
    detect, predict = dlib_models(model_path)
    return guarded(lambda: label_frames(lambda: images.frames(raw_root, clip, files), detect, predict, **settings))


def landmark_item(item: tuple[Clip, Files], **settings) -> Record:
    """`landmark_clip` of a work item, run in a worker process."""
    return landmark_clip(*item, **settings)


def not_largest(record: Record) -> bool:
    """Whether somewhere another face found is larger than the one that is followed: the largest one won before."""
    at = np.searchsorted(record["numbers"], record["others"][:, 0].astype(int))
    side = record["boxes"][:, 2] - record["boxes"][:, 0]
    return bool((record["others"][:, 3] - record["others"][:, 1] > side[at]).any())


COUNTED = ("frames", "detected", "upsampled", "neighbour", "several_faces", "clips_other_faces", "clips_not_largest",
           "clips_jump")
TOLD = ("how", "faces", "others", "numbers", "boxes", "points")  # what `tell` looks at


def tell(record: Record) -> dict[str, int]:
    """How the frames of a labelled clip were found, to be added up for the stage's summary.

    Of clips: with other faces; where the followed one is not the largest; with points that jump.
    """
    how = record["how"]
    return {"frames": how.size, "detected": int((how != NEIGHBOUR).sum()), "upsampled": int((how == ENLARGED).sum()),
            "neighbour": int((how == NEIGHBOUR).sum()), "several_faces": int((record["faces"] > 1).sum()),
            "clips_other_faces": int(len(record["others"]) > 0), "clips_not_largest": int(not_largest(record)),
            "clips_jump": int(tracks.jumps(record["points"], how).any())}


def counts(told: Iterable[dict[str, int]]) -> dict[str, int]:
    """The sums over all labelled clips of what `tell` says."""
    total = dict.fromkeys(COUNTED, 0)
    for one in told:
        total = {name: total[name] + one[name] for name in COUNTED}
    return total
