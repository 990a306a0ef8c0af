"""Which of the faces of a clip is followed, and whether its points stay on it.

A track is one face through the clip. The detector's score says whether something is a face at all: a patch on a suit
may be larger than the face beside it and is found now and then with a score near 0. Size says which of several people
the clip is of. So the largest track is taken of those whose summed score comes near the highest.
"""

from dataclasses import dataclass, field

import numpy as np

from mer.labels.points68 import inter_ocular

PLAIN, ENLARGED, NEIGHBOUR = 0, 1, 2  # values of `how`
OVERLAP = 0.3  # intersection over union from which a box goes on with a track
FACE = 0.75  # of the highest summed score, from which a track is a face that counts
JUMP = 0.5  # of the inter-ocular distance, farther than which no face moves from frame to frame
STEADY = 0.5  # of a clip's frames, without a jump between them, that are needed


@dataclass
class Track:
    """One face: {position in the clip: what was found there}, and its scores where whole frames were searched."""

    rows: dict[int, dict] = field(default_factory=dict)
    total: float = 0.0
    side: float = 0.0  # of its largest box, pixels
    last: np.ndarray | None = None  # its latest box

    def add(self, position: int, box: np.ndarray, score: float, how: int, faces: int, points: np.ndarray) -> None:
        """What was found at a position: a box (4,), its score, how, among how many faces, its points (68, 2)."""
        self.rows[position] = {"boxes": box, "score": score, "how": how, "faces": min(faces, 255), "points": points}
        self.last, self.side = box, max(self.side, float(box[2] - box[0]))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,)."""
    inner = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod(dtype=float)
    return float(inner / (np.prod(a[2:] - a[:2], dtype=float) + np.prod(b[2:] - b[:2], dtype=float) - inner))


def assign(tracks: list[Track], boxes: np.ndarray) -> list[Track]:
    """The track of each box (n, 4): that whose latest box overlaps it most, none twice; else a new one in `tracks`."""
    pairs = sorted(((overlap(track.last, box), -t, -b) for t, track in enumerate(tracks) if track.last is not None
                    for b, box in enumerate(boxes)), reverse=True)
    mine: dict[int, int] = {}
    for share, t, b in pairs:
        if share >= OVERLAP and -b not in mine and -t not in mine.values():
            mine[-b] = -t
    for b in range(len(boxes)):
        if b not in mine:
            mine[b] = len(tracks)
            tracks.append(Track())
    return [tracks[mine[b]] for b in range(len(boxes))]


def followed(tracks: list[Track]) -> Track | None:
    """The track that the clip is of; None without any."""
    if not tracks:
        return None
    highest = max(track.total for track in tracks)
    return max((track for track in tracks if track.total >= FACE * highest), key=lambda track: track.side)


def jumps(points: np.ndarray, how: np.ndarray) -> np.ndarray:
    """(T,) bool, where the points (T, 68, 2) lie farther from those of the frame before than a face moves.

    On the mean over the points; both frames' faces were found.
    """
    found = how != NEIGHBOUR
    away = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(-1) > JUMP * inter_ocular(points[:-1])
    return np.concatenate([[False], away & found[1:] & found[:-1]])


def steady(points: np.ndarray, how: np.ndarray) -> np.ndarray:
    """(T,) bool, the frames with a face found in the stretch between two jumps that has most of them."""
    stretch, found = np.cumsum(jumps(points, how)), how != NEIGHBOUR
    return found & (stretch == np.bincount(stretch[found]).argmax())
