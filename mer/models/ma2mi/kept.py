"""Fine-tuning that keeps the reconstruction (Table 2): a fold's clips as for any network, and their latents."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mer.labels import records
from mer.labels.sampling import ends
from mer.models.ma2mi import pairs
from mer.models.ma2mi.autoencoder import pixel_latent
from mer.models.ma2mi.config import Config
from mer.models.ma2mi.network import resize
from mer.training import batches
from mer.training.batches import Batch, Clips, Entry


@dataclass(frozen=True)
class Kept(Clips):
    """Onset and apex of the folds' clips with their latents, for fine-tuning that keeps the reconstruction.

    Attributes:
        mean, logvar: (2, N, 2, 4, s, s) float16, of the centre crop, upright and mirrored; None where not needed.
    """

    mean: Tensor | None = None
    logvar: Tensor | None = None


def load(data: Path, entries: tuple[Entry, ...], cfg: Config, sampling, *, device: str) -> Kept:
    """The folds' clips on the device, and unless in pixel space the latents of onset and apex from data/latents.

    Raises:
        MerError: a clip is in no shard.
    """
    clips = batches.load(data, entries, sampling, with_flow=False, device=device)
    wanted: dict[str, list] = {name: [None] * len(entries) for name in pairs.moments(cfg)}
    for dataset in sorted({entry.clip.dataset for entry in entries}) if wanted else ():
        rows = {entry.clip.clip_id: i for i, entry in enumerate(entries) if entry.clip.dataset == dataset}
        mine = [entries[i].clip for i in rows.values()]
        aligned = records.read(data / "aligned" / dataset, mine, ("numbers", "annotation"))[0]
        for clip_id, record in records.read(data / "latents" / dataset, mine, tuple(wanted))[0].items():
            for name, values in wanted.items():
                values[rows[clip_id]] = record[name][:, ends(**aligned[clip_id])]
    found = {name: torch.from_numpy(np.stack(values, axis=1)).to(device) for name, values in wanted.items()}
    return Kept(*(getattr(clips, f.name) for f in fields(clips)), **found)


def with_latents(clips: Kept, rows: Tensor, batch: Batch, cfg: Config, generator: torch.Generator) -> pairs.PairBatch:
    """A fold's `batch` of the clips `rows` (B,) as every other method draws it, with the latents beside it.

    They are those of the upright or mirrored centre crop, while crop and turn of the frames are drawn: encoding each
    draw would cost more than all the rest. In pixel space what DiT sees is what the encoders see.
    """
    if clips.mean is None:
        small = resize(batch.frames.flatten(0, 1), cfg.size)
        latents = pixel_latent(small).unflatten(0, batch.frames.shape[:2])
    else:
        rows = rows.to(clips.label.device)
        latents = pairs.sampled(clips, (batch.flips.long(), rows), generator)
    return pairs.PairBatch(batch.frames, latents, None, None, batch.label)
