"""MOL: joint micro-expression recognition, optical flow and facial landmarks (TPAMI 2025, Fig. 2).

Reading order: conv_stack.py, f5c.py (fcc.py, ccc.py), heads.py, flownet.py (correlation.py), and this file, which joins
them; mol_config.py names every switch.
"""

import torch
from torch import Tensor, nn

from mer.base import knobs
from mer.labels.points68 import POINTS
from mer.models.mol.config import (
    SIZE,
    Config,
    feature_channels,
    input_channels,
    mer_length,
    uses_first_branch,
    uses_second_branch,
    validate,
)
from mer.models.mol.conv_stack import ConvStack
from mer.models.mol.f5c import make_branch
from mer.models.mol.flownet import FlowNet
from mer.models.mol.heads import LandmarkHead, MerHead


class MOL(nn.Module):
    """The network of one configuration. All frames, and all pairs of frames, of a batch go through each layer once.

    Batch norm takes its statistics over all frames (encoder of the flow module) or pairs (the rest of it) of the batch.
    paper: not said; released code: pair by pair; here: all at once, a modelling choice.

    Raises MerError when `cfg` is not valid.
    """

    HEAD = "mer.fc2"  # the layer whose rows are classes

    def __init__(self, cfg: Config, n_classes: int):
        super().__init__()
        knobs.refuse(validate(cfg))
        self.cfg = cfg
        channels = feature_channels(cfg)
        first, second = uses_first_branch(cfg), uses_second_branch(cfg)
        self.stem = ConvStack(cfg.width, cfg.stem_act, input_channels(cfg))
        self.branch_one = make_branch(cfg) if first or cfg.share_branches else None
        self.branch_two = make_branch(cfg) if second and not cfg.share_branches else None
        if "mer" in cfg.tasks:
            self.mer = MerHead(channels, mer_length(cfg), n_classes, cfg.dropout)
        if "flow" in cfg.tasks:
            self.flow = FlowNet(channels, cfg.width, cfg.flow_init)
        if "landmark" in cfg.tasks:
            self.landmark = LandmarkHead(channels, cfg.width)
        self.register_buffer("pixel_mean", torch.tensor(0.0))
        self.register_buffer("pixel_sd", torch.tensor(1.0))
        self.register_buffer("residual_sd", torch.tensor(1.0))

    def fit_input(self, mean: float, sd: float, residual_sd: float) -> None:
        """Set the statistics of the training frames, in the frames' own unit (pixel values in [0, 1]).

        mean and sd of all pixels; residual_sd: of the pixels minus their clip's mean frame (for the centred input).
        """
        self.pixel_mean.fill_(mean)
        self.pixel_sd.fill_(sd)
        self.residual_sd.fill_(residual_sd)

    @torch.no_grad()
    def set_mean_shape(self, points: Tensor) -> None:
        """Let the landmark head start at the mean shape (68, 2) of the training fold, in pixels of the crop."""
        if "landmark" in self.cfg.tasks:
            self.landmark.fc2.bias.copy_(torch.as_tensor(points).reshape(2 * POINTS))

    def forward(self, frames: Tensor, pairs: Tensor | None = None) -> dict[str, Tensor]:
        """frames (B, t, 1, 128, 128) in [0, 1]; pairs (B, Q): which of the pairs 0..t-2 flow is wanted of, None = all.

        Returns, for the configured tasks: logits (B, n_classes); flow (B, Q, 2, 128, 128) in pixels of the crop from
        frame k to k + 1; landmarks (B, t-1, 68, 2) in pixels of the crop, of frames 1..t-1.
        """
        batch, t = frames.shape[:2]
        if frames.shape[1:] != (self.cfg.t, 1, SIZE, SIZE):
            raise ValueError(f"frames {tuple(frames.shape)}: expected (B, {self.cfg.t}, 1, {SIZE}, {SIZE})")
        one, two = self._features(self._seen(frames))
        outputs = {}
        if "mer" in self.cfg.tasks:
            outputs["logits"] = self.mer(self._mer_input(one, two))
        if "flow" in self.cfg.tasks:
            outputs["flow"] = self._flow(frames, one, two, pairs)
        if "landmark" in self.cfg.tasks:
            outputs["landmarks"] = self.landmark(two.flatten(0, 1)).view(batch, t - 1, POINTS, 2)
        # Under autocast the heads compute in half precision; what leaves the network has the network's own precision.
        return {name: output.to(self.pixel_mean.dtype) for name, output in outputs.items()}

    def _standard(self, frames: Tensor) -> Tensor:
        return (frames - self.pixel_mean).div_(self.pixel_sd)

    def _seen(self, frames: Tensor) -> Tensor:
        """What the F5C path sees, (B, t, 1 or 2, 128, 128)."""
        if self.cfg.input == "both":
            return torch.cat([self._standard(frames), self._centred(frames)], dim=2)
        return self._centred(frames) if self.cfg.input == "centred" else self._standard(frames)

    def _centred(self, frames: Tensor) -> Tensor:
        # paper: not there; here (switch): the still face, most of the signal and none of the expression, is taken out.
        return (frames - frames.mean(dim=1, keepdim=True)).mul_(self.cfg.gain / self.residual_sd)

    def _features(self, frames: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """F^(g) of frames 0..t-2 by branch one and 1..t-1 by branch two, each (B, t-1, C, 16, 16) or None if unused."""
        batch, t = frames.shape[:2]
        rich = self.stem(frames.flatten(0, 1)).unflatten(0, (batch, t))
        if self.cfg.share_branches:
            shared = self.branch_one(rich.flatten(0, 1)).unflatten(0, (batch, t))
            return shared[:, :-1], shared[:, 1:]
        one = two = None
        if self.branch_one is not None:
            one = self.branch_one(rich[:, :-1].flatten(0, 1)).unflatten(0, (batch, t - 1))
        if self.branch_two is not None:
            two = self.branch_two(rich[:, 1:].flatten(0, 1)).unflatten(0, (batch, t - 1))
        return one, two

    def _mer_input(self, one: Tensor, two: Tensor) -> Tensor:
        """The maps (B, L, C, 16, 16) that the 3D convolution sees (Table XII)."""
        kind = self.cfg.mer_input
        if kind == "concat":  # paper: F^(c) is "the concatenation"; Fig. 2 and released code: in time, pair by pair
            return torch.stack([one, two], dim=2).flatten(1, 2)
        if kind == "all":  # paper: not said which branch; here: F_0..F_{t-2} of the first, F_{t-1} of the second
            return torch.cat([one, two[:, -1:]], dim=1)
        if kind == "add":
            return one + two
        if kind == "sub":
            return two - one
        return one if kind == "first" else two

    def _flow(self, frames: Tensor, one: Tensor, two: Tensor, pairs: Tensor | None) -> Tensor:
        """Flow (B, Q, 2, 128, 128) of the wanted pairs. The siamese encoder runs once per frame: on all t frames, or,
        when that is less work, on the 2Q frames of the wanted pairs (its batch norm in training then sees those)."""
        batch, t = frames.shape[:2]
        count = t - 1 if pairs is None else pairs.shape[1]
        clips = torch.arange(batch, device=frames.device)[:, None]

        def of_pairs(values: Tensor, offset: int = 0) -> Tensor:
            """The entry k + offset of values (B, frames or pairs, ...) for every wanted pair k, (B * Q, ...)."""
            if pairs is None:
                return values[:, offset : offset + count].flatten(0, 1)
            return values[clips, pairs + offset].flatten(0, 1)

        if 2 * count < t:
            both = self._standard(torch.cat([of_pairs(frames), of_pairs(frames, 1)]))
            frame, maps = both[: batch * count], self.flow.encode(both)
            first, second = tuple(m[: len(frame)] for m in maps), maps[-1][len(frame) :]
        else:
            every = self._standard(frames)
            maps = tuple(m.unflatten(0, (batch, t)) for m in self.flow.encode(every.flatten(0, 1)))
            frame, first, second = of_pairs(every), tuple(of_pairs(m) for m in maps), of_pairs(maps[-1], 1)
        flow = self.flow(frame, first, second, of_pairs(one), of_pairs(two))
        return flow.unflatten(0, (batch, count))
