"""Fully-connected convolution (FCC): global circular convolutions along columns and rows (section 3.2.1, Eq. 1-3).

Inside, maps are kept channel-major, (C, H, N, W): there a 1x1 convolution is one matrix product over channels, and both
circular convolutions are one batched product with the circulant matrices of their kernels, without moving data.
"""

import torch
from torch import Tensor, nn


class CircularConv(nn.Module):
    """FCC-V (Eq. 1-2, `axis="v"`) or FCC-H (Eq. 3, `axis="h"`) on channel-major maps (C, H, N, W) of any N.

    Y_i = sum_s U_s (X + P)_{(i+s) mod L} + b along the axis of length L, for every channel with its own kernel U
    (C, L), positional embedding P (C, L) and bias b (C). paper: no bias in Eq. 2; released code: bias; here: bias.
    `norm` puts batch norm between the positional embedding and the convolution (released code, first of two). At first
    P and b are normal with sd `position_sd`, U uniform as a convolution's, times `kernel_init`.
    """

    def __init__(self, channels: int, length: int, axis: str, *, norm: bool = False, position_sd: float = 1.0,
                 kernel_init: float = 1.0):
        super().__init__()
        self.axis = axis
        bound = kernel_init * length**-0.5
        self.kernel = nn.Parameter(torch.empty(channels, length).uniform_(-bound, bound))
        self.position = nn.Parameter(torch.randn(channels, length) * position_sd)
        self.bias = nn.Parameter(torch.randn(channels) * position_sd)
        self.norm = nn.BatchNorm1d(channels) if norm else None
        index = torch.arange(length)
        self.register_buffer("index", ((index - index[:, None]) % length).flatten(), persistent=False)

    def circulant(self) -> Tensor:
        """M (C, L, L) with M[c, i, m] = U[c, (m - i) mod L], so that Y = M X."""
        channels, length = self.kernel.shape
        return self.kernel.index_select(1, self.index).view(channels, length, length)

    def forward(self, maps: Tensor) -> Tensor:
        """Channel-major (C, H, N, W) -> the same shape."""
        matrix = self.circulant()
        position, bias = self.position[:, :, None], self.bias[:, None, None]
        if self.norm is None:
            constant = torch.baddbmm(bias, matrix, position)  # M P + b: the embedding costs no pass over the maps
        else:
            placed = maps + (position[..., None] if self.axis == "v" else position[:, None].transpose(2, 3))
            maps = self.norm(placed.flatten(1)[None])[0].view(maps.shape)
            constant = bias
        if self.axis == "v":
            return torch.baddbmm(constant, matrix, maps.flatten(2)).view(maps.shape)
        return torch.baddbmm(constant.mT, maps.flatten(1, 2), matrix.mT).view(maps.shape)


def _mix(weight: Tensor, bias: Tensor, maps: Tensor) -> Tensor:
    """1x1 convolution of channel-major maps (C, ...) with a weight (D, C) and a summand (D, 1) or (D, positions)."""
    return torch.addmm(bias, weight, maps.flatten(1))


def channel_major(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> contiguous (C, H, N, W)."""
    return maps.permute(1, 2, 0, 3).contiguous()


def batch_major(maps: Tensor) -> Tensor:
    """(C, H, N, W) -> (N, C, H, W), a view."""
    return maps.permute(2, 0, 1, 3)


class FCC(nn.Module):
    """The whole FCC, (N, C, H, W) -> the same: FCC-H after FCC-V and FCC-V after FCC-H, concatenated and fused.

    paper: "the convolution as a preprocessing" and a "vanilla convolution", kernels lost; released code: neither;
    here: 1x1 convolutions, C -> C before and 2C -> C after. `first`: how the circular convolutions start.
    """

    def __init__(self, channels: int, size: int, *, norm: bool = False, **first: float):
        super().__init__()
        self.pre = nn.Conv2d(channels, channels, 1)
        self.v_first = CircularConv(channels, size, "v", norm=norm, **first)
        self.h_second = CircularConv(channels, size, "h", **first)
        self.h_first = CircularConv(channels, size, "h", norm=norm, **first)
        self.v_second = CircularConv(channels, size, "v", **first)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape, a view of channel-major maps."""
        maps = channel_major(maps)
        prepared = _mix(self.pre.weight.flatten(1), self.pre.bias[:, None], maps).view(maps.shape)
        one = self.h_second(self.v_first(prepared))
        two = self.v_second(self.h_first(prepared))
        # The 1x1 convolution of the concatenation [one; two] without making the concatenation.
        weight_one, weight_two = self.fuse.weight.flatten(1).chunk(2, dim=1)
        fused = _mix(weight_two, _mix(weight_one, self.fuse.bias[:, None], one), two)
        return batch_major(fused.view(maps.shape))


class OneWayFCC(nn.Module):
    """FCC-V or FCC-H in place of the whole FCC (Table XI): the preprocessing stays, nothing is fused."""

    def __init__(self, channels: int, size: int, axis: str, *, norm: bool = False, **first: float):
        super().__init__()
        self.pre = nn.Conv2d(channels, channels, 1)
        self.operator = CircularConv(channels, size, axis, norm=norm, **first)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape, a view of channel-major maps."""
        maps = channel_major(maps)
        prepared = _mix(self.pre.weight.flatten(1), self.pre.bias[:, None], maps).view(maps.shape)
        return batch_major(self.operator(prepared))


class ReleasedFCC(nn.Module):
    """FCC as released: no 1x1 convolutions, one half of the channels goes V then H, the other H then V, batch norm.

    paper: full channels in both paths; released code: this, with kernels of 32 of which 16 are used; here: the 16 only,
    and batch norm only with `norm`.
    """

    def __init__(self, channels: int, size: int, *, norm: bool = False, **first: float):
        super().__init__()
        half = channels // 2
        self.v_first = CircularConv(half, size, "v", norm=norm, **first)
        self.h_second = CircularConv(half, size, "h", **first)
        self.h_first = CircularConv(half, size, "h", norm=norm, **first)
        self.v_second = CircularConv(half, size, "v", **first)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W), C even -> the same shape, a view of channel-major maps."""
        one, two = channel_major(maps).chunk(2)
        return batch_major(torch.cat([self.h_second(self.v_first(one)), self.v_second(self.h_first(two))]))
