"""The frames and latents that pairs are drawn from: in the machine's memory where they fit, else in their shards.

As in `mer/training/reading.py` each array is read whole once, and compared with its checksum, before any training.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mer.base.columns import Column
from mer.base.errors import MerError
from mer.labels.located import columns
from mer.models.ma2mi.config import Config
from mer.models.ma2mi.pairs import FoundPairs, Pairs, WantedPairs, centre, moments
from mer.training.batches import Entry
from mer.training.reading import labels
from mer.training.streamed import taken
from mer.training.streaming import Streamed, empty, fits


@dataclass(frozen=True, kw_only=True)
class StreamedPairs(Streamed):
    """As `Pairs`, but for what is read when it is drawn.

    Attributes:
        crop: side of the centre crop; frames, mean, logvar: where they lie, None where not needed.
        length: (N,) frames of each clip; label: (N,), on the device to which what is read goes.
    """

    entries: tuple[Entry, ...]
    crop: int
    frames: Column
    length: Tensor
    mean: Column | None
    logvar: Column | None
    label: Tensor

    def __len__(self) -> int:
        return len(self.entries)

    def _read(self, wanted: WantedPairs) -> FoundPairs:
        rows, device = wanted.rows.tolist(), self.label.device
        at, sides = wanted.at.numpy(), wanted.flips[:, None].numpy()
        frames = crops(self.frames, rows, at, self.crop, device)
        index = sides * self.length[wanted.rows, None].numpy() + at  # upright, then mirrored
        return FoundPairs(frames, *(None if kept is None else taken(kept, rows, index, device)
                                    for kept in (self.mean, self.logvar)))


def crops(frames: Column, rows: list[int], at: np.ndarray, crop: int, device: str | torch.device) -> Tensor:
    """Centre crops (B, n, crop, crop) of the frames `at` (B, n) of the clips `rows`, in the machine's memory."""
    return empty((*at.shape, crop, crop), torch.uint8, device).copy_(centre(taken(frames, rows, at, "cpu"), crop))


def load(data: Path, entries: tuple[Entry, ...], cfg: Config, *, crop: int, device: str,
         resident_gb: float | None = None) -> Pairs | StreamedPairs:
    """Every frame of `entries` in data/aligned and, unless in pixel space, the latents in data/latents.

    Raises:
        MerError: a clip is in no shard, an array is damaged, or a clip has latents of another number of frames.
    """
    clips = [entry.clip for entry in entries]
    frames = columns(data / "aligned", clips, ("frames",))["frames"]
    names = moments(cfg)
    latents = columns(data / "latents", clips, names) if names else {}
    for column in latents.values():
        for i in np.flatnonzero(column.length != 2 * frames.length):
            raise MerError(f"data/latents/{clips[i].dataset}: clip {clips[i].clip_id} has latents of "
                           f"{column.length[i] // 2} frames, expected {frames.length[i]}; delete data/latents and run "
                           "`dvc repro`")
    length = torch.from_numpy(frames.length)
    start, total = length.cumsum(0) - length, int(length.sum())
    need = total * crop * crop + sum(2 * total * int(np.prod(column.row)) * 2 for column in latents.values())
    read = "data/aligned and data/latents" if names else "data/aligned"
    resident = fits(len(entries), need, "cpu", resident_gb, read)
    pictures = torch.empty(total, crop, crop, dtype=torch.uint8) if resident else None
    kept = {name: torch.empty(2, total, *column.row, dtype=torch.float16) if resident else None
            for name, column in latents.items()}
    for i, (first, count) in enumerate(zip(start.tolist(), length.tolist(), strict=True)):
        found = {name: torch.from_numpy(column.whole(i)) for name, column in {"frames": frames, **latents}.items()}
        if resident:
            pictures[first:first + count] = centre(found["frames"], crop)
            for name, values in kept.items():
                values[:, first:first + count] = found[name]
    if resident:
        return Pairs(entries, pictures, start, length, kept.get("mean"), kept.get("logvar"), labels(entries, device))
    return StreamedPairs(entries=entries, crop=crop, frames=frames, length=length, mean=latents.get("mean"),
                         logvar=latents.get("logvar"), label=labels(entries, device))
