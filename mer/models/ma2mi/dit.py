"""DiT (Peebles and Xie 2023) as MA2MI uses it: one deterministic pass from the earlier latent and c to the later one.

No noise, no timestep, no classes: the condition vector c takes the place of their sum (MA2MI section 3.2.1, Eq. 8).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and MLP, each in a residual branch whose shift, scale and gate come from the condition (adaLN-Zero)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor, modulation: Tensor) -> Tensor:
        """tokens (B, N, D); modulation (B, 6, D): shift, scale and gate of attention, then of the MLP."""
        b1, s1, g1, b2, s2, g2 = modulation.unsqueeze(2).unbind(1)
        tokens = tokens + g1 * self._attention(modulate(self.norm(tokens), b1, s1))
        hidden = F.gelu(self.fc1(modulate(self.norm(tokens), b2, s2)), approximate="tanh")
        return tokens + g2 * self.fc2(hidden)

    def _attention(self, tokens: Tensor) -> Tensor:
        qkv = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, heads, N, D / heads)
        return self.proj(F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2))


def modulate(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """tokens (B, N, D) times (1 + scale) plus shift, each (B, 1, D)."""
    return torch.addcmul(shift, tokens, 1 + scale)


class DiT(nn.Module):
    """z_t (B, channels, side, side) and c (B, condition) -> estimate of z_{t+d}, of z_t's shape.

    DiT-B is width 768, depth 12, heads 12. Zero at initialisation (`residual`: z_t at initialisation), because
    modulation and output layers start at zero. With 4 x 28 x 28, patch 2, c of 512: 129 140 752 parameters.
    """

    def __init__(self, channels: int, side: int, patch: int, condition: int, width: int = 768, depth: int = 12,
                 heads: int = 12, residual: bool = False):
        super().__init__()
        self.patch, self.depth, self.residual = patch, depth, residual
        pixels = channels * patch * patch
        self.embed = nn.Linear(pixels, width)  # a convolution of stride `patch`, on patches laid out as vectors
        self.condition = nn.Linear(condition, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        # The layers of all blocks and of the output that turn the condition into modulation, as one product.
        self.modulation = nn.Linear(width, (6 * depth + 2) * width)
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.output = nn.Linear(width, pixels)
        self.register_buffer("positions", sincos_positions(side // patch, width), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for layer in (self.modulation, self.output):
            nn.init.zeros_(layer.weight)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Latent (B, C, S, S) and condition (B, D) -> the estimated latent (B, C, S, S)."""
        side = latent.shape[-1] // self.patch
        cut = latent.unflatten(3, (side, self.patch)).unflatten(2, (side, self.patch))  # (B, C, h, p, w, p)
        tokens = self.embed(cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)) + self.positions
        modulation = self.modulation(F.silu(self.condition(condition))).unflatten(1, (6 * self.depth + 2, -1))
        for i, block in enumerate(self.blocks):
            tokens = block(tokens, modulation[:, 6 * i : 6 * i + 6])
        shift, scale = modulation[:, -2:].unsqueeze(2).unbind(1)
        pixels = self.output(modulate(self.norm(tokens), shift, scale))
        patches = pixels.unflatten(2, (self.patch, self.patch, -1)).unflatten(1, (side, side))  # (B, h, w, p, p, C)
        estimate = patches.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        return latent + estimate if self.residual else estimate


def sincos_positions(side: int, width: int) -> Tensor:
    """Fixed embedding (side * side, width) of the patches in row order: sines and cosines of column, then of row."""
    rates = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * rates
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, width / 2)
    column = axis[None].expand(side, side, -1)
    row = axis[:, None].expand(side, side, -1)
    return torch.cat([column, row], dim=-1).flatten(0, 1).float()
