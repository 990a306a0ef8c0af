"""The 68 points of the iBUG convention on a neutral synthetic face (dlib's order), in mm."""

from functools import lru_cache

import numpy as np

from mer.datasets.synthetic.anatomy import outline
from mer.datasets.synthetic.eyes import EyeState, lid_curves
from mer.datasets.synthetic.identity import Identity
from mer.datasets.synthetic.paint import brow_line, lip_edges


@lru_cache(maxsize=256)
def neutral_points(face: Identity, state: EyeState) -> np.ndarray:
    """Points (68, 2) in mm (read-only) of the face with the given lids, before any action unit moves the skin."""
    points = np.zeros((68, 2))
    angles, radius = outline(face)
    # Jaw: equal steps of arc from the level of the eyes round the chin.
    keep = radius * np.cos(angles) >= -4
    arc_x, arc_y = (radius * np.sin(angles))[keep], (radius * np.cos(angles))[keep]
    arc = np.concatenate([[0], np.cumsum(np.hypot(np.diff(arc_x), np.diff(arc_y)))])
    at = np.linspace(0, arc[-1], 9)
    half = np.stack([np.interp(at, arc, arc_x), np.interp(at, arc, arc_y)], 1)  # chin ... ear
    points[8:17] = half
    points[:8] = half[:0:-1] * (-1, 1)

    t = np.array((0.98, 0.76, 0.52, 0.28, 0.0))
    brow = np.stack([13 + 39 * t, brow_line(face, t) - 0.25 * face.brow_thickness], 1)
    points[17:22] = brow * (-1, 1)
    points[22:27] = brow[::-1]

    n, w = face.nose_length, face.nose_half_width
    points[27:31, 1] = np.linspace(-3, n - 6, 4)
    points[31:36] = [(s * w, n + 4.5 - 2.2 * abs(s)) for s in (-0.72, -0.36, 0.0, 0.36, 0.72)]

    t = np.array((-0.97, -0.38, 0.36, 0.93))  # the lids' lines meet a little inside the ends
    upper, lower = lid_curves(face, state, t)
    x = face.eye_x + face.eye_half_width * t
    eye = np.array(
        [(x[0], lower[0]), (x[1], upper[1]), (x[2], upper[2]), (x[3], lower[3]), (x[2], lower[2]), (x[1], lower[1])]
    )
    points[42:48] = eye
    points[[39, 38, 37, 36, 41, 40]] = eye * (-1, 1)

    m = face.mouth_half_width
    t = np.array((-1.0, -0.62, -0.25, 0.0, 0.25, 0.62, 1.0))
    upper, seam, lower = lip_edges(face, t)
    points[48:55] = np.stack([m * t, upper], 1)
    points[55:60] = np.stack([m * t, lower], 1)[5:0:-1]
    inner = [0, 2, 3, 4, 6]
    points[60:65] = np.stack([m * t * 0.87, seam - 0.4], 1)[inner]
    points[65:68] = np.stack([m * t * 0.87, seam + 0.4], 1)[[4, 3, 2]]
    points.flags.writeable = False  # the cache hands the same array to every caller
    return points
