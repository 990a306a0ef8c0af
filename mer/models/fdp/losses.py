"""Losses and auxiliary errors of FDP (section 3, Eq. 5-8), and the dynamic images that are their targets."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from mer.labels.dynamic_image import coefficients
from mer.models.fdp.config import Config
from mer.training import batches
from mer.training.batches import Batch, Clips

STILL = 1e-6  # range of the weighted sum, in units of the gray scale, below which nothing has moved


def dynamic_image(frames: Tensor, kind: str = "exact", stretch: str = "minmax") -> Tensor:
    """Dynamic images (B, 1, H, W) of frames (B, t, 1, H, W) in [0, 1]: each stretched to [0, 1], a still clip's is 0.5.

    The same as `mer.labels.dynamic_image`, on the device and of the very frames that the network is fed, after crop and
    flip. The weights sum to 0, so the first frame may be taken from all; a still clip is then exactly 0 in any
    precision, and no rounding is stretched to a picture.
    """
    weights = _weights(frames.shape[1], kind, frames.dtype, frames.device)
    raw = ((frames - frames[:, :1]) * weights[:, None, None, None]).sum(1)
    low, high = raw.amin((1, 2, 3), keepdim=True), raw.amax((1, 2, 3), keepdim=True)
    if stretch == "symmetric":
        high = torch.maximum(-low, high)
        low = -high
    spread = high - low
    return torch.where(spread < STILL, 0.5, (raw - low) / spread.clamp_min(STILL))


@functools.lru_cache(maxsize=16)
def _weights(t: int, kind: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(t,), made once: a step that is captured on a GPU can ask nothing of the CPU."""
    return torch.tensor(coefficients(t, kind).tolist(), dtype=dtype, device=device)


def target(batch: Batch, cfg: Config) -> Tensor:
    """The dynamic images (B, 1, C, C) of a batch that a network of the configuration `cfg` is to construct."""
    return dynamic_image(batch.frames, cfg.coeffs, cfg.stretch)


def rank_loss(scores: Tensor, slope: float = 1.0) -> Tensor:
    """L_Rank (Eq. 5) of scores (B, t): |K(k) - S(F_k)| with K(k) = slope k, summed over frames, mean over clips.

    paper: K is "direct proportionality with a positive parameter", no number; here: 1 by default.
    """
    wanted = slope * torch.arange(scores.shape[1], dtype=scores.dtype, device=scores.device)
    return (wanted - scores).abs().sum(1).mean()


def fdp_losses(outputs: dict[str, Tensor], batch: Batch, cfg: Config) -> dict[str, Tensor]:
    """The losses of the tasks in `outputs` (of FDP.forward), by the names `mer`, `dynamic` and `rank` (Eq. 5-7)."""
    losses = {}
    if "logits" in outputs:
        losses["mer"] = F.cross_entropy(outputs["logits"], batch.label)
    if "dynamic" in outputs:
        losses["dynamic"] = F.mse_loss(outputs["dynamic"], target(batch, cfg))
    if "scores" in outputs:
        losses["rank"] = rank_loss(outputs["scores"], cfg.rank_slope)
    return losses


@torch.no_grad()
def mean_dynamic_image(clips: Clips, rows: Tensor, *, crop: int, cfg: Config, batch: int = 64) -> Tensor:
    """The mean (1, crop, crop) of the dynamic images of the clips `rows` (training clips), on their device.

    Sampled and cropped as in tests. It is the constant that the network's estimate is compared with.
    """
    total = sum(target(batches.test_batch(clips, part, crop=crop), cfg).double().sum(0) for part in rows.split(batch))
    return (total / len(rows)).float()


@torch.no_grad()
def fdp_errors(outputs: dict[str, Tensor], batch: Batch, cfg: Config, mean_image: Tensor) -> dict[str, Tensor]:
    """Auxiliary errors per clip (B,) of the tasks in `outputs`, beside the constant that makes them readable.

    mse, mse_mean_image: squared error of the estimated dynamic image (in [0, 1]; Table 14 prints 1000 times its mean)
    and of `mean_image` (1, H, W). mse_pattern, mse_pattern_mean_image: the same after each picture's own mean is taken
    out (ours): the min-max stretch gives every dynamic image a gray level of its own, which says nothing of motion.
    dynamic_corr, dynamic_corr_mean_image: their correlation with the true one, over the pixels (ours).
    rank_correlation: Spearman's, of the rank scores with time.
    """
    errors = {}
    if "dynamic" in outputs:
        truth = target(batch, cfg)
        for name, image in (("", outputs["dynamic"]), ("_mean_image", mean_image.to(truth))):
            difference = image - truth
            errors[f"mse{name}"] = difference.square().mean((1, 2, 3))
            errors[f"mse_pattern{name}"] = difference.var((1, 2, 3), correction=0)
            errors[f"dynamic_corr{name}"] = pattern_correlation(image, truth)
    if "scores" in outputs:
        errors["rank_correlation"] = rank_correlation(outputs["scores"])
    return errors


def pattern_correlation(image: Tensor, truth: Tensor) -> Tensor:
    """Pearson's correlation (B,) over the pixels of `image` ((B,) 1, H, W) with `truth` (B, 1, H, W); 0 without any."""
    one, other = ((picture - picture.mean((-3, -2, -1), keepdim=True)).double() for picture in (image, truth))
    size = one.square().sum((-3, -2, -1)) * other.square().sum((-3, -2, -1))
    return (one * other).sum((-3, -2, -1)) / size.sqrt().clamp_min(1e-12)


def rank_correlation(scores: Tensor) -> Tensor:
    """Spearman's correlation (B,) of scores (B, t) with 0..t-1, ties at their mean rank; 0 for constant scores."""
    one, other = scores.unsqueeze(2), scores.unsqueeze(1)
    ranks = (other < one).sum(2) + 0.5 * (other == one).sum(2)
    ranks = (ranks - ranks.mean(1, keepdim=True)).double()
    order = torch.arange(scores.shape[1], dtype=ranks.dtype, device=ranks.device)
    order = order - order.mean()
    return (ranks @ order) / (ranks.norm(dim=1) * order.norm()).clamp_min(1e-12)
