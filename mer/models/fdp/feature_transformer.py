"""The local-global feature-aware transformer: one frame to its representation F_k (FDP, section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer.models.fdp.config import (
    FEATURES,
    SIZE,
    STAGE_SIDES,
    STAGES,
    STEM,
    Config,
    global_channels,
    local_channels,
    scaled,
)
from mer.models.fdp.multi_head_conv import Mlp, PatchEmbedding, multi_head_conv
from mer.models.fdp.self_attention import SelfAttention


class FeatureTransformer(nn.Module):
    """(N, in_channels, 64, 64) -> (N, 4096): stem, four stages of local and global blocks, batch norm, mean, layer.

    paper: "a vanilla convolutional layer" comes first; released code: four convolutions; here: these four, which the
    published sizes need. A stage without any block is its patch embedding alone (Table 9, "w/o L&G").
    """

    def __init__(self, cfg: Config):
        super().__init__()
        inputs, self.stem = cfg.in_channels, nn.Sequential()
        for out, stride in zip(STEM, (2, 1, 1, 2), strict=True):
            out = scaled(out, cfg.width, cfg.head_dim)
            self.stem.extend([nn.Conv2d(inputs, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()])
            inputs = out
        depth = sum(cfg.n_local) + sum(cfg.n_global)
        rates = iter(cfg.drop_path * i / max(depth - 1, 1) for i in range(depth))
        self.shapes = [(self.stem[0].out_channels, SIZE // 2)]
        self.blocks, self.last = nn.Sequential(), []  # last: the positions of the stages' last blocks
        for stage in range(STAGES):
            stride = 1 if stage == 0 else 2
            for _ in range(cfg.n_local[stage]):
                block = LocalBlock(cfg, inputs, local_channels(cfg, stage), stride, next(rates))
                inputs, stride = block.channels, 1
                self.blocks.append(block)
            for _ in range(cfg.n_global[stage]):
                block = GlobalBlock(cfg, inputs, stage, stride, next(rates))
                inputs, stride = block.channels, 1
                self.blocks.append(block)
            if cfg.n_local[stage] == cfg.n_global[stage] == 0:
                self.blocks.append(PatchEmbedding(inputs, local_channels(cfg, stage), stride))
                inputs = local_channels(cfg, stage)
            self.shapes.append((inputs, STAGE_SIDES[stage]))
            self.last.append(len(self.blocks) - 1)
        self.norm = nn.BatchNorm2d(inputs)
        self.project = nn.Linear(inputs, FEATURES)
        self.apply(init)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, in_channels, 64, 64) -> (N, 4096)."""
        return self.with_maps(frames)[0]

    def with_maps(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Frames (N, in_channels, 64, 64) -> (N, 4096), and maps (N, c, side, side) of the `shapes` (c, side).

        They are the stem's first, of half the frame's side, and those at the end of each stage.
        """
        first = self.stem[:3](frames)
        maps, kept = self.stem[3:](first), [first]
        for i, block in enumerate(self.blocks):
            maps = block(maps)
            if i in self.last:
                kept.append(maps)
        kept[-1] = self.norm(maps)
        return self.project(kept[-1].mean((2, 3))), kept


class LocalBlock(nn.Module):
    """Local relational aggregator (section 3.2.1): multi-head convolution and MLP, a residual around each."""

    def __init__(self, cfg: Config, inputs: int, channels: int, stride: int, drop: float):
        super().__init__()
        self.channels, self.drop = channels, drop
        self.embed = PatchEmbedding(inputs, channels, stride)
        self.conv = multi_head_conv(cfg.mhc, channels, cfg.head_dim)
        self.norm = nn.BatchNorm2d(channels)
        self.mlp = Mlp(channels, 3)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, channels, H / stride, W / stride)."""
        maps = self.embed(maps)
        maps = maps + drop_path(self.conv(maps), self.drop, self.training)
        return maps + drop_path(self.mlp(self.norm(maps)), self.drop, self.training)


class GlobalBlock(nn.Module):
    """Global relational aggregator (section 3.2.2): attention over all positions, multi-head convolution of a narrower
    embedding of its result, and an MLP of both, a residual around each of the three."""

    def __init__(self, cfg: Config, inputs: int, stage: int, stride: int, drop: float):
        super().__init__()
        attention, conv = global_channels(cfg, stage)
        self.channels, self.drop = attention + conv, drop
        self.embed = PatchEmbedding(inputs, attention, stride)
        self.norm_attention = nn.BatchNorm2d(attention)
        self.attention = SelfAttention(attention, attention // cfg.head_dim, sr_ratio=cfg.sr_ratios[stage])
        self.embed_conv = PatchEmbedding(attention, conv, 1)
        self.conv = multi_head_conv(cfg.mhc, conv, cfg.head_dim)
        self.norm = nn.BatchNorm2d(self.channels)
        self.mlp = Mlp(self.channels, 2)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, channels, H / stride, W / stride)."""
        maps = self.embed(maps)
        tokens = self.norm_attention(maps).flatten(2).mT
        attended = self.attention(tokens).mT.reshape(maps.shape)
        # released code: stochastic depth weaker here, in the ratio of the two parts' channels
        maps = maps + drop_path(attended, 0.75 * self.drop, self.training)
        narrow = self.embed_conv(maps)
        narrow = narrow + drop_path(self.conv(narrow), 0.25 * self.drop, self.training)
        both = torch.cat([maps, narrow], dim=1)
        return both + drop_path(self.mlp(self.norm(both)), self.drop, self.training)


def drop_path(maps: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth: in training, each frame's maps (N, C, H, W) are zero with probability `rate`, else scaled up.

    That is dropout of a factor (N, 1, 1, 1) of ones. Nothing of the paper; released code.
    """
    if not training or rate == 0:
        return maps
    return maps * F.dropout(maps.new_ones(len(maps), 1, 1, 1), rate)


def init(module: nn.Module) -> None:
    """Weights of the released code: normal, sd 0.02 (cut at 2), biases zero; batch norm 1 and 0, as torch has it."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
