"""Who a synthetic subject is: the measures and colours of one face, drawn from a seed (ours).

Face space: millimetres, origin midway between the eyes, x to the right of the picture, y down.
"""

from dataclasses import dataclass

import numpy as np

RELEASES = ("micro", "macro")  # position = seed tag, so the two releases never share an identity
PREFIX = {"micro": "s", "macro": "m"}

# Seed tags: every purpose has its own stream, so that no draw depends on how many another purpose made.
IDENTITY, TEXTURE, BASIS, CLIP, NOISE = range(1, 6)

SKIN_RAMP = np.array(
    [(0.93, 0.76, 0.66), (0.87, 0.68, 0.56), (0.79, 0.59, 0.46),
     (0.69, 0.49, 0.37), (0.57, 0.39, 0.29), (0.44, 0.29, 0.21)]
)  # fmt: skip
# Beyond this position of the ramp dlib starts to take the nose's dark underside for the mouth.
MAX_SKIN = 3.3
IRIS_COLOURS = ((0.30, 0.19, 0.11), (0.22, 0.14, 0.09), (0.36, 0.30, 0.18), (0.32, 0.40, 0.36), (0.34, 0.44, 0.54))
SHIRTS = ((0.20, 0.22, 0.27), (0.42, 0.46, 0.58), (0.16, 0.16, 0.17), (0.50, 0.42, 0.38), (0.60, 0.62, 0.66))


@dataclass(frozen=True)
class Identity:
    """Measures in mm, colours as linear RGB in [0, 1], angles in radians."""

    half_width: float
    chin: float
    jaw: float
    eye_x: float
    eye_half_width: float
    lid_upper: float
    lid_lower: float
    eye_tilt: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_darkness: float
    nose_length: float
    nose_half_width: float
    nose_height: float
    nose_ridge: float
    mouth_y: float
    mouth_half_width: float
    lip_upper: float
    lip_lower: float
    hairline: float
    long_hair: bool
    skin: tuple[float, float, float]
    skin_position: float
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    shirt: tuple[float, float, float]
    texture_sd: float
    freckles: int
    beard: float
    nasolabial: float
    blush: float
    light_azimuth: float
    light_elevation: float
    ambient: float
    gain: float
    background: float
    scale: float  # px per mm at 280x340
    centre_x: float  # px off the standard place
    centre_y: float


def rng(seed: int, tag: int, release: str, *key: int) -> np.random.Generator:
    """The stream of one purpose (`tag`) for one subject or clip of a release."""
    return np.random.default_rng([seed, tag, RELEASES.index(release), *key])


def draw_identity(seed: int, release: str, subject: int) -> Identity:
    """Identity of subject number `subject` (0-based); normal draws are clipped at 2 standard deviations."""
    r = rng(seed, IDENTITY, release, subject)

    def normal(mean: float, sd: float) -> float:
        return float(mean + sd * np.clip(r.standard_normal(), -2, 2))

    def uniform(low: float, high: float) -> float:
        return float(r.uniform(low, high))

    nose_length = normal(44, 2.5)
    mouth_y = max(normal(71, 2.5), nose_length + 21)
    chin = max(normal(113, 4.5), mouth_y + 36)
    position = uniform(0, MAX_SKIN)
    ramp = np.arange(len(SKIN_RAMP))
    red, green, blue = (float(np.interp(position, ramp, SKIN_RAMP[:, c])) for c in range(3))
    # Hair gets darker with the skin, from light brown to nearly black, with its own spread.
    level = float(np.clip(uniform(0.04, 0.22) * (1.15 - 0.2 * position), 0.04, 0.22))
    warmth = uniform(0.62, 0.88)
    iris = IRIS_COLOURS[int(r.integers(0, 5 if position < 1.5 else 2))]
    return Identity(
        half_width=normal(71, 3), chin=chin, jaw=normal(1, 0.06), eye_x=normal(32, 1.4),
        eye_half_width=normal(14.5, 0.9), lid_upper=normal(5.6, 0.7), lid_lower=normal(4.2, 0.4),
        eye_tilt=normal(0.6, 0.6), brow_y=normal(-21, 1.8), brow_thickness=normal(3.9, 0.45), brow_arch=normal(4, 1.2),
        brow_darkness=normal(0.86, 0.06), nose_length=nose_length, nose_half_width=normal(15.5, 1.5),
        nose_height=normal(16, 2.2), nose_ridge=normal(7.2, 0.9), mouth_y=mouth_y, mouth_half_width=normal(25, 1.8),
        lip_upper=normal(6, 1.2), lip_lower=normal(8, 1.4), hairline=normal(-72, 6),
        long_hair=bool(r.uniform() < 0.4), skin=(red, green, blue), skin_position=position,
        hair=(level * 1.15, level * (0.5 + 0.5 * warmth), level * warmth * 0.85), iris=iris,
        shirt=SHIRTS[int(r.integers(len(SHIRTS)))], texture_sd=uniform(0.014, 0.03), freckles=int(r.integers(6, 41)),
        beard=uniform(0.06, 0.20) if r.uniform() < 0.35 else 0.0, nasolabial=uniform(0.3, 1.4), blush=uniform(0.3, 1.0),
        light_azimuth=normal(0, 0.32), light_elevation=normal(0.36, 0.13), ambient=uniform(0.42, 0.6),
        gain=uniform(0.88, 1.08), background=uniform(0.25, 0.8), scale=normal(1.13, 0.04), centre_x=uniform(-3, 3),
        centre_y=uniform(-3, 3),
    )  # fmt: skip
