"""Clips on the device as uint8, and batches made there: sampling, crop and flip of frames, landmarks and flow together.

No worker processes and no transfer per step but a few random integers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mer.base.errors import MerError
from mer.datasets.clips import Clip
from mer.labels import records
from mer.labels.points68 import MIRROR
from mer.labels.sampling import GRAIN, clip_sets, spaced, span_positions


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


def load(data: Path, entries: tuple[Entry, ...], sampling, *, with_flow: bool, device: str) -> Clips:
    """Read the sampled frames, landmarks and (if `with_flow`) flow labels of `entries` from the shards below `data`.

    Without flow labels, which exist for the sets alone, and with more sets than the midpoints', training may draw any
    offset: then set 0 is read, for tests, and the film.

    Args:
        sampling: params.yaml's section: t, sets, span, seed.

    Raises:
        MerError: a clip is in no shard, or its flow labels belong to other sampled frames.
    """
    frames, points, flow, pair, film = ([None] * len(entries) for _ in range(5))
    fresh = not with_flow and sampling.sets > 1 and sampling.t > 2  # two frames are onset and apex in every set
    for dataset in sorted({entry.clip.dataset for entry in entries}):
        rows = {entry.clip.clip_id: i for i, entry in enumerate(entries) if entry.clip.dataset == dataset}
        clips = [entries[i].clip for i in rows.values()]
        aligned = records.read(data / "aligned" / dataset, clips, ("frames", "points", "numbers", "annotation"))[0]
        labelled = records.read(data / "flow" / dataset, clips)[0] if with_flow else {}
        for clip in clips:
            i, record = rows[clip.clip_id], aligned[clip.clip_id]
            index = clip_sets(record["numbers"], record["annotation"], t=sampling.t, sets=1 if fresh else sampling.sets,
                              span=sampling.span, seed_words=(sampling.seed, clip.clip_id))
            frames[i], points[i] = record["frames"][index], record["points"][index]
            _refuse_nan(data / "aligned" / dataset, clip.clip_id, points=record["points"])
            if fresh:
                span = span_positions(record["numbers"], record["annotation"], sampling.span)
                film[i] = record["frames"][span], record["points"][span]
            if with_flow:
                if not np.array_equal(labelled[clip.clip_id]["index"], index):
                    raise MerError(f"data/flow/{dataset}: clip {clip.clip_id} is labelled for other sampled frames; "
                                   "delete data/flow and run `dvc repro`")
                flow[i], pair[i] = labelled[clip.clip_id]["flow"], labelled[clip.clip_id]["pair"]
                _refuse_nan(data / "flow" / dataset, clip.clip_id, flow=flow[i])

    def on_device(arrays: list, dtype: torch.dtype) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays)).to(device=device, dtype=dtype)

    return Clips(entries, on_device(frames, torch.uint8), on_device(points, torch.float32),
                 on_device(flow, torch.float16) if with_flow else None,
                 on_device(pair, torch.int64) if with_flow else None,
                 torch.tensor([entry.label for entry in entries], device=device),
                 _film(film, device) if fresh else None)


def _refuse_nan(store: Path, clip_id: str, **arrays: np.ndarray) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise MerError(f"{store.as_posix()}: clip {clip_id}, {name}: holds numbers that are not finite; delete the "
                           "folder and run `dvc repro`")


def _film(clips: list[tuple[np.ndarray, np.ndarray]], device: str) -> Film:
    frames, points = (torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*clips, strict=True))
    length = np.array([len(frames) for frames, _ in clips])
    return Film(frames.to(device), points.to(device, torch.float32), np.cumsum(length) - length, length)


def train_batch(clips: Clips, rows: torch.Tensor, *, crop: int, flip: bool, flow_pairs: int,
                generator: torch.Generator) -> Batch:
    """A training batch of the clips `rows` (B,): per clip random frames, crop offset, flip and flow pairs.

    The frames are those of a random sampling set or, with a film, at a random offset of their own. flow_pairs: 0 = all
    that are labelled. All random numbers come from `generator` (on the CPU, so that every device draws the same).
    """
    n_sets, _, height, width = clips.frames.shape[1:]
    count = len(rows)

    def draw(high: int) -> torch.Tensor:
        return torch.randint(high, (count,), generator=generator)

    chosen = draw(n_sets if clips.film is None else GRAIN)
    top, left = draw(height - crop + 1), draw(width - crop + 1)
    flips = draw(2).bool() if flip else torch.zeros(count, dtype=torch.bool)
    columns = None
    if clips.flow is not None:
        per_set = clips.pair.shape[1] // n_sets
        order = torch.rand(count, per_set, generator=generator).argsort(dim=1)[:, :flow_pairs or None]
        columns = (chosen[:, None] * per_set + order.sort(dim=1).values).to(clips.label.device)
    to = {"device": clips.label.device, "non_blocking": True}
    at = None if clips.film is None else _at(clips.film, rows, clips.frames.shape[2], chosen).to(**to)
    return _cut(clips, rows.to(**to), chosen.to(**to), top.to(**to), left.to(**to), flips.to(**to), columns, crop, at)


def _at(film: Film, rows: torch.Tensor, t: int, offset: torch.Tensor) -> torch.Tensor:
    """The film's rows (B, t) of the clips `rows` (B,), spaced with these offsets (B,); all on the CPU."""
    clips = rows.cpu().numpy()
    return torch.from_numpy(film.first[clips][:, None] + spaced(film.length[clips], t, offset.numpy()))


def test_batch(clips: Clips, rows: torch.Tensor, *, crop: int) -> Batch:
    """The fixed batch that is evaluated: segment midpoints, centre crop, no flip, every labelled pair of that set."""
    rows = rows.to(clips.label.device)
    zero = torch.zeros_like(rows)
    top, left = ((side - crop) // 2 for side in clips.frames.shape[3:])
    columns = None
    if clips.flow is not None:
        per_set = clips.pair.shape[1] // clips.frames.shape[1]
        columns = torch.arange(per_set, device=rows.device).expand(len(rows), per_set)
    return _cut(clips, rows, zero, zero + top, zero + left, zero.bool(), columns, crop)


def _cut(clips: Clips, rows, chosen, top, left, flips, columns, crop: int, at=None) -> Batch:
    """Crop and flip frames, landmarks and flow together, by indexing on the device.

    The frames are those of the sets `chosen` (B,) or, if given, the rows `at` (B, t) of the film.
    """
    side = torch.arange(crop, device=rows.device)
    y = top[:, None] + side  # (B, C)
    x = left[:, None] + torch.where(flips[:, None], crop - 1 - side, side)
    t = torch.arange(clips.frames.shape[2], device=rows.device)
    source, index = (clips, (rows[:, None], chosen[:, None], t[None])) if at is None else (clips.film, (at,))
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


def statistics(clips: Clips, rows: torch.Tensor) -> tuple[float, float, float, torch.Tensor]:
    """Pixel mean, pixel sd, sd after removing each clip's mean frame (all in [0, 1]), and the mean shape (68, 2).

    Over set 0 of the clips `rows` (the training clips of a fold). The mean shape is in crop pixels of the centre of
    the aligned picture's own coordinates; shift it by the crop's centre offset before use.
    """
    total = square = residual = count = 0.0
    for part in rows.split(64):
        frames = clips.frames[part.to(clips.label.device), 0].double() / 255
        total += frames.sum().item()
        square += frames.square().sum().item()
        residual += (frames - frames.mean(dim=1, keepdim=True)).square().sum().item()
        count += frames.numel()
    mean = total / count
    shape = clips.points[rows.to(clips.label.device), 0].double().mean(dim=(0, 1)).float()
    return mean, max(square / count - mean * mean, 1e-12) ** 0.5, max(residual / count, 1e-12) ** 0.5, shape
