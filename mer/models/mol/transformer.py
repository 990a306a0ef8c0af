"""The vanilla transformer that Table XI puts in the place of FCC."""

import torch
from torch import Tensor, nn

from mer.models.mol.config import TRANSFORMER_HEADS


class TransformerMixer(nn.Module):
    """One pre-norm encoder layer over the H*W positions of maps (N, C, H, W): learned embedding, 4 heads, MLP of 4C.

    paper: "vanilla transformer", nothing else; here: tokens are positions, so its size is comparable to FCC's.
    """

    def __init__(self, channels: int, positions: int, *, position_sd: float = 1.0):
        super().__init__()
        self.position = nn.Parameter(torch.randn(positions, channels) * position_sd)
        self.layer = nn.TransformerEncoderLayer(
            channels, TRANSFORMER_HEADS, 4 * channels, dropout=0.0, batch_first=True, norm_first=True
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape, H * W the number of positions."""
        tokens = maps.flatten(2).mT + self.position
        return self.layer(tokens).mT.reshape(maps.shape)
