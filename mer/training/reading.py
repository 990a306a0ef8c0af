"""The clips of a run from the label stores: on the device where they fit, else read as they are drawn (`streaming`).

Either way each array is read whole once, clip by clip, before any training: compared with its checksum, and with what
a clip's arrays must be among each other. Later reads, of single frames and flow fields, are not compared again; a file
that has changed meanwhile is refused.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mer.base.columns import Column
from mer.base.errors import MerError
from mer.labels.located import columns
from mer.labels.sampling import clip_sets, spaced, span_positions
from mer.training.batches import Clips, Entry, Film, Found, Wanted
from mer.training.streaming import Streamed, empty, fits


def load(data: Path, entries: tuple[Entry, ...], sampling, *, with_flow: bool, device: str,
         resident_gb: float | None = None) -> "Clips | StreamedClips":
    """The sampled frames, landmarks and (if `with_flow`) flow labels of `entries`, in the shards below `data`.

    Without flow labels, which exist for the sets alone, and with more sets than the midpoints', training may draw any
    offset: then set 0 is read, for tests, and the film.

    Args:
        sampling: params.yaml's section: t, sets, span, seed.
        resident_gb: see `streaming.fits`.

    Raises:
        MerError: a clip is in no shard, or its flow labels belong to other sampled frames; an array is damaged or holds
            numbers that are not finite.
    """
    # two frames are onset and apex in every set
    stores = _Stores(data, entries, sampling, with_flow, fresh=not with_flow and sampling.sets > 1 and sampling.t > 2)
    read = "data/aligned and data/flow" if with_flow else "data/aligned"
    return (_resident if fits(len(entries), stores.need(), device, resident_gb, read) else _streamed)(stores, device)


class _Stores:
    """Where the arrays of the clips lie, and how they are sampled."""

    def __init__(self, data: Path, entries: tuple[Entry, ...], sampling, with_flow: bool, fresh: bool):
        clips = [entry.clip for entry in entries]
        self.data, self.entries, self.sampling, self.fresh = data, entries, sampling, fresh
        self.aligned = columns(data / "aligned", clips, ("frames", "points", "numbers", "annotation"))
        self.flow = columns(data / "flow", clips, ("index", "pair", "flow")) if with_flow else {}
        sets = 1 if fresh else sampling.sets
        self.shape = (sets, sampling.t, *self.aligned["frames"].row)
        self.flows = int(self.flow["flow"].length[0]) if with_flow else 0

    def need(self) -> int:
        """Bytes of all that may be drawn; of a film, of all frames of its clips."""
        frames, points = self.aligned["frames"], self.aligned["points"]
        rows = len(self.entries) * self.shape[0] * self.shape[1] + (frames.length.sum() if self.fresh else 0)
        size = int(rows) * (_row_bytes(frames) + _row_bytes(points))
        return size + (int(self.flow["flow"].length.sum()) * _row_bytes(self.flow["flow"]) if self.flow else 0)

    def record(self, i: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray | None]:
        """All arrays of clip `i`, the positions (S, t) that are sampled, and those of its film (L,)."""
        clip = self.entries[i].clip
        found = {name: column.whole(i) for name, column in {**self.aligned, **self.flow}.items() if name != "index"}
        _refuse_nan(self.data / "aligned" / clip.dataset, clip.clip_id, points=found["points"])
        numbers, annotation = found["numbers"], found["annotation"]
        index = clip_sets(numbers, annotation, t=self.shape[1], sets=self.shape[0], span=self.sampling.span,
                          seed_words=(self.sampling.seed, clip.clip_id))
        if self.flow:
            if not np.array_equal(self.flow["index"].whole(i), index):
                raise MerError(f"data/flow/{clip.dataset}: clip {clip.clip_id} is labelled for other sampled frames; "
                               "delete data/flow and run `dvc repro`")
            _refuse_nan(self.data / "flow" / clip.dataset, clip.clip_id, flow=found["flow"])
        return found, index, span_positions(numbers, annotation, self.sampling.span) if self.fresh else None


def _row_bytes(column: Column) -> int:
    return int(np.prod(column.row)) * column.dtype.itemsize


def _refuse_nan(store: Path, clip_id: str, **arrays: np.ndarray) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise MerError(f"{store.as_posix()}: clip {clip_id}, {name}: holds numbers that are not finite; delete the "
                           "folder and run `dvc repro`")


def labels(entries: tuple[Entry, ...], device: str) -> torch.Tensor:
    """(N,) int64 on the device."""
    return torch.tensor([entry.label for entry in entries], device=device)


def _resident(stores: _Stores, device: str) -> Clips:
    """Filled clip by clip, so that no second copy is made."""
    n, (sets, t, height, width), flows = len(stores.entries), stores.shape, stores.flows
    frames = torch.empty(n, sets, t, height, width, dtype=torch.uint8, device=device)
    points = torch.empty(n, sets, t, 68, 2, device=device)
    flow = torch.empty(n, flows, 2, height, width, dtype=torch.float16, device=device) if flows else None
    pair = torch.empty(n, flows, 2, dtype=torch.int64, device=device) if flows else None
    film: list[tuple[torch.Tensor, torch.Tensor]] = []
    for i in range(n):
        found, index, span = stores.record(i)
        frames[i], points[i] = (torch.from_numpy(found[name][index]) for name in ("frames", "points"))
        if flows:
            flow[i], pair[i] = torch.from_numpy(found["flow"]), torch.from_numpy(found["pair"])
        if span is not None:
            film.append(tuple(torch.from_numpy(found[name][span]).to(device) for name in ("frames", "points")))
    return Clips(stores.entries, frames, points, flow, pair, labels(stores.entries, device),
                 _film(film) if stores.fresh else None)


def _film(clips: list[tuple[torch.Tensor, torch.Tensor]]) -> Film:
    length = np.array([len(frames) for frames, _ in clips])
    return Film(*(torch.cat(arrays) for arrays in zip(*clips, strict=True)), np.cumsum(length) - length, length)


@dataclass(frozen=True, kw_only=True)
class StreamedClips(Streamed):
    """As `Clips`, but for what is read when it is drawn.

    Attributes:
        label: (N,) on the device to which what is read goes.
        shape: (S, t, H, W); flows: how many flow labels a clip has.
        index: (N, S, t) sampled positions in each clip's frames; film: (N, 2) the first of those that training draws
            from and how many there are, None: from the sets.
        pair: (N, P, 2) each label's (set, k), None without flow.
        frames, points, flow: where they lie.
    """

    entries: tuple[Entry, ...]
    label: torch.Tensor
    shape: tuple[int, ...]
    flows: int
    index: np.ndarray
    film: np.ndarray | None
    pair: torch.Tensor | None
    frames: Column
    points: Column
    flow: Column | None

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def filmed(self) -> bool:
        """As `Clips.filmed`."""
        return self.film is not None

    def find(self, wanted: Wanted) -> Found:
        """What is wanted, as clips on the device that have it alone, one set each."""
        device = self.label.device
        host = self.fetch(wanted)
        frames, points, flow, pair = (None if values is None else values.to(device, non_blocking=True) for values in (
            host.frames, host.points, host.flow, host.pair))
        rows = torch.arange(len(wanted.rows), device=device)
        columns = None if wanted.columns is None else torch.arange(
            wanted.columns.shape[1], device=device).expand(wanted.columns.shape)
        few = Clips(host.entries, frames, points, flow, pair, self.label[wanted.rows.to(device)])
        return Found(few, rows, torch.zeros_like(rows), columns, None)

    def _read(self, wanted: Wanted) -> Clips:
        rows = wanted.rows.tolist()
        frames = points = flow = pair = None
        if wanted.chosen is not None:
            at = self._positions(wanted)
            frames, points = (taken(column, rows, at, self.label.device)[:, None] for column in (
                self.frames, self.points))
        if wanted.columns is not None:
            flow = taken(self.flow, rows, wanted.columns.numpy(), self.label.device)
            pair = self.pair[wanted.rows[:, None], wanted.columns]
        return Clips(tuple(self.entries[i] for i in rows), frames, points, flow, pair, None)

    def _positions(self, wanted: Wanted) -> np.ndarray:
        """(B, t) in each clip's frames."""
        rows, chosen = wanted.rows.numpy(), wanted.chosen.numpy()
        if not wanted.film:
            return self.index[rows, chosen]
        first, length = self.film[rows].T
        return first[:, None] + spaced(length, self.shape[1], chosen)


def taken(column: Column, rows: list[int], at: np.ndarray, device: str | torch.device) -> torch.Tensor:
    """Of the clips `rows` (B,) the column's rows `at` (B, n): (B, n, *row) in the machine's memory, for `device`."""
    into = empty((*at.shape, *column.row), torch.from_numpy(np.empty(0, column.dtype)).dtype, device)
    for i, positions, one in zip(rows, at, into.numpy(), strict=True):
        column.rows(i, positions, one)
    return into


def _streamed(stores: _Stores, device: str) -> StreamedClips:
    """Of each clip only what says where to read is kept."""
    index, film, pair = [], [], []
    for i in range(len(stores.entries)):
        found, positions, span = stores.record(i)
        index.append(positions)
        if span is not None:
            film.append((span[0], len(span)))  # frames between two of them, so one after another
        if stores.flow:
            pair.append(found["pair"])
    return StreamedClips(entries=stores.entries, label=labels(stores.entries, device), shape=stores.shape,
                         flows=stores.flows, index=np.stack(index), film=np.array(film) if stores.fresh else None,
                         pair=torch.from_numpy(np.stack(pair)).long() if pair else None, flow=stores.flow.get("flow"),
                         frames=stores.aligned["frames"], points=stores.aligned["points"])
