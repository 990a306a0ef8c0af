"""The two networks that Table 10 puts in the place of the local-global transformer: ViT-Base and ResNet18."""

import torch
from torch import Tensor, nn

from mer.models.fdp.config import FEATURES, SIZE, STAGE_SIDES, STAGES, Config, scaled
from mer.models.fdp.feature_transformer import FeatureTransformer, init
from mer.models.fdp.self_attention import SelfAttention
from mer.models.parts.pointwise import StridedPointwise
from mer.models.parts.pooling import max_pool_overlapping


def make_backbone(cfg: Config) -> nn.Module:
    """The network that maps a frame (N, in_channels, 64, 64) to its representation (N, 4096)."""
    return {"local_global": FeatureTransformer, "vit_base": VitBase, "resnet18": ResNet18}[cfg.backbone](cfg)


class VitBase(nn.Module):
    """Vision transformer: patches of 16 x 16, a class token, 12 layers of 768 channels and 12 heads.

    paper: "ViT-Base"; here: queries, keys and values without bias, which its printed size needs.
    """

    PATCH, LAYERS, HEADS, CHANNELS = 16, 12, 12, 768

    def __init__(self, cfg: Config):
        super().__init__()
        channels = scaled(self.CHANNELS, cfg.width, self.HEADS)
        self.shapes = [(channels, SIZE // self.PATCH)]
        self.patches = nn.Conv2d(cfg.in_channels, channels, self.PATCH, self.PATCH)
        self.class_token = nn.Parameter(torch.empty(1, 1, channels))
        self.position = nn.Parameter(torch.empty(1, (SIZE // self.PATCH) ** 2 + 1, channels))
        self.layers = nn.Sequential(*(VitLayer(channels, self.HEADS) for _ in range(self.LAYERS)))
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.project = nn.Linear(channels, FEATURES)
        self.apply(init)
        for token in (self.class_token, self.position):
            nn.init.trunc_normal_(token, std=0.02)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, in_channels, 64, 64) -> (N, 4096), of the class token."""
        return self.with_maps(frames)[0]

    def with_maps(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Frames (N, in_channels, 64, 64) -> (N, 4096), and [the patches of the last layer (N, channels, 4, 4)]."""
        tokens = self.patches(frames).flatten(2).mT
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1) + self.position
        tokens = self.norm(self.layers(tokens))
        return self.project(tokens[:, 0]), [tokens[:, 1:].mT.unflatten(2, (SIZE // self.PATCH, -1))]


class VitLayer(nn.Module):
    """Pre-norm attention and an MLP of four times the channels, tokens (N, P, C) -> (N, P, C)."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.norm_attention = nn.LayerNorm(channels, eps=1e-6)
        self.attention = SelfAttention(channels, heads, qkv_bias=False)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, P, C) -> the same shape."""
        tokens = tokens + self.attention(self.norm_attention(tokens))
        return tokens + self.mlp(self.norm(tokens))


class ResNet18(nn.Module):
    """ResNet with 2, 2, 2, 2 basic blocks of 64, 128, 256, 512 channels."""

    def __init__(self, cfg: Config):
        super().__init__()
        channels = scaled(64, cfg.width, 1)
        self.stem = nn.Sequential(
            nn.Conv2d(cfg.in_channels, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        blocks, self.shapes = [], [(channels, SIZE // 2)]
        for stage in range(STAGES):
            for stride in (1 if stage == 0 else 2, 1):
                out = scaled(64 * 2**stage, cfg.width, 1)
                blocks.append(BasicBlock(channels, out, stride))
                channels = out
            self.shapes.append((channels, STAGE_SIDES[stage]))
        self.blocks = nn.Sequential(*blocks)
        self.project = nn.Linear(channels, FEATURES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, in_channels, 64, 64) -> (N, 4096), of the mean over positions."""
        return self.with_maps(frames)[0]

    def with_maps(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Frames (N, in_channels, 64, 64) -> (N, 4096), and maps (N, c, side, side) of the `shapes` (c, side).

        They are the stem's, of half the frame's side, and those at the end of each stage.
        """
        first = self.stem(frames)
        maps, kept = max_pool_overlapping(first), [first]
        for i, block in enumerate(self.blocks):
            maps = block(maps)
            if i % 2:
                kept.append(maps)
        return self.project(maps.mean((2, 3))), kept


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the identity, or its pointwise convolution where the shape changes."""

    def __init__(self, inputs: int, channels: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.skip = nn.Sequential()
        if stride > 1 or inputs != channels:
            self.skip.extend([StridedPointwise(inputs, channels, stride), nn.BatchNorm2d(channels)])

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)), not negative."""
        return torch.relu(self.body(maps) + self.skip(maps))
