"""Rendering: a subject's painted layers, moved by pose and action units, seen by a camera.

A frame is one cubic remap of the painted head over a still background. The action units' field d is a forward map of
the skin (x -> x + d(x)); a remap needs its inverse, found by fixed-point iteration on a grid of half the resolution.
"""

from typing import Any

import cv2
import numpy as np

from mer.datasets.synthetic.action_units import SIDES, WRINKLE_STRENGTH, displacement, subject_terms, wrinkle
from mer.datasets.synthetic.eyes import EyeState, draw_eye
from mer.datasets.synthetic.identity import TEXTURE, draw_identity, rng
from mer.datasets.synthetic.landmarks import neutral_points
from mer.datasets.synthetic.paint import Grid, make_grid, paint_background, paint_head
from mer.datasets.synthetic.plan import Release
from mer.datasets.synthetic.script import NOISE_MARGIN, Script

GAMMA = 1 / 1.25
WHITE = 235.0  # grey level of linear light 1
MAX_GRADIENT = 0.7  # of the displacement field: below 1 the skin does not fold over and the inverse exists
TOLERANCE, MAX_ITERATIONS = 0.02, 15  # px, of the inverse; cv2.remap itself rounds positions to 1/32 cell
NO_SECOND: Any = None  # map of `remap`: one map holds x and y, which OpenCV takes and its type stubs do not know
LEAST = 1e-4  # intensities below this are none


def encode(linear: np.ndarray) -> np.ndarray:
    """Linear light to grey levels. Layers are kept encoded, so that no frame pays for a power."""
    # As two axes: of three OpenCV takes the last for channels, and 5.1 allows no more than 128 of those.
    flat = np.clip(linear, 0, None).reshape(len(linear), -1)
    return WHITE * cv2.pow(flat, GAMMA).reshape(linear.shape)


def halve(picture: np.ndarray) -> np.ndarray:
    """A picture (h, w) or (h, w, C) at half its side, each pixel the mean of 2 x 2."""
    return cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)


def bgr(planes: np.ndarray) -> np.ndarray:
    """(3, h, w) RGB planes to an (h, w, 3) BGR picture."""
    return cv2.merge([planes[2], planes[1], planes[0]])


class Subject:
    """A subject's layers and fields, which do not change from frame to frame.

    Args:
        subject: 0-based index within the release.
    """

    def __init__(self, release: Release, subject: int):
        self.release, self.index = release, subject
        self.face = face = draw_identity(release.seed, release.name, subject)
        self.width, self.height = release.width, release.height
        self.scale = face.scale * release.px
        self.centre = (
            release.width / 2 + face.centre_x * release.px,
            0.44 * release.height + face.centre_y * release.px,
        )
        r = rng(release.seed, TEXTURE, release.name, subject)
        fine = make_grid(self.width, self.height, self.scale, self.centre, samples=2)
        coarse = make_grid(self.width, self.height, self.scale, self.centre)
        colour, opacity = paint_head(face, r, fine)
        # Blue, green, red times opacity, and opacity.
        self.layer = halve(cv2.merge([*(encode(colour[c]) * opacity for c in (2, 1, 0)), opacity]))
        self.background = cv2.GaussianBlur(bgr(encode(paint_background(face, r, coarse))), (0, 0), 0.6)
        self._prepare_eyes(colour, fine)
        self._prepare_motion()
        self._prepare_camera(r)

    def _prepare_eyes(self, colour: np.ndarray, grid: Grid) -> None:
        face = self.face
        reach_x, reach_y = face.eye_half_width + 5.0, face.lid_upper + 6.0
        self._eye_parts = []
        for side in SIDES:
            x0, x1 = (np.searchsorted(grid.x[0], side * face.eye_x + np.array((-reach_x, reach_x))) // 2).tolist()
            y0, y1 = (np.searchsorted(grid.y[:, 0], (-reach_y, reach_y)) // 2).tolist()
            fine = (slice(2 * y0, 2 * y1), slice(2 * x0, 2 * x1))
            skin = colour[:, *fine].copy()
            light = float(face.gain * np.clip(skin.mean() / np.mean(face.skin), 0.55, 1.0))
            box = (slice(y0, y1), slice(x0, x1))
            self._eye_parts.append((side, box, skin, grid.x[:, fine[1]], grid.y[fine[0]], light))
        self._eye_cache: dict[EyeState, list[np.ndarray]] = {}

    def _prepare_motion(self) -> None:
        release, face = self.release, self.face
        # The fields live on a half-resolution grid over the part of the face that moves, in px of the neutral layer.
        # Its node (i, j) lies at pixel 2 i + 0.5 from the box's corner, which is where cv2.resize expects it.
        left, right = (int(self.centre[0] + s * 1.35 * face.half_width * self.scale) // 2 * 2 for s in (-1, 1))
        top = int(self.centre[1] + (face.brow_y - 45) * self.scale) // 2 * 2
        bottom = int(self.centre[1] + (face.chin + 35) * self.scale) // 2 * 2
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, self.width // 2 * 2), min(bottom, self.height // 2 * 2)
        self.box = (slice(top, bottom), slice(left, right))
        nodes_x = np.arange(left, right, 2, dtype=np.float32) + np.float32(0.5)
        nodes_y = np.arange(top, bottom, 2, dtype=np.float32) + np.float32(0.5)
        self._nodes = np.stack(np.meshgrid(nodes_x, nodes_y), -1)
        x = (nodes_x[None, :] - np.float32(self.centre[0])) / np.float32(self.scale)
        y = (nodes_y[:, None] - np.float32(self.centre[1])) / np.float32(self.scale)
        self.terms = subject_terms(face, release.seed, release.name, self.index, release.au_jitter)
        grid = make_grid(self.width, self.height, self.scale, self.centre)
        self.fields, self._wrinkles = {}, {}
        for (au, side), terms in self.terms.items():
            self.fields[au, side] = displacement(terms, side, x, y) * np.float32(self.scale)
            dark = wrinkle(face, au, side, grid.x, grid.y)
            if dark is not None:
                rows, columns = (np.flatnonzero(dark.max(axis) > 0.002) for axis in (1, 0))
                part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
                self._wrinkles[au, side] = (part, WRINKLE_STRENGTH * GAMMA * dark[part][..., None])
        # Rows and columns that the head may reach when it moves.
        margin = int(10 * release.px) + 2
        rows, columns = (np.flatnonzero(self.layer[..., 3].max(axis) > 0.004) for axis in (1, 0))
        self._reach = (
            slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, self.height)),
            slice(max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, self.width)),
        )

    def _prepare_camera(self, r: np.random.Generator) -> None:
        size = (self.height + NOISE_MARGIN, self.width + NOISE_MARGIN)
        sigma = self.release.noise
        luminance = np.float32(0.8 * sigma) * r.standard_normal((*size, 1), dtype=np.float32)
        colour = np.float32(0.6 * sigma) * r.standard_normal((*size, 3), dtype=np.float32)
        # Half of the luminance noise is constant, half grows with brightness (at grey 128 it has its nominal sigma).
        self._noise_factor = np.repeat(luminance * np.float32(0.5 / 128), 3, axis=2)
        self._noise_offset = np.float32(0.5) * luminance + colour
        pattern = 1 + np.float32(0.006) * r.standard_normal((self.height, self.width, 1), dtype=np.float32)
        self._pattern = np.repeat(pattern, 3, axis=2)

    # -- motion -------------------------------------------------------------------------------------------------------

    def field(self, script: Script, frame: int) -> np.ndarray | None:
        """Displacement of the skin in px on the half-resolution grid of the face (h, w, 2); None while neutral."""
        total = None
        for pair, value in zip(script.units, script.intensity[frame], strict=True):
            if value > LEAST:
                part = self.fields[pair] * np.float32(value)
                total = part if total is None else np.add(total, part, out=total)
        return total

    def pose(self, script: Script, frame: int) -> np.ndarray:
        """Head pose (2, 3): px of the neutral layer -> px of the frame, a similarity about the middle of the face."""
        tx, ty, angle, log_scale = script.pose[frame]
        cx, cy = self.centre[0], self.centre[1] + 20 * self.scale
        a, b = np.exp(log_scale) * np.cos(angle), np.exp(log_scale) * np.sin(angle)
        return np.array([[a, -b, cx + tx - a * cx + b * cy], [b, a, cy + ty - b * cx - a * cy]])

    def source(self, pose: np.ndarray, field: np.ndarray | None) -> np.ndarray:
        """For each pixel of the frame the point (H, W, 2) of the neutral layer that is seen there."""
        inverse = cv2.invertAffineTransform(pose)
        columns, rows = np.arange(self.width), np.arange(self.height)[:, None]
        axes = [(inverse[k, 0] * columns + inverse[k, 2]).astype(np.float32) + (inverse[k, 1] * rows).astype(np.float32)
                for k in (0, 1)]
        points = cv2.merge(axes)
        if field is not None:
            y = cv2.transform(self._nodes, inverse)
            x = y
            for _ in range(MAX_ITERATIONS):
                last, x = x, y - self.sample(field, x)
                if cv2.norm(last, x, cv2.NORM_INF) < TOLERANCE:
                    break
            points[self.box] -= cv2.resize(y - x, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        return points

    def sample(self, field: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Field (px) at points (h, w, 2) of the neutral layer, bilinear, zero outside of the face."""
        corner = (self.box[1].start + 0.5, self.box[0].start + 0.5)
        at = ((points - np.array(corner, np.float32)) * np.float32(0.5)).astype(np.float32, copy=False)
        return cv2.remap(field, at, NO_SECOND, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)

    # -- pictures -----------------------------------------------------------------------------------------------------

    def _neutral(self, state: EyeState) -> np.ndarray:
        """The head's layer with its eyes in the given state."""
        parts = self._eye_cache.get(state)
        if parts is None:
            parts = [halve(bgr(encode(draw_eye(self.face, state, skin, x, y, side, light))))
                     for side, _, skin, x, y, light in self._eye_parts]
            self._eye_cache[state] = parts
        for (_, box, *_), part in zip(self._eye_parts, parts, strict=True):
            self.layer[box][..., :3] = part
        return self.layer

    def frame(self, script: Script, frame: int) -> np.ndarray:
        """One frame of the clip as the camera sees it: (H, W, 3) uint8, BGR."""
        layer = self._neutral(script.eyes(frame))
        active = [(*self._wrinkles[pair], float(value)) for pair, value in
                  zip(script.units, script.intensity[frame], strict=True) if value > LEAST and pair in self._wrinkles]
        if active:
            layer = layer.copy()
            for part, dark, value in active:
                layer[part][..., :3] *= 1 - np.minimum(dark * np.float32(value), np.float32(0.4))
        source = self.source(self.pose(script, frame), self.field(script, frame))[self._reach]
        seen = cv2.remap(layer, source, NO_SECOND, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
        clear = 1 - cv2.extractChannel(seen, 3)
        head: np.ndarray = cv2.multiply(self.background[self._reach], cv2.merge((clear, clear, clear)))
        head += cv2.cvtColor(seen, cv2.COLOR_BGRA2BGR)
        picture = self.background.copy()
        picture[self._reach] = cv2.GaussianBlur(head, (5, 5), 0.55)
        row, column, sign = (int(v) for v in script.noise[frame])
        window = (slice(row, row + self.height), slice(column, column + self.width))
        gain = cv2.addWeighted(self._pattern, float(script.light[frame]) ** GAMMA, self._noise_factor[window], sign, 0)
        picture = cv2.multiply(picture, gain, dst=picture)
        picture = cv2.scaleAdd(self._noise_offset[window], sign, picture)
        return np.clip(np.rint(picture, out=picture), 0, 255, out=picture).astype(np.uint8)

    # -- truth --------------------------------------------------------------------------------------------------------

    def points(self, script: Script, frame: int) -> np.ndarray:
        """True landmarks (68, 2) float32 in px of the frame."""
        neutral = self.scale * neutral_points(self.face, script.eyes(frame)) + self.centre
        field = self.field(script, frame)
        if field is not None:
            neutral = neutral + self.sample(field, neutral[None])[0]
        pose = self.pose(script, frame)
        return (neutral @ pose[:, :2].T + pose[:, 2]).astype(np.float32)

    def flow(self, script: Script, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
        """True flow (2, H, W) float16 in px from frame `first` to frame `second`, and the eye mask (H, W) uint8.

        Wall, neck and shirt have zero flow. Where the mask is 1 the flow is not valid: eyes and lids are drawn anew in
        each frame.
        """
        source = self.source(self.pose(script, first), self.field(script, first))
        moved = source
        field = self.field(script, second)
        if field is not None:
            moved = source + self.sample(field, source)
        there = cv2.transform(moved, self.pose(script, second))
        here = np.stack(np.meshgrid(np.arange(self.width), np.arange(self.height)), -1)
        opacity = cv2.remap(self.layer[..., 3], source, NO_SECOND, cv2.INTER_LINEAR)
        flow = np.where(opacity[..., None] > 0.5, there - here, 0).transpose(2, 0, 1).astype(np.float16)
        mm = (source - np.array(self.centre, np.float32)) / np.float32(self.scale)
        eye = (np.abs(np.abs(mm[..., 0]) - self.face.eye_x) < self.face.eye_half_width + 2) & (np.abs(mm[..., 1]) < 9)
        return flow, eye.astype(np.uint8)
