"""The optical flow module: FlowNet-C with small first kernels, F5C features in its bottleneck and a full decoder.

Section 3.3.2: "based on FlowNet, encoder and decoder"; layer sizes are the released code's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer.models.mol.config import MAP, scaled
from mer.models.mol.correlation import ACROSS, correlation, live_range

SLOPE = 0.1  # of every LeakyReLU


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, LeakyReLU 0.1; padding (kernel - 1) // 2."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ...), the sides as the convolution leaves them."""
        return F.leaky_relu(self.norm(self.conv(maps)), SLOPE, inplace=True)


class Refine(nn.Module):
    """One level of the decoder: a flow estimate, and both it and the features at twice the resolution."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.predict = nn.Conv2d(inputs, 2, 3, padding=1, bias=False)
        self.upsample_flow = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=False)
        self.deconv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """Maps (N, inputs, H, W) and the encoder's `skip` at twice the side -> both and the flow, at twice the side."""
        features = F.leaky_relu(self.deconv(maps), SLOPE, inplace=True)
        return torch.cat([skip, features, self.upsample_flow(self.predict(maps))], dim=1)


class FlowNet(nn.Module):
    """Flow from the first to the second frame of each pair, in pixels of the crop, (N, 2, 128, 128): u right, v down.

    Only the flow of full resolution is returned and supervised. At full width 39 730 282 parameters.
    """

    def __init__(self, channels: int, width: float = 1.0, first_scale: float = 1.0):
        super().__init__()
        c64, c128, c256, c512, c1024, c32 = (scaled(c, width) for c in (64, 128, 256, 512, 1024, 32))
        self.conv1 = ConvBlock(1, c64, 6, 2)
        self.conv2 = ConvBlock(c64, c128, 4, 2)
        self.conv3 = ConvBlock(c128, c256, 2, 2)
        self.redir = ConvBlock(c256, c32, 1)
        self.conv3_1 = ConvBlock(c32 + ACROSS**2 + 2 * channels, c256)
        self.conv4 = nn.Sequential(ConvBlock(c256, c512, 3, 2), ConvBlock(c512, c512))
        self.conv5 = nn.Sequential(ConvBlock(c512, c512, 3, 2), ConvBlock(c512, c512))
        self.conv6 = nn.Sequential(ConvBlock(c512, c1024, 3, 2), ConvBlock(c1024, c1024))
        self.refine6 = Refine(c1024, c512)
        self.refine5 = Refine(c512 + c512 + 2, c256)
        self.refine4 = Refine(c512 + c256 + 2, c128)
        self.refine3 = Refine(c256 + c128 + 2, c128)
        self.refine2 = Refine(c128 + c128 + 2, c64)
        self.refine1 = Refine(c64 + c64 + 2, c32)
        self.predict0 = nn.Conv2d(1 + c32 + 2, 2, 3, padding=1, bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
        with torch.no_grad():
            # released code: 1; here: small, since a random first flow costs the first hundred steps, and not 0, since
            # zero weights would give the rest of the module no gradient in the first step.
            self.predict0.weight.mul_(first_scale)
        # The decoder's few channels at full resolution are two to four times quicker with the channels innermost.
        self.to(memory_format=torch.channels_last)

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Frames (M, 1, 128, 128) -> their maps of 64, 32 and 16 pixels a side; siamese, so once per frame."""
        one = self.conv1(frames)
        two = self.conv2(one)
        return one, two, self.conv3(two)

    def forward(self, frame: Tensor, first: tuple, second: Tensor, feature_one: Tensor, feature_two: Tensor) -> Tensor:
        """frame (N, 1, 128, 128): the first of each pair; first: its three maps; second: the other's map of 16 pixels;
        feature_one and feature_two (N, C, 16, 16): the local-global features of the two frames."""
        conv1, conv2, conv3 = first
        # Concatenated maps are channels-last only if all of them are; a map of one channel has to be told that it is.
        frame, *features = (m.to(memory_format=torch.channels_last) for m in (frame, feature_one, feature_two))
        matched = F.leaky_relu(correlation(conv3, second), SLOPE, inplace=True)
        maps = torch.cat([self.redir(conv3), matched, *features], dim=1)
        maps3 = self._conv3_1(maps)
        maps4 = self.conv4(maps3)
        maps5 = self.conv5(maps4)
        maps = self.refine6(self.conv6(maps5), maps5)
        maps = self.refine5(maps, maps4)
        maps = self.refine4(maps, maps3)
        maps = self.refine3(maps, conv2)
        maps = self.refine2(maps, conv1)
        return self.predict0(self.refine1(maps, frame))

    def _conv3_1(self, maps: Tensor) -> Tensor:
        """conv3_1 on the live correlation channels only: the other 216 of 441 are zero, leaving them out is exact."""
        weight = self.conv3_1.conv.weight
        redir = self.redir.conv.out_channels
        low, high = live_range(MAP)
        middle = weight[:, redir : redir + ACROSS**2].unflatten(1, (ACROSS, ACROSS))[:, low:high, low:high]
        weight = torch.cat([weight[:, :redir], middle.flatten(1, 2), weight[:, redir + ACROSS**2 :]], dim=1)
        return F.leaky_relu(self.conv3_1.norm(F.conv2d(maps, weight, padding=1)), SLOPE, inplace=True)
