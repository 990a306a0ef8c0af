"""Looking for a face where it was in the frame before, for an eighth of the time, in the boxes that dlib would give.

dlib's HOG detector slides a window over a pyramid of the frame, each level 5/6 of the one before, in steps of 8 pixels
of the level: its boxes lie on a lattice (level, column, row). The 68 points depend on the box, at a face of 250 pixels
by 1.4 px rms for a box that is 2 px off, so a face must not be searched in just any enlarged piece of the frame. The
piece cut out here is of one level of the frame's own pyramid and begins where the columns and rows of that level and of
the next do; what the detector finds in it are boxes of the frame's lattice (tests/bench/faces.py says how often it is
the very one that the search of the whole frame gives).
"""

import functools
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
REACH = (2, 1)  # cells beyond the face's own that a piece shows on each side, in its level and in the next
CLIMB = 4  # at most so often the piece is moved after a face that left its middle
BOTH = 8  # every so many frames the larger and the smaller level beside the face's are looked at, else one of them
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
    low = min(here - REACH[0] * CELL, (there - REACH[1] * CELL) * STEP)
    high = max(here + REACH[0] * CELL + WINDOW, (there + REACH[1] * CELL + WINDOW) * STEP)
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


def look(detect: Callable, image: np.ndarray, cell: Cell, base: int) -> tuple[list[tuple[float, Cell]], bool]:
    """(score, cell) of the faces in a piece around `cell`, of the levels `base` and base + 1, and whether there is one
    of a higher level.

    Args:
        detect: (image, upsample) -> boxes (n, 4) and scores (n,).
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
        if _apart(cell, placed) <= REACH[0] + 1:
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
    frames: int = 0

    def __post_init__(self):
        self.base = max(self.cell.level - 1, 0)  # the lower of the two levels that are looked at

    def search(self, image: np.ndarray) -> tuple[tuple[int, int, int, int], float] | None:
        """Its box and score in the next frame, gray uint8; None if it is not seen there."""
        level, best = self.cell.level, None
        bases = [self.base] if self.frames % BOTH else [max(level - 1, 0), level]
        self.frames += 1
        for _ in range(CLIMB):
            wanted, seen = list(dict.fromkeys(bases)), set()
            while wanted:
                seen.add(base := wanted.pop())
                found, higher = look(self.detect, image, self.cell, base)
                best = max([*found, *([best] if best else [])], default=None)
                if higher and base + 1 not in seen and base <= level:  # which hides those of its own levels
                    wanted.append(base + 1)
            if best is None:
                return None
            cell = best[1]
            middle = _apart(self.cell, cell) < REACH[0]
            near = abs(cell.level - level) <= 1
            if cell.level != self.cell.level:
                self.base = min(cell.level, self.cell.level)
            self.cell, bases = cell, [self.base]
            if middle and near:
                break
        return box_of(self.cell), best[0]
