"""Frames of whole clips, their cached latents, and the pairs (I_t, I_{t+d}) that MA2MI is pretrained on.

A frozen autoencoder costs three times all the rest of a step, so every frame is encoded once, upright and mirrored
(Eq. 7), and kept as float16: relative error 5e-4 of latents whose standard deviation is about 1. Whole clips stay in
the machine's memory (63 kB a frame of 224 pixels); the device is given a batch of them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mer.base import store
from mer.datasets.clips import read_clips
from mer.labels import records
from mer.models.ma2mi.autoencoder import ConvAe, pixel_latent
from mer.models.ma2mi.config import Config
from mer.models.ma2mi.losses import random_affine, warp_images
from mer.models.ma2mi.network import resize
from mer.models.ma2mi.sd_vae import SdVae, load_sd_vae, weights_file
from mer.training import checkpoint
from mer.training.batches import Entry


def open_autoencoder(cfg: Config, trained: Path) -> tuple[SdVae | ConvAe | None, dict[str, str]]:
    """The frozen autoencoder of `cfg` (None in pixel space), and what names it in a run's record: kind and SHA-256.

    Args:
        trained: the checkpoint of conv_ae, with the key `model`.

    Raises:
        MerError: its weights are missing or do not fit; nothing else is taken in their place.
    """
    if cfg.autoencoder == "none":
        return None, {"kind": "none"}
    if cfg.autoencoder == "sd_vae":
        path, model = weights_file(cfg.sd_vae), load_sd_vae(cfg.sd_vae)
    else:
        path, model = trained, ConvAe(cfg.conv_ae_width)
        model.load_state_dict(checkpoint.load(trained)["model"])
    with open(path, "rb") as file:
        name = {"kind": cfg.autoencoder, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    return model.eval().requires_grad_(False), name


def pictures(frames: Tensor, size: int) -> Tensor:
    """Gray crops (..., H, W) uint8 -> (..., 1, size, size) float32 in [0, 1], resized if need be."""
    values = (frames.float() / 255).unsqueeze(-3)
    return resize(values.flatten(0, -4), size).unflatten(0, frames.shape[:-2])


def centre(frames: Tensor, crop: int) -> Tensor:
    """The middle (..., crop, crop) of frames (..., H, W)."""
    top, left = ((side - crop) // 2 for side in frames.shape[-2:])
    return frames[..., top : top + crop, left : left + crop]


@torch.no_grad()
def encode_clip(autoencoder: SdVae | ConvAe, frames: np.ndarray, *, crop: int, size: int, batch: int = 32) -> dict:
    """The record of one clip's aligned frames (T, H, W) uint8, centre crop: mean and logvar (2, T, 4, s, s) float16.

    The first axis: upright, and of the mirrored picture (which is not the mirrored latent).
    """
    device = autoencoder.scale.device
    upright = centre(torch.from_numpy(frames), crop)
    moments = [torch.stack(autoencoder.encode(pictures(part.to(device), size))).half().cpu()
               for part in torch.cat([upright, upright.flip(-1)]).split(batch)]
    mean, logvar = torch.cat(moments, dim=1).unflatten(1, (2, len(frames))).numpy()
    return {"mean": mean, "logvar": logvar}


def encode(autoencoder: SdVae | ConvAe, data: Path, dataset: str, out: Path, *, crop: int, size: int) -> dict:
    """Encode every aligned clip of a dataset into `<out>/<dataset>/`; returns the numbers of clips and frames."""
    from mer.base import environment, parallel  # here: a bare GPU machine that trains has no progress bar

    folder = data / "aligned" / dataset
    clips, summary = read_clips(folder / "clips.csv"), store.read_json(folder / "summary.json")
    aligned = records.read(folder, clips, ("frames",))[0]
    made = {}
    for clip_id, record in parallel.progress(aligned.items(), total=len(aligned), desc=f"latents {dataset}",
                                             unit="clip"):
        made[clip_id] = encode_clip(autoencoder, record["frames"], crop=crop, size=size)
    counts = {"clips": len(made), "frames": sum(len(record["frames"]) for record in aligned.values())}
    before = {**summary, "made_with": environment.made_with("latents", dataset, summary)}
    records.write(out / dataset, "latents", clips, made, before=before, summary={"dataset": dataset, **counts},
                  attrs={"units": "scaled latents; first axis: upright, mirrored", "crop": crop, "size": size})
    return counts


@dataclass(frozen=True)
class Pairs:
    """All frames of a run's clips, one after another, on the CPU; its batches go to the device of `label`.

    Attributes:
        frames: (F, H, W) uint8, centre crops.
        start: (N,) int64, where a clip's frames begin; length: (N,) int64, how many there are.
        mean, logvar: (2, F, 4, s, s) float16, latents upright and mirrored; None where not needed.
        label: (N,) int64, on the device.
    """

    entries: tuple[Entry, ...]
    frames: Tensor
    start: Tensor
    length: Tensor
    mean: Tensor | None
    logvar: Tensor | None
    label: Tensor

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True)
class PairBatch:
    """What MIACNet and its losses are given.

    Attributes:
        frames: (B, 2, 1, S, S) float32 in [0, 1], I_t and I_{t+d}.
        latents: (B, 2, L, s, s) float32, z_t and z_{t+d}.
        warped: (B, 1, S, S), T(I_t), and theta: (B, 2, 3), T; None without position losses.
        label: (B,) int64.
    """

    frames: Tensor
    latents: Tensor
    warped: Tensor | None
    theta: Tensor | None
    label: Tensor


def load(data: Path, entries: tuple[Entry, ...], cfg: Config, *, crop: int, device: str) -> Pairs:
    """Read every frame of `entries` from data/aligned and, unless in pixel space, the latents from data/latents.

    Raises:
        MerError: a clip is in no shard.
    """
    frames, latents = ([None] * len(entries) for _ in range(2))
    wanted = moments(cfg)
    for dataset in sorted({entry.clip.dataset for entry in entries}):
        rows = {entry.clip.clip_id: i for i, entry in enumerate(entries) if entry.clip.dataset == dataset}
        clips = [entries[i].clip for i in rows.values()]
        aligned = records.read(data / "aligned" / dataset, clips, ("frames",))[0]
        encoded = records.read(data / "latents" / dataset, clips, wanted)[0] if wanted else {}
        for clip_id, i in rows.items():
            frames[i] = centre(torch.from_numpy(aligned[clip_id]["frames"]), crop)
            latents[i] = encoded.get(clip_id)
    length = torch.tensor([len(clip) for clip in frames])

    def joined(name: str) -> Tensor | None:
        if name not in wanted:
            return None
        return torch.from_numpy(np.concatenate([record[name] for record in latents], axis=1))

    return Pairs(entries, torch.cat(frames), length.cumsum(0) - length, length, joined("mean"), joined("logvar"),
                 torch.tensor([entry.label for entry in entries], device=device))


def moments(cfg: Config) -> tuple[str, ...]:
    """What is read of data/latents."""
    return {"mean": ("mean",), "sample": ("mean", "logvar")}[cfg.posterior] if cfg.autoencoder != "none" else ()


def sampled(kept, index: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    """Latents (B, 2, 4, s, s) float32 at `index` of what has `mean` and `logvar`: the mean, or with both a sample."""
    latents = kept.mean[index].float()
    if kept.logvar is None:
        return latents
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    return latents + (kept.logvar[index].float() / 2).exp() * noise


def draw_pairs(length: Tensor, interval: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Positions (B, 2) of t and t + d in clips of `length` (B,) frames, on the CPU.

    d uniform in `interval`, both ends included, as far as the clip reaches; t uniform among what leaves t + d inside.
    A clip too short for any such d is taken from end to end (one of a single frame: that frame twice).
    """
    low = (length - 1).clamp(max=interval[0])
    high = (length - 1).clamp(max=interval[1])
    chance = torch.rand(2, len(length), generator=generator, dtype=torch.float64)
    d = low + (chance[0] * (high - low + 1)).long()
    t = (chance[1] * (length - d)).long()
    return torch.stack([t, t + d], dim=1)


def pair_batch(pairs: Pairs, rows: Tensor, cfg: Config, *, flip: bool, generator: torch.Generator) -> PairBatch:
    """A batch of random pairs of the clips `rows` (B,): frames, their latents, and the transformed earlier frame.

    All random numbers come from `generator` (on the CPU, so that every device draws the same). With `flip` both frames
    of half of the clips are mirrored.
    """
    device, count = pairs.label.device, len(rows)
    index = pairs.start[rows, None] + draw_pairs(pairs.length[rows], cfg.interval, generator)
    flips = torch.randint(2, (count,), generator=generator) if flip else torch.zeros(count, dtype=torch.int64)
    crops = pairs.frames[index].to(device)
    crops = torch.where(flips[:, None, None, None].bool().to(device), crops.flip(-1), crops)
    frames = pictures(crops, cfg.size)
    if pairs.mean is None:
        latents = pixel_latent(frames.flatten(0, 1)).unflatten(0, (count, 2))
    else:
        latents = sampled(pairs, (flips[:, None], index), generator).to(device)
    theta = warped = None
    if cfg.position_loss:
        theta = random_affine(count, rotation=cfg.rotation, translation=cfg.translation, generator=generator).to(device)
        warped = warp_images(frames[:, 0], theta)
    return PairBatch(frames, latents, warped, theta, pairs.label[rows.to(device)])


def turned(frames: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """For fine-tuning: both frames (B, 2, 1, H, H) of each clip rotated alike about the centre, within +-degrees."""
    theta = random_affine(len(frames), rotation=degrees, translation=0, generator=generator).repeat_interleave(2, 0)
    return warp_images(frames.flatten(0, 1), theta.to(frames.device)).unflatten(0, frames.shape[:2])
