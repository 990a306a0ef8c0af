"""FlowNet-C's correlation layer as one batched matrix product and a gather (no extension, CPU and GPU)."""

from functools import lru_cache

import torch
from torch import Tensor

REACH, STEP = 20, 2  # displacements -20, -18, ..., 20 pixels of the map in both directions: 21 x 21 = 441 channels
ACROSS = 2 * (REACH // STEP) + 1


def live_range(size: int) -> tuple[int, int]:
    """First and one past the last of the 21 displacements per axis that can stay inside a map of `size` pixels."""
    most = min(REACH, (size - 1) // STEP * STEP) // STEP
    return REACH // STEP - most, REACH // STEP + most + 1


@lru_cache(maxsize=16)
def _tables(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where each output entry (y, x, dy, dx) lies in the flat (H*W, H*W) product, which are outside; the inverse."""
    vertical, horizontal = live_range(height), live_range(width)
    half = REACH // STEP
    dy = (torch.arange(*vertical) - half).mul(STEP)[None, None, :, None]
    dx = (torch.arange(*horizontal) - half).mul(STEP)[None, None, None, :]
    y, x = torch.arange(height)[:, None, None, None], torch.arange(width)[None, :, None, None]
    y2, x2 = torch.broadcast_tensors(y + dy, x + dx)
    outside = ((y2 < 0) | (y2 >= height) | (x2 < 0) | (x2 >= width)).flatten()
    source = ((y * width + x) * height * width + y2 * width + x2).flatten().masked_fill(outside, 0)
    inverse = torch.full((height * width * height * width,), -1)
    inverse[source[~outside]] = torch.nonzero(~outside).flatten()
    return tuple(table.to(device) for table in (source, outside, inverse.clamp(min=0), inverse < 0))


class _Take(torch.autograd.Function):
    """Columns of (N, entries) taken by an index that uses none twice, so that the gradient is a take as well.

    The gradient of `index_select` would add into place, which is slow and unordered on a GPU.
    """

    @staticmethod
    def forward(ctx, entries: Tensor, source: Tensor, outside: Tensor, inverse: Tensor, absent: Tensor) -> Tensor:
        ctx.save_for_backward(inverse, absent)
        return entries.index_select(1, source).masked_fill_(outside, 0)

    @staticmethod
    def backward(ctx, grad: Tensor):
        inverse, absent = ctx.saved_tensors
        return grad.index_select(1, inverse).masked_fill_(absent, 0), None, None, None, None


def correlation(one: Tensor, two: Tensor) -> Tensor:
    """Mean over channels of one(y, x) * two(y + dy, x + dx), zero outside: (N, C, H, W) twice -> (N, D, H, W),
    channels-last in memory.

    Only the displacements that can stay inside the map are returned, dy outermost, each axis rising: 15 x 15 = 225 of
    FlowNet-C's 441 on a 16 x 16 map; the others are zero everywhere (`live_range` places them).
    """
    count, channels, height, width = one.shape
    product = torch.bmm(one.flatten(2).mT, two.flatten(2)) / channels
    entries = _Take.apply(product.flatten(1), *_tables(height, width, one.device))
    return entries.view(count, height, width, -1).permute(0, 3, 1, 2)
