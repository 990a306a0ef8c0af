"""A network of `mer.models.fdp` computed as the released code does, for tests and tests/bench/fdp_step.py.

Written anew: tensors and function of `frame_fold: loop`, by the operations that the released network is made of: the
backbone frame by frame; channels outermost in memory; pointwise convolutions as convolutions; queries, keys and values
by three layers, and attention by products and softmax; max-pooling with indices and unpooling; a 3D convolution over
the frames' maps and 3D max-pooling. Only for the dynamic image of `pooled` maps.
"""

import copy
import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer.models.fdp.multi_head_conv import DenseConv, Pointwise
from mer.models.fdp.network import FDP, MerHead
from mer.models.fdp.self_attention import SelfAttention


class Attention(nn.Module):
    """Three layers in place of one, and the weights of all positions written out (no pooled keys)."""

    def __init__(self, fused: SelfAttention):
        super().__init__()
        self.heads, channels = fused.heads, fused.out.in_features
        self.query, self.key, self.value = (nn.Linear(channels, channels, fused.qkv.bias is not None) for _ in range(3))
        for i, layer in enumerate((self.query, self.key, self.value)):
            layer.weight.data = fused.qkv.weight.data.chunk(3)[i].clone()
            if layer.bias is not None:
                layer.bias.data = fused.qkv.bias.data.chunk(3)[i].clone()
        self.out = fused.out

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
                             for layer in (self.query, self.key, self.value))
        weights = (query @ key.mT * query.shape[-1] ** -0.5).softmax(-1)
        return self.out((weights @ value).transpose(1, 2).flatten(2))


class Classes(nn.Module):
    def __init__(self, head: MerHead):
        super().__init__()
        self.head = head

    def forward(self, maps: Tensor) -> Tensor:
        return self.head.fc2(torch.relu(self.head.fc1(F.max_pool3d(maps.unsqueeze(-1), (3, 3, 1)).flatten(1))))


class SegNet(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, maps: Tensor) -> Tensor:
        kept = []
        for stage in self.network.encoder:
            maps, places = F.max_pool2d(stage(maps), 2, 2, return_indices=True)
            kept.append(places)
        for stage in self.network.decoder:
            maps = stage(_unpool(maps, kept.pop()))
        return torch.sigmoid(self.network.out(maps))


def _unpool(maps: Tensor, places: Tensor) -> Tensor:
    """torch's own, which refuses deterministic mode."""
    strict = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        return F.max_unpool2d(maps, places, 2, 2)
    finally:
        torch.use_deterministic_algorithms(strict)


class EncoderDecoder(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, maps: Tensor) -> Tensor:
        kept = []
        for block in self.network.encoder:
            kept.append(block(maps))
            maps = F.max_pool2d(kept[-1], 2)
        for enlarge, block in zip(self.network.enlarge, self.network.decoder, strict=True):
            maps = block(enlarge(maps) + kept.pop())
        return torch.sigmoid(self.network.out(maps))


class Temporal(nn.Module):
    """The 3D convolution over maps (B, t, 64, 64), of a kernel of 3 x 3 x t."""

    def __init__(self, flat: nn.Conv2d):
        super().__init__()
        self.conv = nn.Conv3d(1, flat.out_channels, (3, 3, flat.in_channels), padding=(1, 1, 0))
        self.conv.weight.data = flat.weight.data.permute(0, 2, 3, 1).unsqueeze(1).contiguous()
        self.conv.bias.data = flat.bias.data.clone()

    def forward(self, maps: Tensor) -> Tensor:
        return self.conv(maps.permute(0, 2, 3, 1).unsqueeze(1))[..., 0]


def released_form(model: FDP) -> FDP:
    """A copy of `model` that computes so; its gradients belong to tensors of its own."""
    found = copy.deepcopy(model)
    found.cfg = dataclasses.replace(model.cfg, frame_fold="loop")
    _replace(found)
    found.backbone = Backbone(found.backbone, model.cfg.t)
    found.temporal, found.mer = Temporal(found.temporal), Classes(found.mer)
    if "dynamic" in model.cfg.tasks:
        found.dynamic = {"segnet": SegNet, "encdec": EncoderDecoder}[model.cfg.dic](found.dynamic)
    return found.to(memory_format=torch.contiguous_format)


class Backbone(nn.Module):
    """One frame number after another."""

    def __init__(self, backbone: nn.Module, t: int):
        super().__init__()
        self.backbone, self.t = backbone, t

    def forward(self, frames: Tensor) -> Tensor:
        return torch.cat([self.backbone(frame) for frame in frames.chunk(self.t)])


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Pointwise):
            layer = nn.Conv2d(child.in_features, child.out_features, 1, bias=child.bias is not None)
            layer.weight.data = child.weight.data[..., None, None].clone()
            if child.bias is not None:
                layer.bias.data = child.bias.data.clone()
            setattr(module, name, layer)
        elif isinstance(child, DenseConv):
            layer = nn.Conv2d(child.in_channels, child.out_channels, 3, padding=1, bias=False)
            layer.weight.data = child.weight.data.clone()
            setattr(module, name, layer)
        elif isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            layer = (nn.BatchNorm2d if isinstance(child, nn.BatchNorm2d) else nn.BatchNorm1d)(child.num_features)
            layer.load_state_dict(child.state_dict())
            setattr(module, name, layer.to(child.weight))
        elif isinstance(child, SelfAttention):
            setattr(module, name, Attention(child))
        elif isinstance(child, nn.ReLU):
            child.inplace = True
        else:
            _replace(child)
