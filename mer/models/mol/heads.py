"""The heads of MOL that read the local-global features: micro-expression class and landmarks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer.labels.points68 import POINTS
from mer.models.mol.config import MAP, scaled

MAPS_3D, HIDDEN = 32, 256


class MerHead(nn.Module):
    """3D convolution, 3D max-pooling and two fully-connected layers (section 3.3.1, Fig. 2).

    (B, L, C, 16, 16), the L maps in their order in time -> logits (B, n_classes). paper: two frames go in "without
    changing the network structure", which kernels of 5 and 2 in time forbid; here: they shrink to what L allows, and
    fc1 is sized from L.
    """

    def __init__(self, channels: int, length: int, n_classes: int, dropout: float = 0.5):
        super().__init__()
        kernel = min(5, length)
        steps = length - kernel + 1
        self.pool = min(2, steps)
        self.conv = nn.Conv3d(channels, MAPS_3D, (kernel, 2, 2), stride=(1, 2, 2))
        self.fc1 = nn.Linear(MAPS_3D * (steps // self.pool) * (MAP // 4) ** 2, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, n_classes)
        self.dropout = dropout

    def forward(self, maps: Tensor) -> Tensor:
        """(B, L, C, 16, 16) -> logits (B, n_classes)."""
        maps = max_pool(self.conv(maps.transpose(1, 2)), self.pool)
        hidden = F.relu(self.fc1(F.dropout(maps.flatten(1), self.dropout, self.training)))
        return self.fc2(F.dropout(hidden, self.dropout, self.training))


def max_pool(maps: Tensor, steps: int) -> Tensor:
    """Maximum over windows of (steps, 2, 2) of (B, C, T, H, W), steps 1 or 2; an incomplete last window is dropped.

    Written as maxima of halves, because the gradient of max_pool3d has no deterministic form on CUDA.
    """
    if steps == 2:
        maps = _halve(maps[:, :, : maps.shape[2] // 2 * 2], 2)
    return _halve(_halve(maps, 3), 4)


def _halve(maps: Tensor, dim: int) -> Tensor:
    return torch.maximum(*maps.unflatten(dim, (-1, 2)).unbind(dim + 1))


class LandmarkHead(nn.Module):
    """Maps (N, C, 16, 16) of the second frame of each pair -> landmarks (N, 68, 2), (x, y) in pixels of the crop.

    One convolution and two fully-connected layers (section 3.3.3); sizes and ReLUs are the released code's.
    """

    def __init__(self, channels: int, width: float = 1.0):
        super().__init__()
        maps, hidden = scaled(32, width), scaled(512, width)
        self.conv = nn.Conv2d(channels, maps, 3)
        self.fc1 = nn.Linear(maps * (MAP - 2) ** 2, hidden)
        self.fc2 = nn.Linear(hidden, 2 * POINTS)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, 16, 16) -> (N, 68, 2), pixels of the crop."""
        hidden = F.relu(self.fc1(F.relu(self.conv(maps)).flatten(1)))
        return self.fc2(hidden).view(-1, POINTS, 2)
