"""Painting one subject: the head with skin, brows, lips, nose and hair, and the still background behind it.

All layers are linear RGB planes (3, h, w) float32 in [0, 1]. The head is drawn at twice the frame's resolution. The
eyes are drawn by `eyes`, because lids and gaze change from frame to frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from mer.datasets.synthetic.anatomy import fold_line, gauss, height_map, radius_at, shade, sigmoid
from mer.datasets.synthetic.identity import Identity

LIPS = (0.80, 0.47, 0.50)  # albedo of the lips relative to the skin
NOSTRIL, UNDERSIDE = 0.68, 0.12  # darkening


@dataclass(frozen=True)
class Grid:
    """Points of a frame: x (1, w), y (h, 1) in mm float32, spacing `step` mm."""

    x: np.ndarray
    y: np.ndarray
    step: float

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w)."""
        return self.y.size, self.x.size


def make_grid(width: int, height: int, scale: float, centre: tuple[float, float], samples: int = 1) -> Grid:
    """Grid of a `width` x `height` px frame, `scale` px/mm, face origin at `centre` px, `samples` points per px."""
    first = (1 / samples - 1) / 2  # the mean of a pixel's samples lies at the pixel's centre
    x = (first + np.arange(samples * width) / samples - centre[0]) / scale
    y = (first + np.arange(samples * height) / samples - centre[1]) / scale
    return Grid(x[None, :].astype(np.float32), y[:, None].astype(np.float32), 1 / (samples * scale))


def smooth_noise(r: np.random.Generator, shape: tuple[int, int], sx: float, sy: float) -> np.ndarray:
    """Gaussian noise of unit variance, blurred with (sx, sy) cells; wide blurs are drawn on a coarser grid."""
    fx, fy = (max(int(s / 2), 1) for s in (sx, sy))
    small = (-(-shape[0] // fy), -(-shape[1] // fx))
    noise = cv2.GaussianBlur(r.standard_normal(small, dtype=np.float32), (0, 0), sigmaX=sx / fx, sigmaY=sy / fy)
    noise = noise / noise.std()
    return noise if small == shape else cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_LINEAR)


def tint(planes: np.ndarray, mask: np.ndarray, rgb: tuple[float, float, float]) -> None:
    """Multiply planes (3, h, w) by `rgb` where mask (h, w) is 1."""
    for plane, value in zip(planes, rgb, strict=True):
        plane *= 1 - mask * (1 - value)


def lay(planes: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    """Paint `colour` (3, h, w) over planes where mask (h, w) is 1."""
    for plane, value in zip(planes, colour, strict=True):
        plane += mask * (value - plane)


def coloured(rgb: tuple[float, ...], brightness: np.ndarray) -> np.ndarray:
    """Planes (3, h, w) of a colour under a brightness (h, w)."""
    return np.array(rgb, np.float32)[:, None, None] * brightness


def brow_line(face: Identity, t: np.ndarray | np.floating) -> np.ndarray | np.floating:
    """Height (mm) of the brow's middle at t = 0 (inner end, |x| = 13) ... 1 (outer end, |x| = 52)."""
    return face.brow_y + 1.5 - face.brow_arch * (1 - ((t - 0.55) / 0.55) ** 2) + 3.2 * t**3


def lip_edges(face: Identity, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upper edge, seam and lower edge of the lips (mm) at t = x / mouth half width, |t| <= 1."""
    bow = np.clip(1 - t * t, 0, 1)
    seam = face.mouth_y + 0.9 * (1 - bow) - 0.4
    upper = seam - face.lip_upper * bow**0.75 * (1 - 0.16 * np.exp(-0.5 * (t / 0.13) ** 2))
    lower = seam + face.lip_lower * bow**0.7
    return upper, seam, lower


def paint_brows(face: Identity, r: np.random.Generator, grid: Grid) -> np.ndarray:
    """Opacity (h, w) of the brows: a soft band with hair strokes."""
    opacity = np.zeros(grid.shape, np.float32)
    rows = np.flatnonzero(np.abs(grid.y[:, 0] - face.brow_y) < 16)
    box = slice(rows[0], rows[-1] + 1)
    y = grid.y[box]
    for side in (-1, 1):
        t = np.clip((side * grid.x - 13) / 39, -0.2, 1.2)
        half = 0.5 * face.brow_thickness * (1 - 0.35 * np.clip(t, 0, 1) ** 2)
        inside = sigmoid((side * grid.x - 13) / 1.2) * sigmoid((52.5 - side * grid.x) / 1.2)
        band = np.exp(-np.abs((y - brow_line(face, t)) / half) ** 2.6) * inside
        strokes = np.zeros(grid.shape, np.uint8)
        for _ in range(150):
            u = r.uniform(0, 1)
            lean = np.deg2rad(r.normal(70 - 66 * u, 9))  # upright at the inner end, lying at the outer one
            length = r.uniform(3.0, 5.5) * (1 - 0.35 * u)
            x0 = 13 + 38 * u
            y0 = float(brow_line(face, np.float64(u))) + r.normal(0.35, 0.3) * face.brow_thickness * (1 - 0.4 * u)
            x1, y1 = x0 + length * np.cos(lean), y0 - length * np.sin(lean) * 0.75
            ends = [(int(16 * (side * px - grid.x[0, 0]) / grid.step), int(16 * (py - grid.y[0, 0]) / grid.step))
                    for px, py in ((x0, y0), (x1, y1))]
            cv2.line(strokes, ends[0], ends[1], int(r.uniform(110, 220)), 1, cv2.LINE_AA, 4)
        hairs = strokes[box] * np.float32(1 / 255) * sigmoid(10 * (band - 0.15))
        opacity[box] = np.maximum(opacity[box], np.maximum(0.80 * band, 0.55 * band + hairs))
    return np.clip(face.brow_darkness * opacity, 0, 1)


def hair_masks(face: Identity, r: np.random.Generator, grid: Grid, rim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Opacity (h, w) of the hair before the face (cap, fringe, side strands) and of the hair behind it (long hair).

    rim: (h, w) distance in mm from the outline of the head, positive outside.
    """
    a, y = np.abs(grid.x), grid.y
    f, columns = face.half_width, (1, grid.x.size)
    jag = smooth_noise(r, columns, 1.3 / grid.step, 1) * 2.2 + smooth_noise(r, columns, 0.35 / grid.step, 1) * 1.2
    side = np.clip((a - 0.45 * f) / (0.53 * f), 0, 1)
    depth = 46 if face.long_hair else 62
    line = face.hairline + 5 * (a / f) ** 2 + depth * side**2 * (3 - 2 * side) + jag * (1 - 0.5 * side)
    cap = sigmoid((line - y) / 0.8) * sigmoid((5.5 + 0.3 * jag - rim) / 0.7) * sigmoid((2 - y) / 3)
    behind = np.zeros_like(cap)
    if face.long_hair:
        def at(*widths: float) -> np.ndarray:
            return np.interp(y, (-118, -104, -85, -60, -20, 60, 110), widths).astype(np.float32)

        edge = at(0.35 * f, 0.72 * f, 0.95 * f, f + 5, f + 11, f + 15, f + 11) + 0.5 * jag
        behind = sigmoid((edge - a) / 0.9) * sigmoid((y + 118) / 2) * sigmoid((96 + 3 * jag - y) / 2.5)
        inner = at(2 * f, 2 * f, 2 * f, 0.95 * f, 0.95 * f, 0.93 * f, 0.80 * f)
        cap = np.maximum(cap, sigmoid((a - inner + 0.4 * jag) / 1.2) * behind)
        # Under the chin the neck is seen, not hair.
        behind = behind * sigmoid((a - 0.62 * f + 0.3 * jag) / 1.5)
    return cap, behind


def paint_skin(face: Identity, r: np.random.Generator, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Reflectance of the face's skin (3, h, w) and its texture alone (h, w)."""
    x, y, a = grid.x, grid.y, np.abs(grid.x)
    n, w, m, my = face.nose_length, face.nose_half_width, face.mouth_half_width, face.mouth_y
    # Without this texture cheeks and forehead give optical flow nothing to hold.
    texture = np.zeros(grid.shape, np.float32)
    for sigma, weight in ((6, 0.45), (2.2, 0.7), (0.9, 0.8), (0.45, 0.6)):
        texture += weight * smooth_noise(r, grid.shape, sigma / grid.step, sigma / grid.step)
    texture = 1 + face.texture_sd * texture
    for _ in range(face.freckles):
        fx, fy = r.normal(0, 30), r.normal(22, 24)
        size, depth = r.uniform(0.45, 0.95), r.uniform(0.08, 0.3)
        cx, cy = int((fx - x[0, 0]) / grid.step), int((fy - y[0, 0]) / grid.step)
        box = (slice(max(cy - 8, 0), cy + 9), slice(max(cx - 8, 0), cx + 9))
        texture[box] *= 1 - depth * gauss(x[:, box[1]], y[box[0]], fx, fy, size, size)
    albedo = coloured(face.skin, texture)

    tint(albedo, face.blush * (gauss(a, y, 44, 34, 13, 12) + 0.5 * gauss(x, y, 0, n - 4, 9, 7)), (0.99, 0.84, 0.83))
    tint(albedo, 0.7 * gauss(a, y, face.eye_x - 2, 11, 11, 4), (0.88, 0.83, 0.84))
    tint(albedo, 0.8 * gauss(a, y, face.eye_x, -9, 15, 5), (0.88, 0.83, 0.82))
    if face.beard:
        zone = sigmoid((y - n - 12 + 0.0018 * a * a) / 5) * sigmoid((face.chin + 8 - y) / 4)
        speckle = np.clip(1 + 0.5 * smooth_noise(r, grid.shape, 0.35 / grid.step, 0.35 / grid.step), 0.2, 2)
        tint(albedo, np.clip(1.8 * face.beard * zone * speckle, 0, 1), (0.55, 0.55, 0.60))

    upper, seam, lower = lip_edges(face, np.clip(x / m, -1.15, 1.15))
    lips = sigmoid((y - upper) / 0.55) * sigmoid((lower - y) / 0.65) * sigmoid((m - a) / 0.8)
    # The upper lip looks down and is darker; fine creases run across both.
    lips_tone = 1 - 0.07 * (y < seam) + 0.05 * smooth_noise(r, (1, x.size), 0.7 / grid.step, 1)
    for plane, value in zip(albedo, LIPS, strict=True):
        plane *= 1 - lips * (1 - value * lips_tone)
    slit = np.exp(-0.5 * ((y - seam) / 0.75) ** 2) * sigmoid((m + 0.8 - a) / 0.8)
    tint(albedo, 0.78 * slit, (0.22, 0.16, 0.17))
    tint(albedo, 0.40 * gauss(a, y, m + 0.3, my + 0.6, 1.6, 1.4), (0.35, 0.28, 0.28))

    tint(albedo, NOSTRIL * gauss(a, y, 0.42 * w, n + 2.2, 0.20 * w, 1.6), (0.16, 0.12, 0.12))
    tint(albedo, 2 * UNDERSIDE * gauss(x, y, 0, n + 4.0, 0.62 * w, 2.2), (0.35, 0.30, 0.30))
    wing = np.exp(-0.5 * ((np.hypot((a - (w - 5)) / 5.6, (y - n + 1) / 6.0) - 1) / 0.16) ** 2)
    tint(albedo, 0.42 * wing * sigmoid((a - w + 4) / 1.2), (0.45, 0.38, 0.38))
    fold = np.exp(-0.5 * ((a - fold_line(face, y)) / 1.4) ** 2) * sigmoid((y - n + 2) / 3) * sigmoid((my - y) / 4)
    tint(albedo, 0.10 * face.nasolabial * fold, (0.5, 0.45, 0.45))
    return albedo, texture


def paint_head(face: Identity, r: np.random.Generator, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The head in its neutral state without eyes: colour (3, h, w) and opacity (h, w)."""
    x, y, a = grid.x, grid.y, np.abs(grid.x)
    reach = np.hypot(x, y)
    radius = radius_at(face, x, y)
    diffuse, specular = shade(face, height_map(face, x, y, grid.step, reach / radius), grid.step)
    albedo, texture = paint_skin(face, r, grid)
    colour = albedo * diffuse + specular * (0.6 + 0.4 * texture)
    brow_light = 0.55 + 0.45 * diffuse
    dark = min(1.0, 0.10 / max(face.hair))  # pale brows make dlib's brow points drift
    lay(colour, paint_brows(face, r, grid), coloured(tuple(dark * c for c in face.hair), brow_light))

    f = face.half_width
    head = sigmoid(1.6 * (radius - reach))
    ear = sigmoid(8.4 * (1 - np.hypot((a - f - 1.5) / 7, (y - 10) / 19)))
    ear_light = face.gain * (0.62 + 0.30 * gauss(a, y, f + 4, 6, 3.5, 14) - 0.2 * gauss(a, y, f + 2, 12, 2.2, 7))
    ear_skin = (face.skin[0], 0.88 * face.skin[1], 0.86 * face.skin[2])
    lay(colour, 1 - head, coloured(ear_skin, ear_light))

    cap, behind = hair_masks(face, r, grid, reach - radius)
    strands = smooth_noise(r, grid.shape, 0.45 / grid.step, 6 / grid.step)
    strands += 0.7 * smooth_noise(r, grid.shape, 0.9 / grid.step, 14 / grid.step)
    shine = gauss(x, y, -30 * float(np.sin(face.light_azimuth)), -100, 45, 16)
    hair = coloured(face.hair, np.clip(1 + 0.30 * strands, 0.25, 2.2) * (0.75 + 0.55 * shine + 0.25 * diffuse))
    shadow = cv2.GaussianBlur(cap, (0, 0), 3 / grid.step)  # hair shades the skin beside it
    tint(colour, 0.28 * shadow, (0, 0, 0))
    lay(colour, cap, hair)
    front = np.maximum(np.maximum(head, ear), cap)
    total = np.maximum(front, behind)
    lay(colour, 1 - np.clip(front / np.maximum(total, 1e-3), 0, 1), 0.62 * hair)
    return colour, total


def paint_background(face: Identity, r: np.random.Generator, grid: Grid) -> np.ndarray:
    """Wall, neck and shirt (3, h, w), which stay still while the head moves."""
    x, y, a = grid.x, grid.y, np.abs(grid.x)
    tilt_x, tilt_y = (float(v) for v in r.uniform(-0.12, 0.12, 2))
    wall = 1 + tilt_x * x / 120 + tilt_y * y / 150 - 0.10 * np.hypot(x, y) / 160
    wall = 0.62 * face.background * wall * (1 + 0.012 * smooth_noise(r, grid.shape, 9 / grid.step, 9 / grid.step))
    picture = coloured((1.0, 0.985, 0.97), wall)

    half = 0.60 * face.half_width + 9 * np.clip((y - 140) / 40, 0, 2) ** 2
    neck = sigmoid((half - a) / 0.9) * sigmoid((y - 40) / 3)
    round_off = np.sqrt(np.clip(1 - (a / (half + 2)) ** 2, 0.05, 1))
    under_chin = 1 - 0.50 * np.exp(-(np.clip(y - face.chin + 8, 0, None) / 24))
    light = face.gain * (0.30 + 0.52 * round_off + 0.18 * float(np.sin(face.light_azimuth)) * x / half) * under_chin
    grain = 1 + 0.5 * face.texture_sd * smooth_noise(r, grid.shape, 1.5 / grid.step, 1.5 / grid.step)
    lay(picture, neck, coloured(face.skin, light * grain))

    collar = 151 + 22 * np.exp(-0.5 * (a / 30) ** 2) + 0.0009 * a * a
    weave = 0.8 + 0.04 * smooth_noise(r, grid.shape, 0.8 / grid.step, 0.8 / grid.step)
    lay(picture, sigmoid((y - collar) / 1.2), coloured(face.shirt, weave))
    return picture
