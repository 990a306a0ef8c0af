"""OFF-ApexNet: two small convolution streams on the horizontal and the vertical flow from onset to apex."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer.base import knobs
from mer.models.offapexnet.config import FILTERS, HIDDEN, Config, validate
from mer.models.parts.pooling import max_pool


class Stream(nn.Module):
    """Two convolutions, each followed by a ReLU and a maximum over 2 x 2: (N, channels, S, S) -> (N, 16 (S / 4)^2)."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        first, second = FILTERS
        self.one = nn.Conv2d(channels, first, kernel, padding=kernel // 2)
        self.two = nn.Conv2d(first, second, kernel, padding=kernel // 2)

    def forward(self, maps: Tensor) -> Tensor:
        """What the stream makes of maps (N, channels, S, S), S a multiple of 4."""
        maps = max_pool(functional.relu(self.one(maps)), 2)
        return max_pool(functional.relu(self.two(maps)), 2).flatten(1)


class OffApexNet(nn.Module):
    """The network of one configuration.

    paper: two streams with kernels of 5, 2 hidden layers: 2,664,475 parameters with three classes. port: one stream for
    both components with kernels of 3, one hidden layer: 807,909.

    Raises MerError when `cfg` is not valid.
    """

    HEAD = "head"  # the layer whose rows are classes

    def __init__(self, cfg: Config, n_classes: int):
        super().__init__()
        knobs.refuse(validate(cfg))
        self.cfg = cfg
        paper = cfg.form == "paper"
        self.streams = nn.ModuleList([Stream(1, 5), Stream(1, 5)] if paper else [Stream(2, 3)])
        features = len(self.streams) * FILTERS[1] * (cfg.side // 4) ** 2
        self.hidden = nn.ModuleList([nn.Linear(size, HIDDEN) for size in ([features, HIDDEN] if paper else [features])])
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(HIDDEN, n_classes)
        self.register_buffer("flow_sd", torch.tensor(1.0))

    def fit_input(self, sd: float) -> None:
        """Set the root mean square of the training clips' flow maps, pixels: what one unit of the input is (ours)."""
        self.flow_sd.fill_(max(sd, 1e-6))

    def maps(self, flow: Tensor) -> Tensor:
        """The flow (B, 2, C, C), pixels, as what the streams see, before the division: (B, 2, side, side)."""
        return functional.interpolate(flow, size=(self.cfg.side, self.cfg.side), mode="area")

    def forward(self, flow: Tensor) -> dict[str, Tensor]:
        """Class scores of flow fields (B, 2, C, C) from onset to apex, pixels of the crop: logits (B, classes)."""
        maps = self.maps(flow) / self.flow_sd
        parts = maps.split(maps.shape[1] // len(self.streams), dim=1)
        seen = torch.cat([stream(part) for stream, part in zip(self.streams, parts, strict=True)], dim=1)
        for layer in self.hidden:
            seen = functional.relu(layer(self.dropout(seen)))
        return {"logits": self.head(self.dropout(seen))}
