"""Training of conv_ae, the autoencoder for those who have no weights of Stable Diffusion's: macro frames alone."""

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from mer.base import store
from mer.datasets.clips import read_clips
from mer.labels import records
from mer.models.ma2mi import pairs
from mer.models.ma2mi.autoencoder import ConvAe
from mer.models.ma2mi.losses import KL_WEIGHT, conv_ae_losses
from mer.training import checkpoint, engine
from mer.training.batches import Batch
from mer.training.engine import Budget

LEARNING_RATE = 1e-3
FRAMES = 16  # of a batch
HELD_OUT = 10  # every tenth clip is not trained on; its error is reported


class Frames:
    """All frames (F, H, W) uint8 of some clips on one device, with what engine.train asks of a data set."""

    def __init__(self, frames: Tensor):
        self.frames, self.label = frames, torch.zeros(len(frames), device=frames.device)

    def __len__(self) -> int:
        return len(self.frames)


class ConvAeMethod:
    """The engine's view: single frames, L1 in pixels and a small KL term (latent diffusion's weight)."""

    weights: ClassVar = {"pixels": 1.0, "kl": KL_WEIGHT}
    captures = True

    def __init__(self, size: int):
        self.size = size

    def draw(self, clips: Frames, rows: Tensor, budget: Budget, generator: torch.Generator) -> Batch:
        """The frames `rows`, each mirrored or not: (B, 1, 1, size, size) in [0, 1]."""
        rows = rows.to(clips.frames.device)
        flips = torch.randint(2, (len(rows),), generator=generator).bool().to(rows.device)
        frames = clips.frames[rows]
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
    crops = []
    for folder in stores:
        aligned = records.read(folder, read_clips(folder / "clips.csv"), ("frames",))[0]
        crops += [pairs.centre(torch.from_numpy(record["frames"]), p.pretrain.crop) for record in aligned.values()]
    held = crops[::HELD_OUT] if len(crops) >= HELD_OUT else crops[:1]
    kept = [crop for i, crop in enumerate(crops) if i % HELD_OUT] if len(crops) >= HELD_OUT else crops
    frames = Frames(torch.cat(kept).to(device))
    torch.manual_seed(engine.derive(p.seeds[0], "conv_ae", "init"))
    model, cfg = ConvAe(p.ma2mi.conv_ae_width).to(device), p.ma2mi
    budget = Budget(steps=cfg.conv_ae_steps, batch=FRAMES, crop=p.pretrain.crop, flip=True, schedule="one_cycle",
                    lr=LEARNING_RATE, weight_decay=0.0, clip_norm=1.0, flow_pairs=0,
                    checkpoint_every=p.pretrain.checkpoint_every, precision=p.train.precision)
    log, _ = engine.train(model, ConvAeMethod(cfg.size), frames, torch.arange(len(frames)), budget,
                          seed=engine.derive(p.seeds[0], "conv_ae"), state=scratch / "conv_ae.pt", desc="conv_ae")
    model.eval()
    some = torch.linspace(0, len(frames) - 1, min(256, len(frames))).long().to(device)
    model.fit_scale(pairs.pictures(frames.frames[some], cfg.size))
    checkpoint.save(out / "autoencoder.pt", {"model": {k: v.cpu() for k, v in model.state_dict().items()}})
    store.write_csv(out / "log.csv", list(log[0]), [list(entry.values()) for entry in log])
    return errors(model, torch.cat(held)[:512].to(device), frames.frames[some], cfg.size)


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
