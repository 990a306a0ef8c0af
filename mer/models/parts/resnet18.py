"""The ResNet18 trunk of MIACNet's encoders: everything but the pooling and the classifier.

Source: He et al. 2016, Table 1; MA2MI section 3.1 uses it "directly". Tensors have torchvision's names, so that a
state dict of its ResNet18 can be loaded.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer.base.errors import MerError
from mer.models.parts.pointwise import StridedPointwise


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and the shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(StridedPointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)), not negative."""
        around = maps if self.downsample is None else self.downsample(maps)
        maps = F.relu(self.bn1(self.conv1(maps)), inplace=True)
        return F.relu(self.bn2(self.conv2(maps)).add_(around), inplace=True)


class ResNetTrunk(nn.Module):
    """(N, channels, S, S), S a multiple of 32 -> (N, 512 * width, S / cell, S / cell), not negative.

    11 176 512 parameters at 3 channels and width 1. `width` (ours) multiplies the channels of every layer; `cell` 16
    (ours) leaves out the last stage's stride, which makes the trunk 1.8 times as dear and no larger.
    """

    def __init__(self, channels: int = 3, width: float = 1.0, cell: int = 32):
        super().__init__()
        sizes = [max(1, round(c * width)) for c in (64, 64, 128, 256, 512)]
        self.conv1 = nn.Conv2d(channels, sizes[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(sizes[0])
        for i in range(4):
            stride = 1 if i == 0 or (i == 3 and cell == 16) else 2
            blocks = BasicBlock(sizes[i], sizes[i + 1], stride), BasicBlock(sizes[i + 1], sizes[i + 1], 1)
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, channels, S, S) -> (N, 512 * width, S / cell, S / cell), not negative, channels innermost in memory."""
        maps = self.conv1(pictures.to(memory_format=torch.channels_last))
        maps = F.max_pool2d(F.relu(self.bn1(maps), inplace=True), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(maps))))


def load_imagenet(trunk: ResNetTrunk, path: str | Path, section: str) -> None:
    """Copy the weights of torchvision's ResNet18 (its state dict, e.g. resnet18-f37072fd.pth) into `trunk`.

    `section`: the model's in params.yaml, which errors name.

    Raises:
        MerError: the file is missing or unreadable, or a tensor is missing or of another shape.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise MerError(f"{section}.encoder_weights: no file {path}; put torchvision's ResNet18 state dict there, or "
                       "set it to null for random weights") from None
    except Exception as error:  # torch raises many kinds for a damaged file
        raise MerError(f"{section}.encoder_weights: {path} is no state dict of torch ({str(error).splitlines()[0]}); "
                       "expected torchvision's ResNet18") from None
    if not isinstance(state, dict):
        raise MerError(f"{section}.encoder_weights: {path} holds a {type(state).__name__}; expected a state dict")
    own = trunk.state_dict()
    for key, value in own.items():
        found = tuple(state[key].shape) if key in state else "missing"
        # files from before torch 1.0 have no num_batches_tracked, which only counts
        if found != tuple(value.shape) and not (found == "missing" and key.endswith("num_batches_tracked")):
            raise MerError(f"{section}.encoder_weights: {path}: tensor {key} is {found}; expected {tuple(value.shape)} "
                           f"(torchvision's ResNet18, {section}.width = 1)")
    trunk.load_state_dict({key: state.get(key, value) for key, value in own.items()})
