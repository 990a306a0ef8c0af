"""The frozen autoencoder whose latents DiT predicts (MA2MI section 3.2.1, Eq. 7): sd_vae, conv_ae, or none.

sd_vae is the one of DiT (Stable Diffusion's, `stabilityai/sd-vae-ft-ema` or `-mse`), rebuilt here with the tensor names
of diffusers' AutoencoderKL, so that a folder in its layout loads as it is. conv_ae (ours) is trained in the pipeline.
Both speak of pictures (N, 1 or 3, S, S) in [0, 1] (gray is repeated) and of latents of about unit standard deviation.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer.models.ma2mi.config import CHANNELS, LATENT, scaled


class ResBlock(nn.Module):
    """Twice group norm, SiLU and a 3x3 convolution, and the shortcut around them."""

    def __init__(self, inputs: int, outputs: int, groups: int | None = None):
        super().__init__()
        self.norm1 = norm(inputs, groups)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = norm(outputs, groups)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        around = maps if self.conv_shortcut is None else self.conv_shortcut(maps)
        maps = self.conv1(F.silu(self.norm1(maps)))
        return around + self.conv2(F.silu(self.norm2(maps)))


def norm(channels: int, groups: int | None = None) -> nn.GroupNorm:
    """Group norm of 32 groups, or of fewer where a narrow layer would have less than two channels in each."""
    return nn.GroupNorm(groups or math.gcd(32, max(1, channels // 2)), channels, eps=1e-6)


class Autoencoder(nn.Module):
    """What both autoencoders share: `moments` and `pictures` of the subclass, in its own scale and in [-1, 1]."""

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, 1 or 3, S, S) in [0, 1] -> mean and log-variance (N, 4, S/8, S/8) of the scaled latent."""
        mean, logvar = self.moments((2 * pictures - 1).expand(-1, CHANNELS, -1, -1))
        return mean * self.scale, logvar + 2 * self.scale.log()

    def decode(self, latent: Tensor) -> Tensor:
        """Scaled latents (N, 4, s, s) -> pictures (N, 3, 8 s, 8 s) in [0, 1]."""
        return (self.pictures(latent / self.scale) / 2 + 0.5).clamp(0, 1)


class ConvAe(Autoencoder):
    """conv_ae (ours): three levels of stride 2, 64, 128 and 256 channels at width 1, one residual block in each.

    Encoder 3 474 248 parameters, 10.9 GFLOP at 224 pixels; decoder mirrored, 3 702 403. Its latents are scaled to unit
    standard deviation once it is trained (`fit_scale`).
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        widths = tuple(scaled(c, width) for c in (64, 128, 256))
        first, last = widths[0], widths[-1]
        down = [nn.Conv2d(CHANNELS, first, 3, padding=1)]
        for inputs, outputs in zip((first, *widths), widths, strict=False):
            down += [nn.Conv2d(inputs, outputs, 4, 2, 1), ResBlock(outputs, outputs)]
        self.encoder = nn.Sequential(*down, ResBlock(last, last), norm(last), nn.SiLU(),
                                     nn.Conv2d(last, 2 * LATENT, 3, padding=1))
        up = [nn.Conv2d(LATENT, last, 3, padding=1), ResBlock(last, last)]
        for inputs, outputs in zip((last, *widths[::-1]), widths[::-1], strict=False):
            up += [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1), ResBlock(outputs, outputs)]
        self.decoder = nn.Sequential(*up, norm(first), nn.SiLU(), nn.Conv2d(first, CHANNELS, 3, padding=1))
        self.register_buffer("scale", torch.tensor(1.0))

    def moments(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, S, S) in [-1, 1] -> mean and log-variance (N, 4, S/8, S/8), not scaled."""
        mean, logvar = self.encoder(pictures).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def pictures(self, latent: Tensor) -> Tensor:
        """Latents (N, 4, s, s), not scaled -> pictures (N, 3, 8 s, 8 s), about [-1, 1]."""
        return self.decoder(latent)

    def forward(self, frames: Tensor, pairs: None = None) -> dict[str, Tensor]:
        """For its training, frames (B, t, 1 or 3, S, S) in [0, 1]: pixels (B t, 3, S, S) in [-1, 1], mean, logvar."""
        pictures = (2 * frames.flatten(0, 1) - 1).expand(-1, CHANNELS, -1, -1)
        mean, logvar = self.moments(pictures)
        latent = mean + (logvar / 2).exp() * torch.randn_like(mean)
        return {"pixels": self.pictures(latent), "mean": mean, "logvar": logvar}

    @torch.no_grad()
    def fit_scale(self, pictures: Tensor) -> None:
        """Set the factor that gives the latents of training pictures (N, 1 or 3, S, S) unit standard deviation."""
        mean, _ = self.moments((2 * pictures - 1).expand(-1, CHANNELS, -1, -1))
        self.scale.fill_(1 / mean.std().clamp_min(1e-6).item())


def pixel_latent(pictures: Tensor) -> Tensor:
    """autoencoder = none (Table 1, dagger): pictures (N, 1 or 3, S, S) in [0, 1] -> (N, 3, S, S) in [-1, 1]."""
    return (2 * pictures - 1).expand(-1, CHANNELS, -1, -1)
