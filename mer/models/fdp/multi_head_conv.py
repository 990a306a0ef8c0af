"""Convolutional parts of FDP's blocks: patch embedding, multi-head convolution of three kinds, and the MLP."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pointwise(nn.Linear):
    """A convolution of 1x1, maps (N, inputs, H, W) -> (N, outputs, H, W), as one product over all positions.

    Maps whose channels are innermost in memory are not copied; on a CPU it is up to three times faster.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W), channels innermost in memory."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class DenseConv(nn.Conv2d):
    """A 3x3 convolution of all channels, maps (N, C, H, W) -> the same shape, no bias.

    On maps of 2x2 four of its nine taps meet a pixel: there it is one product with these alone, which takes half the
    time of a wide convolution's forward and backward pass.
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if maps.shape[2:] != (2, 2):
            return super().forward(maps)
        taps = self.weight.permute(0, 2, 3, 1)  # (outputs, 3, 3, inputs)
        rows = [taps[:, 1 - y : 3 - y, 1 - x : 3 - x].flatten(1) for y in range(2) for x in range(2)]
        made = F.linear(maps.permute(0, 2, 3, 1).flatten(1), torch.cat(rows))
        return made.view(len(maps), 2, 2, -1).permute(0, 3, 1, 2)


class PatchEmbedding(nn.Sequential):
    """(N, inputs, H, W) -> (N, channels, H / stride, W / stride): 2x2 mean with stride 2, pointwise convolution, norm.

    Nothing where neither size nor channels change.
    """

    def __init__(self, inputs: int, channels: int, stride: int):
        parts = [nn.AvgPool2d(2)] if stride == 2 else []
        if stride == 2 or inputs != channels:
            parts += [Pointwise(inputs, channels, bias=False), nn.BatchNorm2d(channels)]
        super().__init__(*parts)


def multi_head_conv(kind: str, channels: int, head_dim: int) -> nn.Module:
    """Maps (N, C, H, W) -> same shape, C a multiple of head_dim. The kinds of Table 10:

    multihead (C*): every head of head_dim channels has its own 3x3 convolution, batch norm and ReLU, then a pointwise
    convolution mixes the heads. Heads are the groups of one convolution. conv_pw (C'): the same with one head of all
    channels. conv (C): a 3x3 convolution alone, as in the released code.
    """
    if kind == "conv":
        return DenseConv(channels)
    groups = channels // head_dim
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False) if kind == "multihead"
        else DenseConv(channels),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        Pointwise(channels, channels, bias=False),
    )


class Mlp(nn.Sequential):
    """Two pointwise convolutions with `ratio` times the channels between them, and a ReLU (released code)."""

    def __init__(self, channels: int, ratio: int):
        super().__init__(Pointwise(channels, ratio * channels), nn.ReLU(), Pointwise(ratio * channels, channels))
