"""Training of conv_ae, the autoencoder for those who have no weights of Stable Diffusion's: macro frames alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mer.base import store
from mer.base.columns import Column
from mer.datasets.clips import read_clips
from mer.labels import located, records
from mer.models.ma2mi import pairs
from mer.models.ma2mi.autoencoder import ConvAe
from mer.models.ma2mi.losses import KL_WEIGHT, conv_ae_losses
from mer.models.ma2mi.pair_reading import crops
from mer.training import checkpoint, engine
from mer.training.batches import Batch
from mer.training.engine import Budget
from mer.training.streaming import Streamed, fits

LEARNING_RATE = 1e-3
FRAMES = 16  # of a batch
HELD_OUT = 10  # every tenth clip is not trained on; its error is reported


@dataclass(frozen=True)
class Numbers:
    """A request for the frames `rows` (B,) of all."""

    rows: Tensor


class Frames:
    """All frames (F, H, W) uint8 of some clips on one device, with what engine.train asks of a data set."""

    def __init__(self, frames: Tensor):
        self.frames, self.label = frames, torch.zeros(len(frames), device=frames.device)

    def __len__(self) -> int:
        return len(self.frames)

    def fetch(self, wanted: Numbers) -> Tensor:
        """(B, H, W) uint8."""
        return self.frames[wanted.rows.to(self.frames.device)]


@dataclass(frozen=True, kw_only=True)
class StreamedFrames(Streamed):
    """As `Frames`, of the clips `rows` (N,) of a column; last: (N,) how many frames there are up to each one's end."""

    column: Column
    rows: np.ndarray
    last: np.ndarray
    crop: int
    label: Tensor

    def __len__(self) -> int:
        return int(self.last[-1])

    def _read(self, wanted: Numbers) -> Tensor:
        number = wanted.rows.numpy()
        clip = np.searchsorted(self.last, number, side="right")
        at = number - self.last[clip] + self.column.length[self.rows[clip]]
        return crops(self.column, self.rows[clip].tolist(), at[:, None], self.crop, self.label.device)[:, 0]


class ConvAeMethod:
    """The engine's view: single frames, L1 in pixels and a small KL term (latent diffusion's weight)."""

    weights: ClassVar = {"pixels": 1.0, "kl": KL_WEIGHT}
    captures = True

    def __init__(self, size: int):
        self.size = size

    def pick(self, clips: StreamedFrames, rows: Tensor, budget: Budget, generator: torch.Generator) -> StreamedFrames:
        """As `Method.pick`."""
        return clips.ahead(Numbers(rows))

    def draw(self, clips: Frames, rows: Tensor, budget: Budget, generator: torch.Generator) -> Batch:
        """The frames `rows`, each mirrored or not: (B, 1, 1, size, size) in [0, 1]."""
        frames = clips.fetch(Numbers(rows)).to(clips.label.device, non_blocking=True)
        flips = torch.randint(2, (len(rows),), generator=generator).bool().to(frames.device)
        frames = torch.where(flips[:, None, None], frames.flip(-1), frames)
        return Batch(pairs.pictures(frames, self.size).unsqueeze(1), None, None, None, None)

    def forward(self, model, batch):
        """As `ConvAe.forward`."""
        return model(batch.frames)

    def trunk(self, model):
        """None: its two losses are of one output."""
        return []

    def losses(self, outputs, batch):
        """As `conv_ae_losses`, by the names of `weights`."""
        return conv_ae_losses(outputs, batch)


def run(p, stores: list[Path], scratch: Path, out: Path, device: str) -> dict[str, float]:
    """Train conv_ae on the centre crops of the stores' clips and write `<out>/autoencoder.pt` and its log.

    Resumes at a step from `scratch`. Returns the mean absolute error on held-out clips, in grey levels of 0..255, and
    beside it that of the mean picture.
    """
    clips = [clip for folder in stores for clip in records.labelled(folder, read_clips(folder / "clips.csv"))]
    column = located.columns(stores[0].parent, clips, ("frames",))["frames"]
    every = np.arange(len(clips))
    held, kept = (every[::HELD_OUT], every[every % HELD_OUT > 0]) if len(clips) >= HELD_OUT else (every[:1], every)
    frames, unseen = load(column, kept, p, device), _streamed(column, held, p.pretrain.crop, device)
    torch.manual_seed(engine.derive(p.seeds[0], "conv_ae", "init"))
    model, cfg = ConvAe(p.ma2mi.conv_ae_width).to(device), p.ma2mi
    budget = Budget(steps=cfg.conv_ae_steps, batch=FRAMES, crop=p.pretrain.crop, flip=True, schedule="one_cycle",
                    lr=LEARNING_RATE, weight_decay=0.0, clip_norm=1.0, flow_pairs=0,
                    checkpoint_every=p.pretrain.checkpoint_every, precision=p.train.precision)
    log, _ = engine.train(model, ConvAeMethod(cfg.size), frames, torch.arange(len(frames)), budget,
                          seed=engine.derive(p.seeds[0], "conv_ae"), state=scratch / "conv_ae.pt", desc="conv_ae")
    model.eval()
    some = frames.fetch(Numbers(torch.linspace(0, len(frames) - 1, min(256, len(frames))).long())).to(device)
    model.fit_scale(pairs.pictures(some, cfg.size))
    checkpoint.save(out / "autoencoder.pt", {"model": {k: v.cpu() for k, v in model.state_dict().items()}})
    store.write_csv(out / "log.csv", list(log[0]), [list(entry.values()) for entry in log])
    return errors(model, unseen.fetch(Numbers(torch.arange(min(512, len(unseen))))).to(device), some, cfg.size)


def load(column: Column, rows: np.ndarray, p, device: str) -> Frames | StreamedFrames:
    """The centre crops of the frames of the clips `rows`; all of the column are compared with their checksums."""
    crop, total = p.pretrain.crop, int(column.length[rows].sum())
    resident = fits(len(rows), total * crop * crop, device, p.train.resident_gb, "data/aligned")
    frames, done = torch.empty(total if resident else 0, crop, crop, dtype=torch.uint8, device=device), 0
    chosen = set(rows.tolist())
    for i, count in enumerate(column.length.tolist()):
        found = column.whole(i)
        if resident and i in chosen:
            frames[done:done + count] = pairs.centre(torch.from_numpy(found), crop)
            done += count
    return Frames(frames) if resident else _streamed(column, rows, crop, device)


def _streamed(column: Column, rows: np.ndarray, crop: int, device: str) -> StreamedFrames:
    return StreamedFrames(column=column, rows=rows, last=column.length[rows].cumsum(), crop=crop,
                          label=torch.zeros(0, device=device))


@torch.no_grad()
def errors(model: ConvAe, frames: Tensor, trained_on: Tensor, size: int) -> dict[str, float]:
    """Mean absolute error, grey levels, of reconstructed frames (F, H, W), and of the mean of those trained on."""
    mean = pairs.pictures(trained_on, size).mean(0)
    total = {"grey_error": 0.0, "grey_error_mean_picture": 0.0}
    for part in frames.split(32):
        truth = pairs.pictures(part, size)
        decoded = model.decode(model.encode(truth)[0])
        total["grey_error"] += (decoded - truth).abs().mean().item() * len(part)
        total["grey_error_mean_picture"] += (mean - truth).abs().mean().item() * len(part)
    return {name: round(255 * value / len(frames), 4) for name, value in total.items()}
