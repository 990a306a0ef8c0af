"""The strided 1x1 convolution of a ResNet's shortcuts."""

import torch.nn.functional as F
from torch import Tensor, nn


class StridedPointwise(nn.Conv2d):
    """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)): a 1x1 convolution with a stride, no bias.

    The positions are picked first and convolved at stride 1, which is the same sum. oneDNN's own strided version
    writes past its buffer in the backward pass when maps lie channels-last and have fewer channels than a vector
    register holds, as ours do at small widths: wrong weights, a hang or a crash (oneDNN issue 6035).
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))."""
        down, across = self.stride
        return F.conv2d(maps[:, :, ::down, ::across], self.weight)
