"""Clips of which frames, landmarks and flow labels stay in the shards until they are drawn."""

from dataclasses import dataclass

import numpy as np
import torch

from mer.base.columns import Column
from mer.labels.sampling import spaced
from mer.training.batches import Clips, Entry, Found, Wanted
from mer.training.streaming import Streamed, empty


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
