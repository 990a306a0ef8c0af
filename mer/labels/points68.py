"""dlib's 68 points of a face (the iBUG convention): which of them are what, and which mirrors which.

Right and left are the person's: the right eye is at the left of the picture.
"""

import numpy as np

PARTS = {"jaw": slice(0, 17), "brow": slice(17, 27), "nose": slice(27, 36), "eye": slice(36, 48),
         "mouth": slice(48, 68)}
INNER = slice(17, 68)  # the jaw is left out of the headline error: its points may slide along the outline
RIGHT_EYE, LEFT_EYE, NOSE_TIP, MOUTH_CORNERS = slice(36, 42), slice(42, 48), 30, (48, 54)
POINTS = 68

_PAIRS = ((27, 27), (28, 28), (29, 29), (30, 30), (31, 35), (32, 34), (33, 33), (36, 45), (37, 44), (38, 43), (39, 42),
          (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (51, 51), (55, 59), (56, 58), (57, 57), (60, 64), (61, 63),
          (62, 62), (65, 67), (66, 66), *((i, 16 - i) for i in range(9)), *((i, 43 - i) for i in range(17, 22)))
MIRROR = tuple(dict(sorted(pair for a, b in _PAIRS for pair in ((a, b), (b, a)))).values())  # of each point, its image


def eye_centres(points):
    """Means of the right and the left eye's points: (..., 68, 2), of numpy or torch -> two of (..., 2)."""
    return points[..., RIGHT_EYE, :].mean(-2), points[..., LEFT_EYE, :].mean(-2)


def inter_ocular(points):
    """Distance of the eye centres: (..., 68, 2) of numpy -> (...)."""
    right, left = eye_centres(points)
    return np.linalg.norm(right - left, axis=-1)
