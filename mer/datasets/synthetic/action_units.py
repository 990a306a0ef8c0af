"""Action units as displacement fields of the skin: sums of Gaussians in mm (ours, after FACS).

Positive x is outwards from the middle of the face, y is down; a unit has a term list per side, mirrored, and every
subject has their own variation of it.
"""

import numpy as np

from mer.datasets.synthetic.anatomy import fold_line, gauss, sigmoid
from mer.datasets.synthetic.identity import BASIS, Identity, rng

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 24)
SIDES = (-1, 1)  # left and right in the picture
WRINKLE_STRENGTH = 0.7
# Lids, mm at intensity 1: upper lid raised, lower lid raised.
LIDS = {5: (1.0, 0.0), 6: (0.0, 0.4), 7: (-0.3, 0.8)}

Term = tuple[float, ...]  # centre x, y | sd x, y | displacement x, y


def basis(face: Identity) -> dict[int, list[Term]]:
    """The common basis placed on a face: per action unit the Gaussians of one side."""
    b, n, w, m = face.brow_y, face.nose_length, face.nose_half_width, face.mouth_half_width
    my, u, lo, e = face.mouth_y, face.lip_upper, face.lip_lower, face.eye_x
    return {
        1: [(17, b - 4, 9, 11, 0, -2.6)],
        2: [(43, b - 4, 11, 11, 0.2, -2.6)],
        4: [(15, b, 10, 9, -1.5, 1.7), (32, b, 11, 8, -0.5, 0.9)],
        5: [(e, -6, 11, 3.5, 0, -0.7)],
        6: [(44, 18, 15, 11, -0.2, -1.6)],
        7: [(e, 6, 12, 4, 0, -1.0)],
        9: [(10, 20, 8, 13, -0.1, -2.0), (w - 3, n - 2, 6, 6, 0.3, -1.2), (12, my - u, 10, 6, 0, -0.8),
            (14, b + 4, 9, 7, -0.5, 0.9)],
        10: [(14, my - u - 1, 10, 6.5, 0.1, -2.1), (24, n + 8, 9, 10, 0.3, -1.1)],
        12: [(m, my, 9, 8, 1.8, -2.2), (m + 13, my - 22, 14, 13, 0.5, -1.1)],
        14: [(m + 2, my, 9, 8, 1.7, 0.1), (m + 12, my, 7, 9, -0.8, 0)],
        15: [(m, my + 2, 9, 8, 0.2, 2.3)],
        17: [(5, my + 20, 13, 9, 0, -1.5), (6, my + lo, 14, 5, 0, -1.1)],
        20: [(m, my + 1, 9, 9, 2.0, 0.4), (m + 9, my + 10, 12, 10, 0.6, 0.5)],  # ours: lip stretcher, for fear
        24: [(9, my - 0.7 * u, 13, 4, 0, 1.0), (9, my + 0.8 * lo, 13, 5, 0, -1.2), (m, my, 7, 5, -0.9, 0)],
    }  # fmt: skip


def subject_terms(
    face: Identity, seed: int, release: str, subject: int, jitter: float
) -> dict[tuple[int, int], list[Term]]:
    """A subject's own terms by (action unit, side): gain 0.65 to 1.3, a gain per side, and jittered Gaussians.

    `jitter` 1 moves centres by 1.8 mm, sizes by 13 % and directions by 0.2 rad (standard deviations); three quarters of
    that variance is shared by both sides.
    """
    terms: dict[tuple[int, int], list[Term]] = {}
    for au, common in basis(face).items():
        r = rng(seed, BASIS, release, subject, au)
        gain = r.uniform(0.65, 1.3)
        shared = r.standard_normal((len(common), 5))
        for side in SIDES:
            side_gain = gain * float(np.exp(0.08 * np.clip(r.standard_normal(), -2, 2)))
            draws = np.clip(jitter * (0.87 * shared + 0.5 * r.standard_normal(shared.shape)), -2.5, 2.5)
            own = []
            for (cx, cy, sx, sy, dx, dy), (jx, jy, jsx, jsy, turn) in zip(common, draws, strict=True):
                cos, sin = np.cos(0.2 * turn), np.sin(0.2 * turn)
                term = (cx + 1.8 * jx, cy + 1.8 * jy, sx * np.exp(0.13 * jsx), sy * np.exp(0.13 * jsy),
                        side_gain * (cos * dx - sin * dy), side_gain * (sin * dx + cos * dy))  # fmt: skip
                own.append(tuple(float(v) for v in term))  # numpy scalars would turn float32 fields into float64
            terms[au, side] = own
    return terms


def displacement(terms: list[Term], side: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Displacement (..., 2) in mm at intensity 1 at the points (x, y) mm."""
    u = side * x
    out = np.zeros((*np.broadcast_shapes(x.shape, y.shape), 2), x.dtype)
    for cx, cy, sx, sy, dx, dy in terms:
        bump = gauss(u, y, cx, cy, sx, sy)
        out[..., 0] += side * dx * bump
        out[..., 1] += dy * bump
    return out


def wrinkle(face: Identity, au: int, side: int, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Darkening (h, w) of the skin at intensity 1 by the wrinkles of a unit; None if it makes none."""
    u = side * x
    b, n, w, m, my = face.brow_y, face.nose_length, face.nose_half_width, face.mouth_half_width, face.mouth_y

    def lines(phase: np.ndarray, sharp: float = 3.0) -> np.ndarray:
        return (0.5 + 0.5 * np.cos(phase)) ** sharp

    if au == 1:
        return 0.12 * gauss(u, y, 13, b - 17, 12, 9) * lines(2 * np.pi * (y + 0.004 * u**2) / 7.5)
    if au == 2:
        return 0.12 * gauss(u, y, 40, b - 16, 13, 8) * lines(2 * np.pi * (y - 0.006 * (u - 40) ** 2) / 7.5)
    if au == 4:
        vertical = gauss(u, y, 6, b + 1, 1.2, 7)
        return 0.16 * vertical + 0.05 * gauss(u, y, 18, b + 5, 12, 3.5)
    if au in (6, 7):
        feet = gauss(u, y, 52, 2, 6, 9) * lines(2 * np.pi * (y - 0.25 * (u - 48)) / 5.5)
        pouch = gauss(u, y, face.eye_x, 12, 13, 2.0)
        return (0.10 if au == 6 else 0.04) * feet + 0.08 * pouch
    if au == 9:
        root = gauss(u, y, 7, 8, 6, 8) * lines(2 * np.pi * (y + 0.35 * u) / 4.6)
        return 0.15 * root + 0.08 * gauss(u, y, w + 4, n - 2, 2, 6)
    if au in (10, 12):
        along = sigmoid((y - n + 2) / 3) * sigmoid((my + 1 - y) / 4)
        return (0.10 if au == 10 else 0.14) * along * np.exp(-0.5 * ((u - fold_line(face, y)) / 1.5) ** 2)
    if au == 14:
        return 0.16 * gauss(u, y, m + 4, my, 2.2, 4.5)
    if au == 15:
        return 0.12 * gauss(u, y, m + 2.5, my + 5, 1.8, 4.5)
    if au == 17:
        dimples = (0.5 + 0.5 * np.cos(2 * np.pi * u / 4.2)) * (0.5 + 0.5 * np.cos(2 * np.pi * y / 4.6))
        return 0.16 * gauss(u, y, 6, my + 24, 8, 7) * dimples * sigmoid(u / 0.5)
    if au == 24:
        return 0.10 * gauss(u, y, 10, my, 12, 1.6)
    return None
