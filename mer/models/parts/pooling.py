"""Max-pooling whose gradient is the same at every run, on every device.

torch's own writes gradients of one input in any order where its windows may overlap, and its unpooling refuses
deterministic mode on CUDA. Windows that do not overlap are a reshape.
"""

import functools

import torch
from torch import Tensor


def max_pool(maps: Tensor, size: int) -> Tensor:
    """Maximum over windows of size x size with stride `size` of maps (N, C, H, W); what fits no window is dropped."""
    for dim in (2, 3):
        whole = maps.narrow(dim, 0, maps.shape[dim] // size * size)
        maps = functools.reduce(torch.maximum, whole.unflatten(dim, (-1, size)).unbind(dim + 1))
    return maps


def max_pool_with_places(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima (N, C, h, w) of 2x2 windows and a mask (N, C, h, w, 4) of where in its window each was found (once)."""
    flat = maps.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).transpose(3, 4).flatten(4)
    places = flat.argmax(-1, keepdim=True) == torch.arange(4, device=maps.device)
    return (flat * places).sum(-1), places


def max_unpool(maps: Tensor, places: Tensor) -> Tensor:
    """Maps (N, C, h, w) put back to their places in 2x2 windows, zero elsewhere: (N, C, 2h, 2w)."""
    spread = (maps.unsqueeze(-1) * places).unflatten(-1, (2, 2))
    return spread.transpose(3, 4).flatten(4).flatten(2, 3)


def max_pool_overlapping(maps: Tensor) -> Tensor:
    """3x3, stride 2, padding 1 (the stem of a ResNet) of maps (N, C, H, W) with even sides: (N, C, H / 2, W / 2)."""
    for dim in (2, 3):
        even, odd = maps.unflatten(dim, (-1, 2)).unbind(dim + 1)
        before = torch.cat([odd.narrow(dim, 0, 1), odd.narrow(dim, 0, odd.shape[dim] - 1)], dim)
        maps = torch.maximum(torch.maximum(even, odd), before)  # at the border `before` repeats `odd`, which is there
    return maps
