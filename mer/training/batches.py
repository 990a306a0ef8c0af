"""Clips on the device as uint8, and batches made there: sampling, crop and flip of frames, landmarks and flow together.

No transfer per step but a few random integers; of clips that are streamed also what was drawn of them.
"""

from dataclasses import dataclass

import numpy as np
import torch

from mer.datasets.clips import Clip
from mer.labels.points68 import MIRROR
from mer.labels.sampling import GRAIN, spaced


@dataclass(frozen=True)
class Entry:
    """One clip of the run and its class index."""

    clip: Clip
    label: int

    @property
    def subject(self) -> str:
        """Prefixed with the dataset, as the clip's."""
        return self.clip.subject


@dataclass(frozen=True)
class Film:
    """All frames of the sampled span of N clips, one clip after the other, from which training draws at any offset.

    Attributes:
        frames: (F, H, W) uint8; points: (F, 68, 2) float32, crop pixels.
        first: (N,) int64, the row of each clip's first frame; length: (N,) int64, how many it has; both on the CPU.
    """

    frames: torch.Tensor
    points: torch.Tensor
    first: np.ndarray
    length: np.ndarray


@dataclass(frozen=True)
class Wanted:
    """What is wanted of B clips, all on the CPU.

    Attributes:
        rows: (B,) which clips.
        chosen: (B,) the sampling set of each, or with `film` the offset of its frames; None: no frames.
        columns: (B, Q) which of the labelled flow pairs, None: no flow.
    """

    rows: torch.Tensor
    chosen: torch.Tensor | None
    columns: torch.Tensor | None
    film: bool = False


@dataclass(frozen=True)
class Found:
    """Clips that hold what is wanted, and where in them; indices on their device, meanings as in `Wanted`.

    Attributes:
        at: (B, t) the rows of the film, None where the frames are those of the sets `chosen`.
    """

    clips: "Clips"
    rows: torch.Tensor
    chosen: torch.Tensor | None
    columns: torch.Tensor | None
    at: torch.Tensor | None


@dataclass(frozen=True)
class Clips:
    """All clips of a run on one device.

    Attributes:
        frames: (N, S, t, H, W) uint8, the aligned gray crops of each sampling set (set 0 = segment midpoints).
        points: (N, S, t, 68, 2) float32, landmarks in crop pixels.
        flow: (N, P, 2, H, W) float16, TV-L1 labels in pixels (u right, v down), or None when no model needs them.
        pair: (N, P, 2) int64, each label's (set, k): from sampled frame k to k + 1.
        label: (N,) int64.
        film: what training batches are drawn from, or None: from the sets.
    """

    entries: tuple[Entry, ...]
    frames: torch.Tensor
    points: torch.Tensor
    flow: torch.Tensor | None
    pair: torch.Tensor | None
    label: torch.Tensor
    film: Film | None = None

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def shape(self) -> tuple[int, ...]:
        """(S, t, H, W): sampling sets, frames of each, their size."""
        return self.frames.shape[1:]

    @property
    def flows(self) -> int:
        """How many flow labels a clip has, 0 where no model needs them."""
        return 0 if self.pair is None else self.pair.shape[1]

    @property
    def filmed(self) -> bool:
        """Whether training may draw any offset."""
        return self.film is not None

    def find(self, wanted: Wanted) -> Found:
        """Where on the device that lies."""
        at = _at(self.film, wanted, self.shape[1]) if wanted.film else None
        return Found(self, *(index if index is None else index.to(self.label.device, non_blocking=True)
                             for index in (wanted.rows, wanted.chosen, wanted.columns, at)))


def _at(film: Film, wanted: Wanted, t: int) -> torch.Tensor:
    """The film's rows (B, t), spaced with the offsets that are wanted."""
    clips = wanted.rows.numpy()
    return torch.from_numpy(film.first[clips][:, None] + spaced(film.length[clips], t, wanted.chosen.numpy()))


@dataclass(frozen=True)
class Batch:
    """What a model and its losses are given.

    Attributes:
        frames: (B, t, 1, C, C) float32 in [0, 1], C the crop's side in pixels.
        points: (B, t, 68, 2) float32, crop pixels.
        flow: (B, Q, 2, C, C) float32 pixels or None; pairs: (B, Q) int64, the k of each.
        label: (B,) int64.
        flips: (B,) bool, which clips are mirrored; None where nobody asks.
    """

    frames: torch.Tensor
    points: torch.Tensor
    flow: torch.Tensor | None
    pairs: torch.Tensor | None
    label: torch.Tensor
    flips: torch.Tensor | None = None


def train_batch(clips: Clips, rows: torch.Tensor, *, crop: int, flip: bool, flow_pairs: int,
                generator: torch.Generator) -> Batch:
    """A training batch of the clips `rows` (B,): per clip random frames, crop offset, flip and flow pairs.

    The frames are those of a random sampling set or, with a film, at a random offset of their own. flow_pairs: 0 = all
    that are labelled. All random numbers come from `generator` (on the CPU, so that every device draws the same).
    """
    wanted, *cut = _draw(clips, rows, crop, flip, flow_pairs, generator)
    return _cut(clips.find(wanted), *cut, crop)


def pick(clips, rows: torch.Tensor, *, crop: int, flip: bool, flow_pairs: int, generator: torch.Generator):
    """Streamed clips with that read which `train_batch` will draw from a generator in the same state."""
    return clips.ahead(_draw(clips, rows, crop, flip, flow_pairs, generator)[0])


def _draw(clips: Clips, rows: torch.Tensor, crop: int, flip: bool, flow_pairs: int, generator: torch.Generator):
    """What a training batch wants, and (B,) each: its top and left edge, whether it is mirrored."""
    n_sets, _, height, width = clips.shape
    rows, count = rows.cpu(), len(rows)

    def draw(high: int) -> torch.Tensor:
        return torch.randint(high, (count,), generator=generator)

    chosen = draw(GRAIN if clips.filmed else n_sets)
    top, left = draw(height - crop + 1), draw(width - crop + 1)
    flips = draw(2).bool() if flip else torch.zeros(count, dtype=torch.bool)
    columns = None
    if clips.flows:
        per_set = clips.flows // n_sets
        order = torch.rand(count, per_set, generator=generator).argsort(dim=1)[:, :flow_pairs or None]
        columns = chosen[:, None] * per_set + order.sort(dim=1).values
    return Wanted(rows, chosen, columns, clips.filmed), top, left, flips


def test_batch(clips: Clips, rows: torch.Tensor, *, crop: int) -> Batch:
    """The fixed batch that is evaluated: segment midpoints, centre crop, no flip, every labelled pair of that set."""
    zero = torch.zeros(len(rows), dtype=torch.int64)
    top, left = ((side - crop) // 2 for side in clips.shape[2:])
    per_set = clips.flows // clips.shape[0]
    columns = torch.arange(per_set).expand(len(rows), per_set) if per_set else None
    return _cut(clips.find(Wanted(rows.cpu(), zero, columns)), zero + top, zero + left, zero.bool(), crop)


def _cut(found: Found, top, left, flips, crop: int) -> Batch:
    """Crop and flip frames, landmarks and flow together, by indexing on the device."""
    clips, rows, columns = found.clips, found.rows, found.columns
    top, left, flips = (drawn.to(rows.device, non_blocking=True) for drawn in (top, left, flips))
    side = torch.arange(crop, device=rows.device)
    y = top[:, None] + side  # (B, C)
    x = left[:, None] + torch.where(flips[:, None], crop - 1 - side, side)
    if found.at is None:
        t = torch.arange(clips.frames.shape[2], device=rows.device)
        source, index = clips, (rows[:, None], found.chosen[:, None], t[None])
    else:
        source, index = clips.film, (found.at,)
    frames = source.frames[*(i[..., None, None] for i in index), y[:, None, :, None], x[:, None, None, :]]
    points = source.points[index] - torch.stack([left, top], dim=1)[:, None, None, :]
    mirrored = points[:, :, torch.tensor(MIRROR, device=rows.device)]
    mirrored = torch.stack([crop - 1 - mirrored[..., 0], mirrored[..., 1]], dim=-1)
    points = torch.where(flips[:, None, None, None], mirrored, points)
    flow = pairs = None
    if columns is not None:
        both = torch.arange(2, device=rows.device)
        flow = clips.flow[rows[:, None, None, None, None], columns[:, :, None, None, None],
                          both[None, None, :, None, None], y[:, None, None, :, None], x[:, None, None, None, :]].float()
        sign = torch.where(flips, -1.0, 1.0)[:, None, None, None]
        flow = torch.stack([flow[:, :, 0] * sign, flow[:, :, 1]], dim=2)
        pairs = clips.pair[rows[:, None], columns][..., 1]
    return Batch((frames.float() / 255).unsqueeze(2), points, flow, pairs, clips.label[rows], flips)
