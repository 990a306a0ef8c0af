"""MOL as the paper writes it: one frame, one pair, one channel, one displacement at a time. To read and to compare.

Takes the parameters of a `mer.models.mol.MOL` by name, so that both are functions of the same tensors.
Maps are (C, H, W). Only batch norm looks at more than one map: at all frames or all pairs of the batch.
"""

import torch
import torch.nn.functional as F


class Weights:
    """The tensors below a prefix: Weights(t, "flow")["conv1.weight"] is t["flow.conv1.weight"]."""

    def __init__(self, tensors, prefix=""):
        self.tensors, self.prefix = tensors, prefix

    def __getitem__(self, name):
        return self.tensors[self.prefix + name]

    def __contains__(self, name):
        return any(key.startswith(self.prefix + name) for key in self.tensors)

    def below(self, name):
        return Weights(self.tensors, f"{self.prefix}{name}.")


def mol(model, frames):
    """(outputs, statistics) of `model` for frames (B, t, 1, 128, 128), every pair's flow; dropout has to be 0.

    statistics: per batch norm (mean, unbiased variance) of the batch; empty in eval mode.
    """
    cfg, w = model.cfg, Weights({**dict(model.named_parameters()), **dict(model.named_buffers())})
    norm = BatchNorm(model.training)
    batch, t = frames.shape[:2]
    standard = (frames - w["pixel_mean"]) / w["pixel_sd"]
    centred = cfg.gain * (frames - frames.mean(1, keepdim=True)) / w["residual_sd"]
    seen = {"raw": standard, "centred": centred, "both": torch.cat([standard, centred], 2)}[cfg.input]
    rich = {(b, k): conv_stack(w.below("stem"), seen[b, k], cfg.stem_act) for b in range(batch) for k in range(t)}
    pairs = [(b, k) for b in range(batch) for k in range(t - 1)]
    if cfg.share_branches:
        shared = dict(zip(rich, branch(w.below("branch_one"), list(rich.values()), cfg, norm), strict=True))
        one = {(b, k): shared[b, k] for b, k in pairs}
        two = {(b, k): shared[b, k + 1] for b, k in pairs}
    else:
        one, two = {}, {}
        if not cfg.f5c or "branch_one" in w:
            maps = branch(w.below("branch_one"), [rich[b, k] for b, k in pairs], cfg, norm)
            one = dict(zip(pairs, maps, strict=True))
        if not cfg.f5c or "branch_two" in w:
            maps = branch(w.below("branch_two"), [rich[b, k + 1] for b, k in pairs], cfg, norm)
            two = dict(zip(pairs, maps, strict=True))
    outputs = {}
    if "mer" in cfg.tasks:
        clips = [mer_input(cfg.mer_input, b, t, one, two) for b in range(batch)]
        outputs["logits"] = torch.stack([mer_head(w.below("mer"), planes) for planes in clips])
    if "flow" in cfg.tasks:
        flow = flow_module(w.below("flow"), standard, pairs, one, two, norm)
        outputs["flow"] = torch.stack([flow[pair] for pair in pairs]).unflatten(0, (batch, t - 1))
    if "landmark" in cfg.tasks:
        points = [landmark_head(w.below("landmark"), two[pair]) for pair in pairs]
        outputs["landmarks"] = torch.stack(points).unflatten(0, (batch, t - 1))
    return outputs, norm.statistics


class BatchNorm:
    def __init__(self, training):
        self.training, self.statistics = training, {}

    def __call__(self, w, maps):
        values = torch.stack(maps)
        mean, variance = w["running_mean"], w["running_var"]
        if self.training:
            mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3), unbiased=False)
            self.statistics[w.prefix] = mean.detach(), values.var((0, 2, 3), unbiased=True).detach()
        scale = w["weight"] / torch.sqrt(variance + 1e-5)
        return [scale[:, None, None] * (m - mean[:, None, None]) + w["bias"][:, None, None] for m in maps]


def conv_stack(w, frame, act):
    """Table I."""
    maps = frame
    for i, (stride, padding) in enumerate([(2, 0), (2, 0), (2, 1), (1, 0)]):
        maps = F.conv2d(maps, w[f"convs.{i}.weight"], w[f"convs.{i}.bias"], stride, padding)
        if act == "relu" and i < 3:
            maps = F.relu(maps)
    return maps


def branch(w, maps, cfg, norm):
    for block in range(cfg.f5c_blocks if cfg.f5c else 0):
        maps = f5c(w.below(f"{block}"), maps, cfg, norm)
    return maps


def f5c(w, maps, cfg, norm=None):
    """Fig. 2: Z = X + FCC(X), Y = Z + CCC(Z)."""
    if cfg.fcc != "off":
        maps = [x + y for x, y in zip(maps, fcc(w.below("fcc"), maps, cfg.fcc, norm), strict=True)]
    if cfg.ccc != "off":
        maps = [z + ccc(w.below("ccc"), z, cfg.k, cfg.ccc_self) for z in maps]
    return maps


def fcc(w, maps, kind, norm=None):
    maps = [F.conv2d(x, w["pre.weight"], w["pre.bias"]) for x in maps]
    if kind != "fcc":
        return circular(w.below("operator"), maps, kind[-1], norm)
    one = circular(w.below("h_second"), circular(w.below("v_first"), maps, "v", norm), "h", norm)
    two = circular(w.below("v_second"), circular(w.below("h_first"), maps, "h", norm), "v", norm)
    return [F.conv2d(torch.cat(ab), w["fuse.weight"], w["fuse.bias"]) for ab in zip(one, two, strict=True)]


def circular(w, maps, axis, norm=None):
    """FCC-V, Eq. 1-2, or FCC-H, Eq. 3: Y_{c,i,j} = sum_s U_{c,s} (X + P)_{c,(i+s) mod H,j} + b_c."""
    position = w["position"][:, :, None] if axis == "v" else w["position"][:, None, :]
    maps = [x + position for x in maps]
    if "norm" in w:
        maps = norm(w.below("norm"), maps)
    results = []
    for x in maps:
        y = w["bias"][:, None, None].expand_as(x)
        for s in range(w["kernel"].shape[1]):
            y = y + w["kernel"][:, s, None, None] * torch.roll(x, -s, dims=1 if axis == "v" else 2)
        results.append(y)
    return results


def ccc(w, maps, k, include_self):
    """Eq. 4-5, channel by channel and edge by edge, and the 1x1 convolution."""
    nodes = maps.flatten(1)
    return F.conv2d(ccc_aggregate(w, nodes, k, include_self).view(maps.shape), w["out.weight"], w["out.bias"])


def ccc_aggregate(w, nodes, k, include_self=True):
    results = []
    for i, f_i in enumerate(nodes):
        with torch.no_grad():
            cosine = torch.stack([f_i @ f_j / (f_i.norm() * f_j.norm()) for f_j in nodes])
            if not include_self:
                cosine[i] = -torch.inf
            neighbours = cosine.topk(k).indices
        edges = [w["node.weight"] @ f_i + w["edge.weight"] @ (nodes[j] - f_i) + w["node.bias"] for j in neighbours]
        results.append(torch.stack([F.relu(e) for e in edges]).amax(0))
    return torch.stack(results)


def mer_input(kind, b, t, one, two):
    """The planes of Table XII, in order of time."""
    ks = range(t - 1)
    if kind == "concat":
        return [plane for k in ks for plane in (one[b, k], two[b, k])]
    if kind == "all":
        return [one[b, k] for k in ks] + [two[b, t - 2]]
    if kind == "add":
        return [one[b, k] + two[b, k] for k in ks]
    if kind == "sub":
        return [two[b, k] - one[b, k] for k in ks]
    return [(one if kind == "first" else two)[b, k] for k in ks]


def mer_head(w, planes):
    maps = F.conv3d(torch.stack(planes, dim=1), w["conv.weight"], w["conv.bias"], stride=(1, 2, 2))
    maps = F.max_pool3d(maps, (min(2, maps.shape[1]), 2, 2))
    hidden = F.relu(F.linear(maps.flatten(), w["fc1.weight"], w["fc1.bias"]))
    return F.linear(hidden, w["fc2.weight"], w["fc2.bias"])


def landmark_head(w, maps):
    maps = F.relu(F.conv2d(maps, w["conv.weight"], w["conv.bias"]))
    hidden = F.relu(F.linear(maps.flatten(), w["fc1.weight"], w["fc1.bias"]))
    return F.linear(hidden, w["fc2.weight"], w["fc2.bias"]).view(68, 2)


def correlation(one, two):
    """FlowNet-C's 441 channels: mean over C of one(y, x) two(y + dy, x + dx), 0 outside; dy, dx = -20, -18, ..., 20."""
    _, height, width = one.shape
    padded = F.pad(two, (20, 20, 20, 20))
    shifts = [(dy, dx) for dy in range(-20, 21, 2) for dx in range(-20, 21, 2)]
    moved = (padded[:, 20 + dy : 20 + dy + height, 20 + dx : 20 + dx + width] for dy, dx in shifts)
    return torch.stack([(one * m).mean(0) for m in moved])


def flow_module(w, frames, pairs, one, two, norm):
    def conv(name, maps, stride=1):
        weight = w[f"{name}.conv.weight"]
        padding = (weight.shape[-1] - 1) // 2
        convolved = [F.conv2d(m, weight, stride=stride, padding=padding) for m in maps]
        return [F.leaky_relu(m, 0.1) for m in norm(w.below(f"{name}.norm"), convolved)]

    def refine(level, maps, skips):
        deconv, up = (w[f"refine{level}.{name}.weight"] for name in ("deconv", "upsample_flow"))
        results = []
        for m, skip in zip(maps, skips, strict=True):
            features = F.leaky_relu(F.conv_transpose2d(m, deconv, stride=2, padding=1), 0.1)
            flow = F.conv2d(m, w[f"refine{level}.predict.weight"], padding=1)
            results.append(torch.cat([skip, features, F.conv_transpose2d(flow, up, stride=2, padding=1)]))
        return results

    batch, t = frames.shape[:2]
    keys = [(b, k) for b in range(batch) for k in range(t)]
    every = [frames[key] for key in keys]
    conv1 = conv("conv1", every, 2)
    conv2 = conv("conv2", conv1, 2)
    conv3 = conv("conv3", conv2, 2)
    conv1, conv2, conv3 = (dict(zip(keys, maps, strict=True)) for maps in (conv1, conv2, conv3))
    redir = conv("redir", [conv3[pair] for pair in pairs])
    inputs = []
    for (b, k), r in zip(pairs, redir, strict=True):
        matched = F.leaky_relu(correlation(conv3[b, k], conv3[b, k + 1]), 0.1)
        inputs.append(torch.cat([r, matched, one[b, k], two[b, k]]))
    maps3 = conv("conv3_1", inputs)
    maps4 = conv("conv4.1", conv("conv4.0", maps3, 2))
    maps5 = conv("conv5.1", conv("conv5.0", maps4, 2))
    maps = conv("conv6.1", conv("conv6.0", maps5, 2))
    maps = refine(6, maps, maps5)
    maps = refine(5, maps, maps4)
    maps = refine(4, maps, maps3)
    maps = refine(3, maps, [conv2[pair] for pair in pairs])
    maps = refine(2, maps, [conv1[pair] for pair in pairs])
    maps = refine(1, maps, [frames[pair] for pair in pairs])
    flows = [F.conv2d(m, w["predict0.weight"], padding=1) for m in maps]
    return dict(zip(pairs, flows, strict=True))
