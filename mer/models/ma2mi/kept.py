"""Fine-tuning that keeps the reconstruction (Table 2): a fold's clips as for any network, and their latents."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mer.base.columns import Column
from mer.labels.located import columns
from mer.labels.sampling import ends
from mer.models.ma2mi import pairs
from mer.models.ma2mi.autoencoder import pixel_latent
from mer.models.ma2mi.config import Config
from mer.models.ma2mi.network import resize
from mer.training import reading
from mer.training.batches import Batch, Clips, Entry
from mer.training.streamed import StreamedClips, taken
from mer.training.streaming import Streamed


@dataclass(frozen=True)
class Rows:
    """A request for the latents of the clips `rows` (B,)."""

    rows: Tensor


@dataclass(frozen=True, kw_only=True)
class StreamedLatents(Streamed):
    """Where the latents of onset and apex lie; ends: (N, 2), their positions in each clip."""

    ends: np.ndarray
    moments: dict[str, Column]
    device: torch.device

    def _read(self, wanted: Rows) -> dict[str, Tensor]:
        """(B, 2, 2, 4, s, s) each, upright and mirrored, in the machine's memory."""
        rows, index = wanted.rows.tolist(), self.ends[wanted.rows.numpy()]
        found = {}
        for name, column in self.moments.items():
            both = np.concatenate([index, index + column.lead[rows, 1:]], axis=1)
            found[name] = taken(column, rows, both, self.device).unflatten(1, (2, 2))
        return found


@dataclass(frozen=True)
class Kept(Clips):
    """Onset and apex of the folds' clips with their latents, for fine-tuning that keeps the reconstruction.

    Attributes:
        mean, logvar: (2, N, 2, 4, s, s) float16, of the centre crop, upright and mirrored; None where not needed.
    """

    mean: Tensor | None = None
    logvar: Tensor | None = None

    def moments(self, rows: Tensor, flips: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Mean and log-variance (B, 2, 4, s, s) of the clips `rows` (B,), of those that `flips` (B,) says mirrored."""
        index = flips.long(), rows.to(self.label.device)
        return tuple(None if kept is None else kept[index] for kept in (self.mean, self.logvar))


@dataclass(frozen=True, kw_only=True)
class StreamedKept(StreamedClips):
    """As `Kept`; latents: where they lie."""

    latents: StreamedLatents

    def moments(self, rows: Tensor, flips: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """As `Kept.moments`."""
        found = self.latents.fetch(Rows(rows.cpu()))
        index = torch.arange(len(rows), device=flips.device), flips.long()
        return tuple(found[name].to(flips.device, non_blocking=True)[index] if name in found else None
                     for name in ("mean", "logvar"))


def load(data: Path, entries: tuple[Entry, ...], cfg: Config, sampling, *, device: str,
         resident_gb: float | None = None) -> Kept | StreamedKept:
    """The folds' clips, and unless in pixel space the latents of onset and apex in data/latents, which go with them.

    Raises:
        MerError: a clip is in no shard, or an array is damaged.
    """
    mine = [entry.clip for entry in entries]
    told = columns(data / "aligned", mine, ("numbers", "annotation"))
    latents = columns(data / "latents", mine, pairs.moments(cfg)) if pairs.moments(cfg) else {}
    beside = sum(2 * 2 * 2 * len(mine) * int(np.prod(column.row)) for column in latents.values())  # sides, ends, bytes
    clips = reading.load(data, entries, sampling, with_flow=False, device=device, resident_gb=resident_gb,
                         beside=beside)
    streamed = isinstance(clips, Streamed)
    index = np.stack([ends(told["numbers"].whole(i), told["annotation"].whole(i)) for i in range(len(mine))])
    found = {name: torch.empty(2, len(mine), 2, *column.row, dtype=torch.float16, device=device)
             for name, column in latents.items() if not streamed}
    for name, column in latents.items():
        for i in range(len(mine)):
            values = column.whole(i)  # streamed: compared with its checksum, no more
            if not streamed:
                found[name][:, i] = torch.from_numpy(values[:, index[i]])
    given = {f.name: getattr(clips, f.name) for f in fields(clips)}
    if not streamed:
        return Kept(**given, **found)
    return StreamedKept(**given, latents=StreamedLatents(ends=index, moments=latents, device=clips.label.device))


def pick(clips: StreamedKept, rows: Tensor) -> StreamedKept:
    """Streamed clips with their latents read too."""
    return replace(clips, latents=clips.latents.ahead(Rows(rows)))


def with_latents(clips: Kept, rows: Tensor, batch: Batch, cfg: Config, generator: torch.Generator) -> pairs.PairBatch:
    """A fold's `batch` of the clips `rows` (B,) as every other method draws it, with the latents beside it.

    They are those of the upright or mirrored centre crop, while crop and turn of the frames are drawn: encoding each
    draw would cost more than all the rest. In pixel space what DiT sees is what the encoders see.
    """
    mean, logvar = clips.moments(rows, batch.flips)
    if mean is None:
        small = resize(batch.frames.flatten(0, 1), cfg.size)
        latents = pixel_latent(small).unflatten(0, batch.frames.shape[:2])
    else:
        latents = pairs.sampled(mean, logvar, generator)
    return pairs.PairBatch(batch.frames, latents, None, None, batch.label)
