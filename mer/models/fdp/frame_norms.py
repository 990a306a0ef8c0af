"""Batch norm of a network that the released code runs frame by frame, for all frames of a batch at once."""

import torch
from torch import Tensor, nn


class _FrameByFrame:
    """In training each of `frames` equal parts of a batch, one frame number each, has its own batch statistics.

    The running ones are updated by one part after the other, so that all is as in so many passes.
    """

    frames = 1

    def forward(self, maps: Tensor) -> Tensor:
        if not self.training:
            return super().forward(maps)
        return torch.cat([super(_FrameByFrame, self).forward(part) for part in maps.chunk(self.frames)])


class _Norm1d(_FrameByFrame, nn.BatchNorm1d):
    pass


class _Norm2d(_FrameByFrame, nn.BatchNorm2d):
    pass


def norm_frame_by_frame(network: nn.Module, frames: int) -> None:
    """Let every batch norm of a fresh `network` see `frames` parts of its batch apart, which come one after another."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                made = (_Norm2d if isinstance(child, nn.BatchNorm2d) else _Norm1d)(child.num_features)
                made.frames = frames
                setattr(module, name, made)
