"""sd_vae: the autoencoder of DiT (Stable Diffusion's, `stabilityai/sd-vae-ft-ema` or `-mse`), rebuilt for its weights.

Tensors have the names of diffusers' AutoencoderKL, so that a folder in its layout loads as it is.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer.base.errors import MerError
from mer.models.ma2mi.autoencoder import Autoencoder, ResBlock, norm
from mer.models.ma2mi.config import CHANNELS, DOWN, LATENT
from mer.training.checkpoint import read_bin, read_safetensors

SCALE = 0.18215  # Stable Diffusion's factor to unit standard deviation, where config.json has none
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
# names of the attention's tensors in files from before diffusers 0.15
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


class Attention(nn.Module):
    """Self-attention of one head over all positions, residual."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.group_norm = norm(channels, groups)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        tokens = self.group_norm(maps).flatten(2).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        return maps + self.to_out(mixed).transpose(1, 2).unflatten(2, maps.shape[2:])


class Resample(nn.Module):
    """Half the side by a convolution of stride 2 (padded right and below), or twice the side and a convolution."""

    def __init__(self, channels: int, up: bool):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1 if up else 2, 1 if up else 0)
        self.up = up

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H / 2, W / 2), or (N, C, 2 H, 2 W)."""
        return self.conv(F.interpolate(maps, scale_factor=2.0) if self.up else F.pad(maps, (0, 1, 0, 1)))


class _Level(nn.Module):
    """The residual blocks of one resolution and the change to the next; submodules named as in diffusers."""

    def __init__(self, inputs: int, outputs: int, blocks: int, groups: int, up: bool, last: bool):
        super().__init__()
        self.resnets = nn.Sequential(*(ResBlock(inputs if i == 0 else outputs, outputs, groups) for i in range(blocks)))
        if not last:
            self.add_module("upsamplers" if up else "downsamplers", nn.Sequential(Resample(outputs, up)))
        self.last, self.up = last, up

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.resnets(maps)
        return maps if self.last else (self.upsamplers if self.up else self.downsamplers)(maps)


class _Middle(nn.Module):
    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.resnets = nn.ModuleList(ResBlock(channels, channels, groups) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(channels, groups)])

    def forward(self, maps: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](maps)))


class _Encoder(nn.Module):
    def __init__(self, widths: tuple[int, ...], blocks: int, latent: int, groups: int):
        super().__init__()
        sizes, last = (widths[0], *widths), len(widths) - 1
        self.conv_in = nn.Conv2d(CHANNELS, widths[0], 3, padding=1)
        self.down_blocks = nn.Sequential(*(_Level(sizes[i], sizes[i + 1], blocks, groups, False, i == last)
                                           for i in range(len(widths))))
        self.mid_block = _Middle(widths[-1], groups)
        self.conv_norm_out = norm(widths[-1], groups)
        self.conv_out = nn.Conv2d(widths[-1], 2 * latent, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.mid_block(self.down_blocks(self.conv_in(pictures)))
        return self.conv_out(F.silu(self.conv_norm_out(maps)))


class _Decoder(nn.Module):
    def __init__(self, widths: tuple[int, ...], blocks: int, latent: int, groups: int):
        super().__init__()
        sizes, last = (widths[-1], *widths[::-1]), len(widths) - 1
        self.conv_in = nn.Conv2d(latent, widths[-1], 3, padding=1)
        self.mid_block = _Middle(widths[-1], groups)
        self.up_blocks = nn.Sequential(*(_Level(sizes[i], sizes[i + 1], blocks + 1, groups, True, i == last)
                                         for i in range(len(widths))))
        self.conv_norm_out = norm(widths[0], groups)
        self.conv_out = nn.Conv2d(widths[0], CHANNELS, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        maps = self.up_blocks(self.mid_block(self.conv_in(latent)))
        return self.conv_out(F.silu(self.conv_norm_out(maps)))


class SdVae(Autoencoder):
    """Stable Diffusion's autoencoder: 83 653 863 parameters; other sizes than the defaults serve tests."""

    def __init__(self, widths: tuple[int, ...] = (128, 256, 512, 512), blocks: int = 2, latent: int = LATENT,
                 groups: int = 32, scale: float = SCALE):
        super().__init__()
        self.encoder = _Encoder(widths, blocks, latent, groups)
        self.decoder = _Decoder(widths, blocks, latent, groups)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    def moments(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, S, S) in [-1, 1] -> mean and log-variance (N, latent, S/8, S/8), not scaled."""
        mean, logvar = self.quant_conv(self.encoder(pictures)).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def pictures(self, latent: Tensor) -> Tensor:
        """Latents (N, latent, s, s), not scaled -> pictures (N, 3, 8 s, 8 s), about [-1, 1]."""
        return self.decoder(self.post_quant_conv(latent))


def weights_file(folder: str | Path) -> Path:
    """The file of weights in a folder of diffusers' layout.

    Raises:
        MerError: the folder has none; the message says what to put there.
    """
    found = [Path(folder) / name for name in WEIGHTS if (Path(folder) / name).is_file()]
    if not found or not (Path(folder) / "config.json").is_file():
        raise MerError(f"ma2mi.sd_vae: {folder} has no {'config.json' if found else WEIGHTS[0]}; put config.json and "
                       f"{WEIGHTS[0]} (or .bin) of stabilityai/sd-vae-ft-ema there, or choose "
                       "ma2mi.autoencoder = conv_ae")
    return found[0]


def load_sd_vae(folder: str | Path) -> SdVae:
    """The frozen autoencoder of a folder with config.json and diffusion_pytorch_model.safetensors or .bin.

    Raises:
        MerError: a file is missing or damaged, the configuration is another network's, or a tensor does not fit.
    """
    path = weights_file(folder)
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        model = SdVae(tuple(config["block_out_channels"]), config.get("layers_per_block", 2),
                      config.get("latent_channels", LATENT), config.get("norm_num_groups", 32),
                      config.get("scaling_factor", SCALE))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MerError(f"{folder}/config.json: not the configuration of an AutoencoderKL ({error!r})") from None
    down, latent = 2 ** (len(config["block_out_channels"]) - 1), config.get("latent_channels", LATENT)
    if (down, latent, config.get("in_channels", CHANNELS)) != (DOWN, LATENT, CHANNELS):
        raise MerError(f"{folder}/config.json: {latent} latent channels, side / {down}; expected {LATENT} and {DOWN} "
                       "(Stable Diffusion's autoencoder)")
    state = read_safetensors(path) if path.suffix == ".safetensors" else read_bin(path)
    state = {_new_name(key): value.float() for key, value in state.items()}
    for key, own in model.state_dict().items():
        # in files from Stable Diffusion's first release the attention's layers are 1x1 convolutions
        if key in state and state[key].numel() == own.numel() and state[key].squeeze().shape == own.squeeze().shape:
            state[key] = state[key].reshape(own.shape)
        found = tuple(state[key].shape) if key in state else "missing"
        if found != tuple(own.shape):
            raise MerError(f"{path}: tensor {key} is {found}; expected {tuple(own.shape)}")
    extra = sorted(set(state) - set(model.state_dict()))
    if extra:
        raise MerError(f"{path}: tensor {extra[0]} fits nothing; expected diffusers' AutoencoderKL alone")
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def _new_name(key: str) -> str:
    head, _, kind = key.rpartition(".")
    before, _, last = head.rpartition(".")
    return f"{before}.{OLD_NAMES[last]}.{kind}" if last in OLD_NAMES and "attentions" in head else key
