"""Looking for a face where it was in the frame before, for an eighth of the time, in the boxes that dlib would give.

dlib's HOG detector slides a window over a pyramid of the frame, each level 5/6 of the one before, in steps of 8 pixels
of the level: its boxes lie on a lattice (level, column, row). The 68 points depend on the box, at a face of 250 pixels
by 1.4 px rms for a box that is 2 px off, so a face must not be searched in just any enlarged piece of the frame. The
piece cut out here is of one level of the frame's own pyramid and begins where the columns and rows of that level and of
the next do; what the detector finds in it are boxes of the frame's lattice (tests/bench/faces.py says how often it is
the very one that the search of the whole frame gives).
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

CELL = 8  # pixels of a level from one box to the next
STEP, BLEND = 6 / 5, 0.3  # dlib's pyramid_down<6>: x -> 1.2 x + 0.3 goes from a level to the one before, in its boxes
INSET, FACE, WINDOW = 5, 72, 80  # a box begins 5 pixels inside the detector's window and is 72 (and one) wide
PERIOD = 48  # pixels of a level, 6 cells: 40 pixels, 5 whole cells, of the next
REACH = 1  # cells beyond the face's own that a piece shows on each side; what is found further out is looked at again
FAR = 3  # cells, from which it is another face
CLIMB = 4  # at most so often the piece is moved after a face that left its middle
BOTH = 16  # every so many frames the levels above and below the face's are looked at, else one of them
RESTLESS = 2  # frames after a change in which both are looked at, exactly: there two boxes are nearly as good
BLUR = 1 / 6  # variance, in pixels of a level squared, that one bilinear reduction adds on average


class Cell(NamedTuple):
    """A place of the lattice."""

    level: int
    column: int
    row: int


def _up(x: float, level: int) -> float:
    return STEP**level * x + BLEND * (STEP**level - 1) / (STEP - 1)


def _down(x: float, level: int) -> float:
    return (x - BLEND * (STEP**level - 1) / (STEP - 1)) / STEP**level


def box_of(cell: Cell) -> tuple[int, int, int, int]:
    """The box left, top, right, bottom that dlib reports of a cell, pixels of the frame."""
    left, top = CELL * cell.column + INSET, CELL * cell.row + INSET
    return tuple(math.floor(_up(x, cell.level) + 0.5) for x in (left, top, left + FACE, top + FACE))


def cell_of(box: Sequence[int]) -> Cell | None:
    """The cell of a box, None if it is not one of the lattice (found in an enlarged frame)."""
    left, top, right, bottom = map(int, box)
    level = round(math.log(max(right - left, 1) / FACE, STEP))
    if level < 0:
        return None
    cell = Cell(level, *(round((_down(x, level) - INSET) / CELL) for x in (left, top)))
    return cell if box_of(cell) == (left, top, right, bottom) else None


def _at(place: int, level: int, other: int) -> int:
    """The column (or row) in level `other` of the box around the same middle as that of `place` in `level`."""
    middle = _up(CELL * place + INSET + FACE / 2, level)
    return round((_down(middle, other) - INSET - FACE / 2) / CELL)


@functools.cache
def _size(whole: int, level: int) -> int:
    """Width (or height) of a level, as dlib rounds it."""
    return _size(whole, level - 1) * 5 // 6 if level else whole


@functools.cache
def _side(least: int, whole: int) -> int:
    """The side of a piece, a few pixels more than `least`, of which dlib makes the next level in the whole's ratio."""
    ratio = (whole - 1) / (whole * 5 // 6 - 1)
    return min(range(least, least + 6), key=lambda side: abs((side - 1) / (side * 5 // 6 - 1) - ratio))


def _span(place: int, level: int, base: int, whole: int) -> tuple[int, int]:
    """First pixel, a multiple of PERIOD, and the pixel after the last of a piece, along one axis of level `base`."""
    here, there = CELL * _at(place, level, base), CELL * _at(place, level, base + 1)
    low = min(here - REACH * CELL, (there - REACH * CELL) * STEP)
    high = max(here + REACH * CELL + WINDOW, (there + REACH * CELL + WINDOW) * STEP)
    low = max(math.floor(low / PERIOD), 0) * PERIOD
    return low, min(low + _side(math.ceil(high - low), whole), whole)


def cut(image: np.ndarray, level: int, columns: tuple[int, int], rows: tuple[int, int]) -> np.ndarray:
    """The pixels from first to before last of a level of dlib's pyramid over a gray image, in one reduction.

    dlib reduces level by level, bilinearly, which blurs; a box and a Gaussian filter of the same variance replace that.
    """
    if level == 0:
        return np.ascontiguousarray(image[slice(*rows), slice(*columns)])
    scales = [(whole - 1) / (_size(whole, level) - 1) for whole in image.shape]
    box = 2 ** int(math.log2(min(scales)))
    cuts, matrix = [], np.zeros((2, 3))
    for axis, (whole, scale, (low, high)) in enumerate(zip(image.shape, scales, (rows, columns), strict=True)):
        begin = max(math.floor(low * scale) - 2 * box, 0)
        end = min(math.ceil(high * scale) + 2 * box, whole)
        cuts.append(slice(begin, begin + (end - begin) // box * box))
        matrix[1 - axis, [1 - axis, 2]] = scale / box, (low * scale - begin - (box - 1) / 2) / box
    piece = image[tuple(cuts)]
    if box > 1:
        piece = cv2.resize(piece, (piece.shape[1] // box, piece.shape[0] // box), interpolation=cv2.INTER_AREA)
    blur = BLUR * (STEP ** (2 * level) - 1) / (STEP**2 - 1) - (box**2 - 1) / 12 - BLUR * box**2
    if blur > 0:
        piece = cv2.GaussianBlur(piece, (5, 5), math.sqrt(blur) / box)
    return cv2.warpAffine(piece, matrix, (columns[1] - columns[0], rows[1] - rows[0]),
                          flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)


def cut_exactly(image: np.ndarray, level: int, columns: tuple[int, int], rows: tuple[int, int]) -> np.ndarray:
    """As `cut`, level by level as dlib does it, which takes several times as long."""
    spans = [(columns, rows)]
    for above in reversed(range(level)):
        spans.append(tuple((max(math.floor(low * ratio), 0), min(math.ceil((high - 1) * ratio) + 2, whole))
                           for (low, high), ratio, whole in zip(spans[-1], _ratios(image, above),
                                                                (_size(x, above) for x in image.shape[::-1]),
                                                                strict=True)))
    spans.reverse()
    piece = image[slice(*spans[0][1]), slice(*spans[0][0])]
    for above, (old, new) in enumerate(itertools.pairwise(spans)):
        matrix = np.array([[r if axis == k else 0 for k in (0, 1)] + [new[axis][0] * r - old[axis][0]]
                           for axis, r in enumerate(_ratios(image, above))])
        piece = cv2.warpAffine(piece, matrix, (new[0][1] - new[0][0], new[1][1] - new[1][0]),
                               flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(piece)


def _ratios(image: np.ndarray, level: int) -> list[float]:
    """Pixels of a level to one of the next, along x and y."""
    return [(_size(whole, level) - 1) / (_size(whole, level + 1) - 1) for whole in image.shape[::-1]]


def look(detect: Callable, image: np.ndarray, cell: Cell, base: int,
         cut: Callable) -> tuple[list[tuple[float, Cell]], bool]:
    """(score, cell) of the faces in a piece around `cell`, of the levels `base` and base + 1, and whether there is one
    of a higher level.

    Args:
        detect: (image, upsample) -> boxes (n, 4) and scores (n,).
        cut: `cut` or `cut_exactly`.
    """
    width, height = (_size(whole, base) for whole in image.shape[::-1])
    if min(width, height) < WINDOW:
        return [], False
    columns, rows = _span(cell.column, cell.level, base, width), _span(cell.row, cell.level, base, height)
    found, higher = [], False
    for box, score in zip(*detect(cut(image, base, columns, rows), 0), strict=True):
        if (seen := cell_of(box)) is None or seen.level > 1:
            higher |= seen is not None
            continue
        shift = PERIOD // CELL - seen.level  # cells of this level in a period
        placed = Cell(base + seen.level, seen.column + columns[0] // PERIOD * shift,
                      seen.row + rows[0] // PERIOD * shift)
        if _apart(cell, placed) <= FAR:
            found.append((float(score), placed))
    return found, higher


def _apart(cell: Cell, other: Cell) -> int:
    """How many columns or rows, whichever is more, `other` lies beside the place of `cell` in its level."""
    return max(abs(other.column - _at(cell.column, cell.level, other.level)),
               abs(other.row - _at(cell.row, cell.level, other.level)))


@dataclass
class Follower:
    """The face of a cell, looked for near where it was."""

    detect: Callable
    cell: Cell
    calm: int = 0  # frames since the last change, from -RESTLESS

    def __post_init__(self):
        self.base = max(self.cell.level - 1, 0)  # the lower of the two levels that are looked at

    def search(self, image: np.ndarray) -> tuple[tuple[int, int, int, int], float] | None:
        """Its box and score in the next frame, gray uint8; None if it is not seen there."""
        restless, start = self.calm < 0, self.cell
        bases = [self.base, self.base + 1] if restless else [self.base]
        if self.calm % BOTH == 0:
            bases = [max(start.level - 1, 0), start.level]
        self.calm += 1
        for _ in range(CLIMB):
            scores: dict[Cell, float] = {}
            wanted = sorted(set(bases))
            while wanted:
                base = wanted.pop(0)
                found, higher = look(self.detect, image, self.cell, base, cut_exactly if restless else cut)
                scores |= {cell: score for score, cell in found if cell.level == base or cell not in scores}
                if higher and not wanted and base <= start.level:  # which hides those of its own levels
                    wanted.append(base + 1)
            if not scores:
                return None
            cell = max(scores, key=scores.__getitem__)
            inside = _apart(self.cell, cell) <= REACH and abs(cell.level - start.level) <= 1
            if cell.level != self.cell.level:
                self.base = min(cell.level, self.cell.level)
            self.cell = cell
            if inside:
                break
            bases = [self.base]
        if self.cell != start:
            self.calm = -RESTLESS
        return box_of(self.cell), scores[self.cell]
