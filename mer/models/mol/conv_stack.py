"""The convolutional stack that turns one frame into its rich feature F^(r) (Table I)."""

import torch.nn.functional as F
from torch import Tensor, nn

from mer.models.mol.config import scaled

# (channels out, kernel, stride, padding). paper: kernels lost, the rest printed; released code: kernels 4, 3, 2, 1.
LAYERS = ((8, 4, 2, 0), (32, 3, 2, 0), (64, 2, 2, 1), (128, 1, 1, 0))


class ConvStack(nn.Module):
    """(N, inputs, 128, 128) -> (N, C, 16, 16), C = 128 at full width.

    The paper lists no activation, so by default the stack is one linear map; `act="relu"` puts a ReLU between the
    convolutions.
    """

    def __init__(self, width: float = 1.0, act: str = "none", inputs: int = 1):
        super().__init__()
        outs = [scaled(out, width) for out, *_ in LAYERS]
        self.act = act
        self.convs = nn.ModuleList(
            nn.Conv2d(before, out, kernel, stride, padding)
            for before, out, (_, kernel, stride, padding) in zip([inputs, *outs], outs, LAYERS, strict=False)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, inputs, 128, 128) -> (N, C, 16, 16)."""
        if self.act == "none":
            return self._composed(frames)
        for conv in self.convs[:-1]:
            frames = F.relu(conv(frames))
        return self.convs[-1](frames)

    def _composed(self, frames: Tensor) -> Tensor:
        """The same map with two convolutions in place of four: without an activation between them, 4x4 stride 2 then
        3x3 stride 2 is one of 8x8 stride 4, and 2x2 then 1x1 is one of 2x2. Less work, and no large map is kept."""
        one, two, three, four = self.convs
        weight = F.conv_transpose2d(two.weight, one.weight, stride=one.stride)
        bias = two.bias + two.weight.sum((2, 3)) @ one.bias
        # 8x8 stride 4 on a channel = 2x2 stride 1 on the 16 pixels of each 4x4 block: a convolution of one channel is
        # slow under the caps of mer/base/portable.py
        frames = F.conv2d(F.pixel_unshuffle(frames, 4), F.pixel_unshuffle(weight, 4), bias)
        mix = four.weight.flatten(1)
        weight = (mix @ three.weight.flatten(1)).view(-1, *three.weight.shape[1:])
        return F.conv2d(frames, weight, four.bias + mix @ three.bias, three.stride, three.padding)
