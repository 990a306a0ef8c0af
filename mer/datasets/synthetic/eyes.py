"""Eyes and lids, drawn for each state of lids and gaze onto the neutral head."""

from dataclasses import dataclass

import numpy as np

from mer.datasets.synthetic.anatomy import gauss, sigmoid
from mer.datasets.synthetic.identity import Identity

IRIS_RADIUS, PUPIL_RADIUS = 5.9, 2.4  # mm
LASH, LOWER_LID, CREASE = 0.80, 0.33, 0.30  # darkness of the lines


@dataclass(frozen=True)
class EyeState:
    """Lids of both eyes and gaze, mm; all zero is the neutral face. A blink closes the lids whatever the rest says."""

    upper: float = 0.0  # mm the upper lid is raised (AU5) or lowered (AU6, AU7), negative = lowered
    lower: float = 0.0  # mm the lower lid is raised
    blink: float = 0.0  # 0 = none ... 1 = closed
    gaze_x: float = 0.0  # to the right of the picture
    gaze_y: float = 0.0  # down

    def rounded(self) -> "EyeState":
        """The state on the grid on which drawn eyes are cached (steps far below a tenth of a pixel)."""
        return EyeState(
            round(self.upper * 32) / 32, round(self.lower * 32) / 32, round(self.blink * 64) / 64,
            round(self.gaze_x * 10) / 10, round(self.gaze_y * 10) / 10,
        )  # fmt: skip


def lid_curves(face: Identity, state: EyeState, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower lid (mm, y down) at t = -1 (inner corner) ... 1 (outer corner)."""
    base = 0.4 - face.eye_tilt * t * 1.2  # the outer corner lies higher
    upper = -(face.lid_upper + state.upper) * np.clip(1 - np.abs(t + 0.12 * (1 - t * t)) ** 2.6, 0, 1)
    lower = (face.lid_lower - state.lower) * np.clip(1 - np.abs(t - 0.10 * (1 - t * t)) ** 2.6, 0, 1)
    closed = 0.80 * lower
    upper = upper + state.blink * (closed - upper)
    return base + np.minimum(upper, lower - 0.15), base + lower


def draw_eye(
    face: Identity, state: EyeState, skin: np.ndarray, x: np.ndarray, y: np.ndarray, side: int, light: float
) -> np.ndarray:
    """Draw one eye over the skin.

    Args:
        skin: (3, h, w) linear RGB of the region without the eye; x: (1, w), y: (h, 1) its coordinates in mm.
        side: -1 = left in the picture, 1 = right.  light: brightness of the diffuse light on the eyes.

    Returns: (3, h, w) float32.
    """
    u = side * x - face.eye_x
    t = np.clip(u / face.eye_half_width, -1.25, 1.25)
    upper, lower = lid_curves(face, state, np.clip(t, -1, 1))
    inside = sigmoid((y - upper) / 0.28) * sigmoid((lower - y) / 0.28) * sigmoid((1 - np.abs(t)) * 40)

    under = np.exp(-np.clip(y - upper, 0, None) / 2.0)  # the upper lid's shadow
    white = light * (0.80 - 0.26 * np.abs(t) ** 2 - 0.34 * under)
    gx, gy = side * state.gaze_x, state.gaze_y - 0.6
    r = np.hypot(u - gx, y - gy)
    iris = sigmoid((IRIS_RADIUS - r) / 0.35)
    ring = (0.55 + 0.75 * np.exp(-0.5 * ((r - 3.9) / 1.3) ** 2)) * light * (1 - 0.45 * under)
    pupil = 1 - 0.93 * sigmoid((PUPIL_RADIUS - r) / 0.3)
    glint = 0.75 * light * gauss(u, y, gx + 1.5 * side * float(np.sin(face.light_azimuth)), gy - 2.2, 0.75, 0.75)

    span = sigmoid((1.04 - np.abs(t)) * 22)
    lid = 1 - 0.15 * sigmoid((y - upper + 4) / 1.2) * sigmoid((upper - y) / 0.5) * span
    lash = LASH * np.exp(-0.5 * ((y - upper + 0.15) / (0.62 + 0.25 * np.clip(t, 0, 1))) ** 2) * span
    rim = LOWER_LID * np.exp(-0.5 * ((y - lower - 0.25) / 0.55) ** 2) * span
    fold = CREASE * (1 - 0.6 * state.blink) * np.exp(-0.5 * ((y - upper + 2.6 - 1.2 * t * t) / 0.75) ** 2) * span
    dark = np.clip(lash + rim + fold, 0, 0.92)
    planes = []
    for plane, ball, colour, line in zip(skin, (1.0, 0.97, 0.95), face.iris, (0.06, 0.045, 0.04), strict=True):
        eye = (white * ball * (1 - iris) + iris * colour * ring) * pupil + glint
        drawn = plane * lid * (1 - inside) + eye * inside
        planes.append(drawn + dark * (line - drawn))
    return np.stack(planes).astype(np.float32, copy=False)
