"""The shape of a synthetic head in millimetres: outline, height map, and its shading by one light and a fill."""

from functools import lru_cache

import cv2
import numpy as np

from mer.datasets.synthetic.identity import Identity

AO_FLOOR, AO_CEILING = 0.72, 1.08


def gauss(x: np.ndarray, y: np.ndarray, cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
    """Unnormalised Gaussian bump at (cx, cy) mm with standard deviations (sx, sy) mm."""
    return np.exp(-0.5 * ((x - cx) / sx) ** 2) * np.exp(-0.5 * ((y - cy) / sy) ** 2)


def sigmoid(t: np.ndarray) -> np.ndarray:
    """Logistic function, of any shape; its ends are cut at |t| = 40, so that nothing overflows."""
    return 1 / (1 + np.exp(np.clip(-t, -40, 40)))


@lru_cache(maxsize=4)
def outline(face: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Polar outline of the head: angles from the chin (0) to the crown (pi), radius in mm, both of shape (721,).

    Polar, because an outline given as half width over y has a pointed chin and crown.
    """
    f, c, j = face.half_width, face.chin, face.jaw
    points = np.array(
        [(0, c), (0.18 * f, c - 1.2), (0.36 * f, c - 7), (0.60 * f * j, c - 20), (0.80 * f * j, c - 40), (0.92 * f, 42),
         (f, 5), (1.005 * f, -25), (0.97 * f, -55), (0.84 * f, -86), (0.55 * f, -109), (0.25 * f, -119), (0, -121)]
    )  # fmt: skip
    angles = np.linspace(0, np.pi, 721)
    radius = np.interp(angles, np.arctan2(points[:, 0], points[:, 1]), np.hypot(*points.T))
    kernel = np.exp(-0.5 * (np.arange(-48, 49) / 16) ** 2)
    radius = np.convolve(np.pad(radius, 48, mode="reflect"), kernel / kernel.sum(), mode="valid")
    return angles, radius


def radius_at(face: Identity, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Radius of the outline (mm) in the direction of each point."""
    radius = outline(face)[1].astype(np.float32)
    position = np.arctan2(np.abs(x), y) * (720 / np.pi)
    low = np.minimum(position.astype(np.int32), 719)
    return radius[low] + (position - low.astype(np.float32)) * np.diff(radius)[low]


def fold_line(face: Identity, y: np.ndarray) -> np.ndarray:
    """|x| (mm) of the nasolabial fold at heights y: from the wing of the nose to beside the mouth."""
    n, w = face.nose_length, face.nose_half_width
    line = np.interp(y, (n - 6, n + 6, face.mouth_y + 8), (w + 4, w + 10, face.mouth_half_width + 9))
    return line.astype(np.float32)


def height_map(face: Identity, x: np.ndarray, y: np.ndarray, step: float, rho: np.ndarray) -> np.ndarray:
    """Height (h, w) of the face towards the camera in mm.

    x (1, w), y (h, 1): grid in mm with spacing `step`; rho (h, w): distance from the origin relative to the outline.
    """
    profile = np.interp(y, (-121, -85, -45, 0, 40, 80, face.chin), (62, 71, 75, 74, 72, 69, 62)).astype(np.float32)
    z = profile * np.sqrt(np.clip(1 - rho**2.6, 0, 1))
    z = cv2.GaussianBlur(z, (0, 0), 2 / step)
    e, b, n, w = face.eye_x, face.brow_y, face.nose_length, face.nose_half_width
    m, my = face.mouth_half_width, face.mouth_y
    a = np.abs(x)  # every pair of bumps is mirrored
    z += -9 * gauss(a, y, e, -1, 15, 10) + 5 * gauss(a, y, e, 0, 9, 7) + 3.5 * gauss(a, y, 30, b + 3, 20, 6)
    z += 4.5 * gauss(a, y, 42, 30, 16, 14) + 3 * gauss(x, y, 0, -50, 35, 22)
    # Nose: a ridge that rises to the tip, ends in a soft drop below it, and has two wings.
    rise = np.clip(1 - 0.32 * (n - 5 - y) / 14, 0.12, 1) * sigmoid((y + 16) / 4) * sigmoid((n + 1 - y) / 2.2)
    width = face.nose_ridge * (1 + 0.25 * np.clip(y / n, 0, 1))
    z += (face.nose_height - 5) * rise * np.exp(-0.5 * (x / width) ** 2)
    z += 4.5 * gauss(x, y, 0, n - 4, 7.5, 6.5) + 7.0 * gauss(a, y, w - 5, n - 1, 5, 5)
    z += -2.2 * gauss(a, y, w + 1.5, n - 2, 2.6, 6)
    z += 3.2 * gauss(x, y, 0, my - 0.5 * face.lip_upper, 0.6 * m, 0.7 * face.lip_upper)
    z += 4.5 * gauss(x, y, 0, my + 0.55 * face.lip_lower, 0.55 * m, 0.6 * face.lip_lower)
    z += -3 * gauss(x, y, 0, my, 0.7 * m, 1.6) - 4 * gauss(x, y, 0, my + face.lip_lower + 7, 15, 4)
    z += 4 * gauss(x, y, 0, face.chin - 12, 14, 9) - 1.3 * gauss(x, y, 0, 0.5 * (n + my) - 1, 3, 6)
    z += -1.6 * gauss(a, y, m + 1, my, 4, 4)
    along = sigmoid((y - n + 4) / 2.5) * sigmoid((my + 2 - y) / 4)
    z -= 2 * face.nasolabial * along * np.exp(-0.5 * ((a - fold_line(face, y)) / 3.2) ** 2)
    return z


def shade(face: Identity, z: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse and specular light on the height map `z` (mm, grid spacing `step` mm).

    Wrapped key light, a fill opposite to it and from below, ambient occlusion: shading is half of the score that dlib's
    HOG detector gives to the face, and the light from below keeps the nose's underside from passing for a mouth.
    """
    dx = cv2.Sobel(z, cv2.CV_32F, 1, 0, scale=1 / (8 * step))
    dy = cv2.Sobel(z, cv2.CV_32F, 0, 1, scale=1 / (8 * step))
    norm = 1 / np.sqrt(dx * dx + dy * dy + 1)
    azimuth, elevation = face.light_azimuth, face.light_elevation
    light = np.array((np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)))
    fill_light = np.array((-0.5 if azimuth > 0 else 0.5, 0.25, 0.8))

    def dot(v: np.ndarray) -> np.ndarray:
        return norm * (float(v[2]) - float(v[0]) * dx - float(v[1]) * dy)

    key = np.clip((dot(light) + 0.3) / 1.3, 0, None)
    fill = np.clip(dot(fill_light), 0, None)
    occlusion = np.ones_like(z)
    for sigma, k in ((2, 0.045), (5, 0.028), (12, 0.016)):
        factor = max(int(sigma / step / 3), 1)  # wide blurs are smooth: compute them on a coarser grid
        small = cv2.resize(z, (z.shape[1] // factor, z.shape[0] // factor), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma / step / factor)
        occlusion -= k * np.clip(cv2.resize(small, z.shape[::-1], interpolation=cv2.INTER_LINEAR) - z, -20, 20)
    occlusion = np.clip(occlusion, AO_FLOOR, AO_CEILING)
    ambient = face.ambient
    diffuse = face.gain * occlusion * (ambient * (0.35 + 0.65 * fill) + (1.12 - ambient) * key)
    half = light + (0, 0, 1)
    specular = 0.07 * np.clip(dot(half / np.linalg.norm(half)), 0, None) ** 22
    return diffuse.astype(np.float32), specular.astype(np.float32)
