"""FDP as the paper writes it: one frame number after the other, plain operations. To read and to compare.

Takes the parameters of a `mer.models.fdp.FDP` by name, so that both are functions of the same tensors. A value of all
frames is a list of t tensors (B, ...). Only batch norm looks at more than one frame: at all of the batch.
"""

import math

import torch
import torch.nn.functional as F
from models.mol.mol_reference import Weights

from mer.models.fdp.config import STAGES


def fdp(model, frames):
    """(outputs, statistics) of `model`, backbone local_global, for frames (B, t, 1, 64, 64); drop_path has to be 0.

    statistics: per batch norm its running mean and variance after a training step; empty in eval mode.
    """
    cfg, w = model.cfg, Weights({**dict(model.named_parameters()), **dict(model.named_buffers())})
    norm = BatchNorm(model.training)
    seen = frames * 2 - 1
    if cfg.centre == "clip_mean":
        seen = cfg.gain * (frames - frames.mean(1, keepdim=True)) / w["residual_sd"]
    features = backbone(w.below("backbone"), [torch.cat([f] * cfg.in_channels, 1) for f in seen.unbind(1)], cfg, norm)
    outputs = {}
    if cfg.tasks != ("rank",):
        pooled = temporal_pooling(w.below("temporal"), features)
    if "mer" in cfg.tasks:
        maps = F.max_pool2d(pooled, 3)
        hidden = F.relu(F.linear(maps.flatten(1), w["mer.fc1.weight"], w["mer.fc1.bias"]))
        outputs["logits"] = F.linear(hidden, w["mer.fc2.weight"], w["mer.fc2.bias"])
    if "dynamic" in cfg.tasks:
        outputs["dynamic"] = dynamic_network(w.below("dynamic"), pooled, norm)
    if "rank" in cfg.tasks:
        outputs["scores"] = torch.cat([F.linear(f, w["rank.weight"]) for f in features], dim=1)
    return outputs, norm.statistics


class BatchNorm:
    def __init__(self, training):
        self.training, self.statistics = training, {}

    def __call__(self, w, maps):
        mean, variance = w["running_mean"].clone(), w["running_var"].clone()
        together = F.batch_norm(torch.cat(maps), mean, variance, w["weight"], w["bias"], self.training)
        if self.training:
            self.statistics[w.prefix] = mean, variance
        return list(together.split(len(maps[0])))


def conv(w, maps, **settings):
    return [F.conv2d(m, w["weight"], w["bias"] if "bias" in w else None, **settings) for m in maps]


def pointwise(w, maps):
    return [F.conv2d(m, w["weight"][..., None, None], w["bias"] if "bias" in w else None) for m in maps]


def add(one, two):
    return [a + b for a, b in zip(one, two, strict=True)]


def backbone(w, maps, cfg, norm):
    for i, stride in enumerate([2, 1, 1, 2]):
        maps = conv(w.below(f"stem.{3 * i}"), maps, stride=stride, padding=1)
        maps = [F.relu(m) for m in norm(w.below(f"stem.{3 * i + 1}"), maps)]
    block = 0
    for stage in range(STAGES):
        stride = 1 if stage == 0 else 2
        kinds = [local_block] * cfg.n_local[stage] + [global_block] * cfg.n_global[stage] or [embed]
        for kind in kinds:
            maps = kind(w.below(f"blocks.{block}"), maps, cfg, norm, stage, stride)
            stride, block = 1, block + 1
    maps = [m.mean((2, 3)) for m in norm(w.below("norm"), maps)]
    return [F.linear(m, w["project.weight"], w["project.bias"]) for m in maps]


def embed(w, maps, cfg, norm, stage, stride):
    """PE: mean of 2x2, pointwise convolution, norm; nothing where neither size nor channels change."""
    if stride == 2:
        maps = [(m[..., ::2, ::2] + m[..., 1::2, ::2] + m[..., ::2, 1::2] + m[..., 1::2, 1::2]) / 4 for m in maps]
    first = next((i for i in range(2) if f"{i}.weight" in w), None)
    if first is None:
        return maps
    return norm(w.below(f"{first + 1}"), pointwise(w.below(f"{first}"), maps))


def local_block(w, maps, cfg, norm, stage, stride):
    maps = embed(w.below("embed"), maps, cfg, norm, stage, stride)
    maps = add(maps, multi_head_conv(w.below("conv"), maps, cfg, norm))
    return add(maps, mlp(w.below("mlp"), norm(w.below("norm"), maps)))


def global_block(w, maps, cfg, norm, stage, stride):
    maps = embed(w.below("embed"), maps, cfg, norm, stage, stride)
    maps = add(maps, attention(w.below("attention"), norm(w.below("norm_attention"), maps), cfg, norm, stage))
    narrow = embed(w.below("embed_conv"), maps, cfg, norm, stage, 1)
    narrow = add(narrow, multi_head_conv(w.below("conv"), narrow, cfg, norm))
    both = [torch.cat(ab, dim=1) for ab in zip(maps, narrow, strict=True)]
    return add(both, mlp(w.below("mlp"), norm(w.below("norm"), both)))


def multi_head_conv(w, maps, cfg, norm):
    if cfg.mhc == "conv":
        return conv(w, maps, padding=1)
    heads = maps[0].shape[1] // cfg.head_dim if cfg.mhc == "multihead" else 1
    maps = norm(w.below("1"), conv(w.below("0"), maps, padding=1, groups=heads))
    return pointwise(w.below("3"), [F.relu(m) for m in maps])


def mlp(w, maps):
    return pointwise(w.below("2"), [F.relu(m) for m in pointwise(w.below("0"), maps)])


def attention(w, maps, cfg, norm, stage):
    """Eq. 1-3, with all heads side by side."""
    batch, channels, height, width = maps[0].shape
    tokens = [m.flatten(2).transpose(1, 2) for m in maps]
    sources = tokens
    pool = cfg.sr_ratios[stage] ** 2
    if pool > 1:
        means = [F.avg_pool1d(x.transpose(1, 2), pool, pool) for x in tokens]
        sources = [m.transpose(1, 2) for m in norm(w.below("norm"), means)]
    results = []
    for x, source in zip(tokens, sources, strict=True):
        q, k, v = (
            F.linear(values, w["qkv.weight"][i * channels : (i + 1) * channels],
                     w["qkv.bias"][i * channels : (i + 1) * channels])
            .unflatten(2, (channels // cfg.head_dim, cfg.head_dim)).transpose(1, 2)
            for i, values in enumerate((x, source, source))
        )  # fmt: skip
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(cfg.head_dim), dim=-1)
        mixed = F.linear((weights @ v).transpose(1, 2).flatten(2), w["out.weight"], w["out.bias"])
        results.append(mixed.transpose(1, 2).reshape(batch, channels, height, width))
    return results


def temporal_pooling(w, features):
    """The 3D convolution of section 3.3: maps (B, 1, 64, 64, t) and a kernel of 3 x 3 x t."""
    volume = torch.stack([f.view(-1, 64, 64) for f in features], dim=-1).unsqueeze(1)
    kernel = w["weight"].permute(0, 2, 3, 1).unsqueeze(1)
    return F.conv3d(volume, kernel, w["bias"], padding=(1, 1, 0)).squeeze(-1)


def dynamic_network(w, maps, norm):
    """Fig. 3."""

    def block(w, maps):
        return F.leaky_relu(norm(w.below("1"), conv(w.below("0"), [maps], padding=1))[0], 0.01)

    skips = []
    for i in range(4):
        skips.append(block(w.below(f"encoder.{i}"), maps))
        maps = F.max_pool2d(skips[-1], 2)
    for i in range(4):
        larger = F.conv_transpose2d(maps, w[f"enlarge.{i}.weight"], w[f"enlarge.{i}.bias"], stride=2)
        maps = block(w.below(f"decoder.{i}"), larger + skips[3 - i])
    return torch.sigmoid(F.conv2d(maps, w["out.weight"], w["out.bias"]))
