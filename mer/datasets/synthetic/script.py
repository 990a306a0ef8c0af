"""The script of one clip: what face, head, light and camera do in each of its frames, drawn from the clip's seed."""

from dataclasses import dataclass

import numpy as np

from mer.datasets.synthetic.action_units import AUS, LIDS, SIDES
from mer.datasets.synthetic.expressions import WORDS, draw_units, units_text
from mer.datasets.synthetic.eyes import EyeState
from mer.datasets.synthetic.identity import CLIP, NOISE, rng
from mer.datasets.synthetic.plan import Release

NOISE_MARGIN = 96  # px by which a frame's window may move over the subject's noise field


@dataclass(frozen=True)
class Script:
    """One clip of T frames; onset, apex and offset are 0-based frame indices.

    intensity: (T, K) of the K (unit, side) pairs in `units`;  pose: (T, 4) = x, y in px, rotation in rad, log scale;
    light: (T,) factor on linear light;  noise: (T, 3) window corner in px and sign.
    """

    aus: str
    onset: int
    apex: int
    offset: int
    units: tuple[tuple[int, int], ...]
    intensity: np.ndarray
    pose: np.ndarray
    blink: np.ndarray
    gaze: np.ndarray
    light: np.ndarray
    noise: np.ndarray

    def eyes(self, frame: int) -> EyeState:
        """Lids and gaze of a frame, rounded to the steps in which eyes are drawn."""
        upper = lower = 0.0
        for (au, _), value in zip(self.units, self.intensity[frame], strict=True):
            raised = LIDS.get(au, (0.0, 0.0))  # each side moves half of both lids' mean: the eyes open together
            upper += 0.5 * raised[0] * float(value)
            lower += 0.5 * raised[1] * float(value)
        gaze_x, gaze_y = self.gaze[frame].tolist()
        return EyeState(max(min(upper, 2.5), -2.0), min(lower, 2.5), float(self.blink[frame]), gaze_x, gaze_y).rounded()


def course(frames: int, onset: float, apex: float, offset: float) -> np.ndarray:
    """Raised cosine (T,) from 0 at `onset` to 1 at `apex` and back to 0 at `offset` (frame indices)."""
    k = np.arange(frames)
    rise = np.clip((k - onset) / max(apex - onset, 1e-6), 0, 1)
    fall = np.clip((k - apex) / max(offset - apex, 1e-6), 0, 1)
    return 0.5 * (1 - np.cos(np.pi * rise)) * 0.5 * (1 + np.cos(np.pi * fall))


def smooth_walk(r: np.random.Generator, frames: int, step: float) -> np.ndarray:
    """Random walk (T,) of steps with the given standard deviation, smoothed over five frames."""
    walk = np.cumsum(r.standard_normal(frames + 8) * step)
    kernel = np.array((1, 3, 4, 3, 1)) / 12
    smooth = np.convolve(walk, kernel, mode="valid")[2 : frames + 2]
    return smooth - smooth[0]


def write_script(release: Release, subject: int, word: str, number: int) -> Script:
    """Draw clip `number` of class `word` of a subject.

    All intensities are proportional to the release's amplitude, all else is independent of it, so that the same clips
    exist at every amplitude.

    Raises:
        MerError: unknown class word.
    """
    key = (subject, WORDS.index(word) if word in WORDS else len(WORDS), number)
    r = rng(release.seed, CLIP, release.name, *key)
    frames = release.frames
    units = draw_units(release.name, word, r)
    last = frames - 1
    onset = int(np.clip(round(r.uniform(0.12, 0.22) * last), 0, last))
    apex = int(np.clip(round(r.uniform(0.42, 0.55) * last), min(onset + 1, last), last))
    offset = int(np.clip(round(r.uniform(0.80, 0.95) * last), min(apex + 1, last), last))

    strength: dict[tuple[int, int], np.ndarray] = {}
    level = float(np.exp(0.35 * np.clip(r.standard_normal(), -2, 2)))
    for au, sides in units:
        lag = min(float(r.uniform(0, 1.5)), max(apex - onset - 1, 0))
        own = release.amplitude * level * float(r.uniform(0.8, 1.2))
        for side in sides:
            strength[au, side] = own * course(frames, onset + lag, apex + lag / 2, offset)
    # Distractors keep their own time, so that they tell nothing about the label. Neutral clips have none.
    for _ in range(int(r.poisson(1.2)) if units else 0):
        au, sides = int(r.choice(AUS)), (SIDES, SIDES[:1], SIDES[1:])[int(r.integers(3))]
        own = release.distractors * release.amplitude * float(r.uniform(0.2, 1))
        begin, length = float(r.uniform(-0.3, 0.8)), float(r.uniform(0.3, 0.9))
        middle = begin + length * float(r.uniform(0.35, 0.65))
        curve = own * course(frames, begin * last, middle * last, (begin + length) * last)
        for side in sides:
            strength[au, side] = strength.get((au, side), 0) + curve
    pairs = tuple(sorted(strength))
    intensity = np.stack([strength[p] for p in pairs], 1) if pairs else np.zeros((frames, 0))

    size = np.array((release.px, release.px, 1, 1))
    still = np.clip(r.standard_normal(4), -2, 2) * (2.0, 2.0, 0.015, 0.012) * size
    steps = release.head_motion * np.array((0.06, 0.06, 0.00035, 0.00018)) * size
    pose = np.stack([at + smooth_walk(r, frames, step) for at, step in zip(still, steps, strict=True)], 1)

    k = np.arange(frames)
    blink = np.zeros(frames)
    if r.uniform() < 0.35:
        blink = np.clip(1.15 * np.exp(-0.5 * ((k - r.uniform(0, last)) / (2.2 * frames / 30)) ** 2), 0, 1)
    gaze = np.tile(np.clip(0.8 * r.standard_normal(2), -1.6, 1.6) * (1, 0.4), (frames, 1))
    if r.uniform() < 0.3:
        gaze[int(r.integers(0, frames)) :] += np.clip(r.standard_normal(2), -2, 2) * (1.2, 0.5)
    light = (1 + 0.04 * np.clip(r.standard_normal(), -2, 2)) * np.exp(smooth_walk(r, frames, 0.008 / np.sqrt(frames)))

    n = rng(release.seed, NOISE, release.name, *key)
    noise = np.concatenate([n.integers(0, NOISE_MARGIN, (frames, 2)), n.choice((-1, 1), (frames, 1))], 1)
    return Script(units_text(units), onset, apex, offset, pairs, intensity, pose, blink, gaze, light, noise)
