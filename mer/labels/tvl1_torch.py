"""TV-L1 flow of many pairs at once in torch, for a GPU: OpenCV's algorithm, not its bits (mean EPE at most 0.02 px).

Sums in another order end in other last bits, and 600 iterations with thresholds make of these a hundredth of a pixel.
On a CPU, tvl1.py is both exact and thirty times faster.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from mer.labels.tvl1 import EPSILON, INNER, LAMBDA, MEDIAN, OUTER, SCALES, SMALLEST, STEP, TAU, THETA, TINY, WARPS


@torch.no_grad()
def flow(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Flow from `first` to `second`, both (N, H, W) uint8 on one device: (N, 2, H, W) float32 pixels."""
    pyramid = [torch.stack([first, second], 1).float()]
    while len(pyramid) < SCALES:
        side = [round(n * STEP) for n in pyramid[-1].shape[-2:]]
        if min(side) < SMALLEST:
            break
        pyramid.append(_resized(pyramid[-1], side, (1 / STEP, 1 / STEP)))
    u = torch.zeros_like(pyramid[-1])
    for scale in range(len(pyramid) - 1, -1, -1):
        u = _at_scale(pyramid[scale], u)
        if scale:
            side = pyramid[scale - 1].shape[-2:]
            u = _resized(u, side, [has / wanted for has, wanted in zip(u.shape[-2:], side, strict=True)]) / STEP
    return u


def _resized(images: torch.Tensor, side: Sequence[int], factors: Sequence[float]) -> torch.Tensor:
    """cv2.resize with INTER_LINEAR to `side`: pixel i is read at (i + 1/2) * factor - 1/2, at most the last."""
    for dim, count, factor in zip((-2, -1), side, factors, strict=True):
        at = ((torch.arange(count, device=images.device, dtype=torch.float64) + 0.5) * factor - 0.5)
        at = at.clamp(0, images.shape[dim] - 1).to(images.dtype)
        low = at.long()
        high = (low + 1).clamp(max=images.shape[dim] - 1)
        share = at - low
        if dim == -2:
            share = share[:, None]
        images = images.index_select(dim, low) * (1 - share) + images.index_select(dim, high) * share
    return images


def _at_scale(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    first, second = images[:, :1], images[:, 1:]
    height, width = images.shape[-2:]
    x = torch.arange(width, device=u.device, dtype=u.dtype)
    y = torch.arange(height, device=u.device, dtype=u.dtype)[:, None]
    stack = torch.cat([second, *_centred(second)], 1)
    p = u.new_zeros(len(u), 2, 2, height, width)  # dual variables: of which component, along which axis
    enough, l_t, taut = EPSILON**2 * height * width, LAMBDA * THETA, TAU / THETA
    for _ in range(WARPS):
        warped, wx, wy = _warped(stack, x + u[:, 0], y + u[:, 1]).split(1, 1)
        slope = torch.cat([wx, wy], 1)
        grad = slope.square().sum(1, keepdim=True)
        rho_c = warped - (slope * u).sum(1, keepdim=True) - first
        limit, flat = l_t * grad, grad <= float(TINY)
        active = torch.ones(len(u), 1, 1, 1, dtype=torch.bool, device=u.device)
        for _ in range(OUTER):
            u = torch.where(active, _median(u), u)
            for _ in range(INNER):
                rho = rho_c + (slope * u).sum(1, keepdim=True)
                step = torch.where(flat, 0, -rho / grad)
                step = torch.where(rho < -limit, l_t, torch.where(rho > limit, -l_t, step))
                new = u + step * slope + THETA * _divergence(p)
                change = (new - u).square().sum((1, 2, 3), keepdim=True)
                u = torch.where(active, new, u)
                along = _forward(u)
                norm = 1 + taut * torch.hypot(along[:, :, :1], along[:, :, 1:])
                p = torch.where(active[:, None], (p + taut * along) / norm, p)
                active = active & (change > enough)
            if not bool(active.any()):
                break
    return u


def _centred(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    wide = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    return (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _forward(u: torch.Tensor) -> torch.Tensor:
    """(N, 2, H, W) -> (N, 2, 2, H, W): differences to the next column and row, 0 at the last."""
    dx = functional.pad(u[..., 1:] - u[..., :-1], (0, 1))
    dy = functional.pad(u[..., 1:, :] - u[..., :-1, :], (0, 0, 0, 1))
    return torch.stack([dx, dy], 2)


def _divergence(p: torch.Tensor) -> torch.Tensor:
    along_x, along_y = p[:, :, 0], p[:, :, 1]
    above = functional.pad(along_y[..., :-1, :], (0, 0, 1, 0))
    out = (along_x - functional.pad(along_x[..., :-1], (1, 0))) + (along_y - above)
    out[..., 0] = (along_x[..., 0] + along_y[..., 0]) - above[..., 0]  # OpenCV's order there
    return out


def _warped(images: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) read at (N, H, W) coordinates in pixels, 0 outside: cv2.remap with INTER_CUBIC."""
    height, width = images.shape[-2:]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return functional.grid_sample(images, grid, mode="bicubic", padding_mode="zeros", align_corners=False)


def _median(u: torch.Tensor) -> torch.Tensor:
    edge = MEDIAN // 2
    wide = functional.pad(u, (edge,) * 4, mode="replicate")
    windows = wide.unfold(2, MEDIAN, 1).unfold(3, MEDIAN, 1)
    return windows.reshape(*u.shape, MEDIAN * MEDIAN).median(-1).values
