"""The clips of a run from the label stores: on the device where they fit, else read as they are drawn (`streaming`).

Either way each array is read whole once, clip by clip, before any training: compared with its checksum, and with what
a clip's arrays must be among each other. Later reads, of single frames and flow fields, are not compared again; a file
that has changed meanwhile is refused.
"""

from pathlib import Path

import numpy as np
import torch

from mer.base.columns import Column
from mer.base.errors import MerError
from mer.labels.located import columns
from mer.labels.sampling import clip_sets, span_positions
from mer.training.batches import Clips, Entry, Film
from mer.training.streamed import StreamedClips
from mer.training.streaming import fits


def load(data: Path, entries: tuple[Entry, ...], sampling, *, with_flow: bool, device: str,
         resident_gb: float | None = None, beside: int = 0) -> "Clips | StreamedClips":
    """The sampled frames, landmarks and (if `with_flow`) flow labels of `entries`, in the shards below `data`.

    Without flow labels, which exist for the sets alone, and with more sets than the midpoints', training may draw any
    offset: then set 0 is read, for tests, and the film.

    Args:
        sampling: params.yaml's section: t, sets, span, seed.
        resident_gb: see `streaming.fits`; beside: bytes of what else goes where the clips go.

    Raises:
        MerError: a clip is in no shard, or its flow labels belong to other sampled frames; an array is damaged or holds
            numbers that are not finite.
    """
    # two frames are onset and apex in every set
    stores = _Stores(data, entries, sampling, with_flow, fresh=not with_flow and sampling.sets > 1 and sampling.t > 2)
    read = "data/aligned and data/flow" if with_flow else "data/aligned"
    return (_resident if fits(len(entries), stores.need() + beside, device, resident_gb, read)
            else _streamed)(stores, device)


class _Stores:
    """Where the arrays of the clips lie, and how they are sampled."""

    def __init__(self, data: Path, entries: tuple[Entry, ...], sampling, with_flow: bool, fresh: bool):
        clips = [entry.clip for entry in entries]
        self.data, self.entries, self.sampling = data, entries, sampling
        self.aligned = columns(data / "aligned", clips, ("frames", "points", "numbers", "annotation"))
        self.flow = columns(data / "flow", clips, ("index", "pair", "flow")) if with_flow else {}
        sets = 1 if fresh else sampling.sets
        self.shape = (sets, sampling.t, *self.aligned["frames"].row)
        self.flows = int(self.flow["flow"].length[0]) if with_flow else 0
        self.film = np.array([self._span(i) for i in range(len(clips))]) if fresh else None

    def _span(self, i: int) -> tuple[int, int]:
        """The first position of what clip `i` is sampled from and how many there are, one after another."""
        span = span_positions(self.aligned["numbers"].whole(i), self.aligned["annotation"].whole(i), self.sampling.span)
        return (int(span[0]), len(span)) if len(span) else (0, 0)

    def need(self) -> int:
        """Bytes of all that may be drawn."""
        frames, points = self.aligned["frames"], self.aligned["points"]
        rows = len(self.entries) * self.shape[0] * self.shape[1] + (0 if self.film is None else self.film[:, 1].sum())
        size = int(rows) * (_row_bytes(frames) + _row_bytes(points))
        return size + (int(self.flow["flow"].length.sum()) * _row_bytes(self.flow["flow"]) if self.flow else 0)

    def record(self, i: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """All arrays of clip `i`, and the positions (S, t) that are sampled."""
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
        return found, index


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
    film = None if stores.film is None else _film(stores.film[:, 1], height, width, device)
    for i in range(n):
        found, index = stores.record(i)
        frames[i], points[i] = (torch.from_numpy(found[name][index]) for name in ("frames", "points"))
        if flows:
            flow[i], pair[i] = torch.from_numpy(found["flow"]), torch.from_numpy(found["pair"])
        if film is not None:
            begin, (first, count) = film.first[i], stores.film[i]
            for name, values in (("frames", film.frames), ("points", film.points)):
                values[begin:begin + count] = torch.from_numpy(found[name][first:first + count])
    return Clips(stores.entries, frames, points, flow, pair, labels(stores.entries, device), film)


def _film(length: np.ndarray, height: int, width: int, device: str) -> Film:
    total = int(length.sum())
    return Film(torch.empty(total, height, width, dtype=torch.uint8, device=device),
                torch.empty(total, 68, 2, device=device), np.cumsum(length) - length, length)


def _streamed(stores: _Stores, device: str) -> StreamedClips:
    """Of each clip only what says where to read is kept."""
    index, pair = [], []
    for i in range(len(stores.entries)):
        found, positions = stores.record(i)
        index.append(positions)
        if stores.flow:
            pair.append(found["pair"])
    return StreamedClips(entries=stores.entries, label=labels(stores.entries, device), shape=stores.shape,
                         flows=stores.flows, index=np.stack(index), film=stores.film,
                         pair=torch.from_numpy(np.stack(pair)).long() if pair else None, flow=stores.flow.get("flow"),
                         frames=stores.aligned["frames"], points=stores.aligned["points"])
