"""Frames of whole clips, their cached latents, and the pairs (I_t, I_{t+d}) that MA2MI is pretrained on.

Whole clips stay in the machine's memory (63 kB a frame of 224 pixels), or where that is too small in their shards
(`pair_reading`); the device is given a batch of them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

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

    def fetch(self, wanted: "WantedPairs") -> "FoundPairs":
        """What a batch is made of."""
        index = self.start[wanted.rows, None] + wanted.at
        return FoundPairs(self.frames[index], *(
            None if kept is None else kept[wanted.flips[:, None], index] for kept in (self.mean, self.logvar)))


@dataclass(frozen=True)
class WantedPairs:
    """Of the clips `rows` (B,) the frames `at` (B, 2), positions in the clip; flips: (B,), 1 = mirrored latents."""

    rows: Tensor
    at: Tensor
    flips: Tensor


@dataclass(frozen=True)
class FoundPairs:
    """Upright frames (B, 2, H, W) uint8; mean, logvar: (B, 2, 4, s, s) float16, None where not needed; on the CPU."""

    frames: Tensor
    mean: Tensor | None
    logvar: Tensor | None


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


def moments(cfg: Config) -> tuple[str, ...]:
    """What is read of data/latents."""
    return {"mean": ("mean",), "sample": ("mean", "logvar")}[cfg.posterior] if cfg.autoencoder != "none" else ()


def sampled(mean: Tensor, logvar: Tensor | None, generator: torch.Generator) -> Tensor:
    """Latents (B, 2, 4, s, s) float32: the mean, or with both a sample."""
    if logvar is None:
        return mean.float()
    noise = torch.randn(mean.shape, generator=generator).to(mean.device)
    return mean.float() + (logvar.float() / 2).exp() * noise


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
    wanted = _draw(pairs, rows, cfg, flip, generator)
    found = pairs.fetch(wanted)
    crops = found.frames.to(device, non_blocking=True)
    crops = torch.where(wanted.flips[:, None, None, None].bool().to(device), crops.flip(-1), crops)
    frames = pictures(crops, cfg.size)
    if found.mean is None:
        latents = pixel_latent(frames.flatten(0, 1)).unflatten(0, (count, 2))
    else:
        latents = sampled(found.mean, found.logvar, generator).to(device)
    theta = warped = None
    if cfg.position_loss:
        theta = random_affine(count, rotation=cfg.rotation, translation=cfg.translation, generator=generator).to(device)
        warped = warp_images(frames[:, 0], theta)
    return PairBatch(frames, latents, warped, theta, pairs.label[rows.to(device)])


def pick(pairs, rows: Tensor, cfg: Config, *, flip: bool, generator: torch.Generator):
    """Streamed pairs with that read which `pair_batch` will draw from a generator in the same state."""
    return pairs.ahead(_draw(pairs, rows, cfg, flip, generator))


def _draw(pairs: Pairs, rows: Tensor, cfg: Config, flip: bool, generator: torch.Generator) -> WantedPairs:
    at = draw_pairs(pairs.length[rows], cfg.interval, generator)
    flips = torch.randint(2, (len(rows),), generator=generator) if flip else torch.zeros(len(rows), dtype=torch.int64)
    return WantedPairs(rows, at, flips)


def turned(frames: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """For fine-tuning: both frames (B, 2, 1, H, H) of each clip rotated alike about the centre, within +-degrees."""
    theta = random_affine(len(frames), rotation=degrees, translation=0, generator=generator).repeat_interleave(2, 0)
    return warp_images(frames.flatten(0, 1), theta.to(frames.device)).unflatten(0, frames.shape[:2])
