"""FDP: micro-expression recognition by rank pooling of frame representations (2025, Fig. 2).

Reading order: feature_transformer.py (multi_head_conv.py, self_attention.py), this file, dynamic_decoder.py;
config.py names every switch, backbones.py holds the other networks of Table 10.
"""

import torch
from torch import Tensor, nn

from mer.base import knobs
from mer.labels.dynamic_image import coefficients
from mer.models.fdp.backbones import make_backbone
from mer.models.fdp.config import FEATURES, SIZE, Config, validate
from mer.models.fdp.dynamic_decoder import EncoderDecoder, MapsDecoder, SegNet
from mer.models.fdp.frame_norms import norm_frame_by_frame
from mer.models.parts.pooling import max_pool

MAPS = 8  # channels of the dynamic representation F^(d) (released code)
HIDDEN = 256


class FDP(nn.Module):
    """The network of one configuration. All frames of a batch go through each layer once.

    Raises MerError when `cfg` is not valid.
    """

    HEAD = "mer.fc2"  # the layer whose rows are classes

    def __init__(self, cfg: Config, n_classes: int):
        super().__init__()
        knobs.refuse(validate(cfg))
        self.cfg = cfg
        self.backbone = make_backbone(cfg)
        if cfg.frame_fold == "loop":
            norm_frame_by_frame(self.backbone, cfg.t)
        if "rank" in cfg.tasks:
            self.rank = nn.Linear(FEATURES, 1, bias=False)
        self.spatial = "dynamic" in cfg.tasks and cfg.dic_input == "spatial"
        self.pools = "mer" in cfg.tasks or ("dynamic" in cfg.tasks and not self.spatial)  # whether F^(d) is read
        if self.pools:
            self.temporal = nn.Conv2d(cfg.t, MAPS, 3, padding=1)
        if "mer" in cfg.tasks:
            self.mer = MerHead(n_classes)
        if "dynamic" in cfg.tasks:
            self.dynamic = self._dynamic()
        self.register_buffer("residual_sd", torch.tensor(1.0))
        self.to(memory_format=torch.channels_last)  # faster on CPU and GPU: most layers are products over channels

    def _dynamic(self) -> nn.Module:
        cfg = self.cfg
        if cfg.dic_input == "pooled":
            return {"encdec": EncoderDecoder, "segnet": SegNet}[cfg.dic](MAPS, cfg.width)
        weights = torch.tensor(coefficients(cfg.t, cfg.coeffs).tolist())
        return MapsDecoder(self.backbone.shapes, weights / weights.norm(), cfg.width)

    def fit_input(self, residual_sd: float) -> None:
        """Set the standard deviation of the training frames' pixels (in [0, 1]) minus their clip's mean frame.

        Read with centre = clip_mean alone. Else frames are scaled by constants, as in the released code.
        """
        self.residual_sd.fill_(residual_sd)

    def forward(self, frames: Tensor, pairs: Tensor | None = None) -> dict[str, Tensor]:
        """frames (B, t, 1, 64, 64) gray in [0, 1]; pairs are another model's.

        Returns, for the configured tasks: logits (B, n_classes); dynamic (B, 1, 64, 64), the estimated dynamic image in
        (0, 1); scores (B, t), the rank scores S(F_k).
        """
        if frames.shape[1:] != (self.cfg.t, 1, SIZE, SIZE):
            raise ValueError(f"frames {tuple(frames.shape)}: expected (B, {self.cfg.t}, 1, {SIZE}, {SIZE})")
        features, stages = self._features(self._input(frames))
        outputs = {}
        if self.pools:
            maps = self.temporal(temporal_maps(features, self.cfg.official_reshape))
        if "mer" in self.cfg.tasks:
            outputs["logits"] = self.mer(maps)
        if "dynamic" in self.cfg.tasks:
            outputs["dynamic"] = self.dynamic(stages if self.spatial else maps)
        precision = self.residual_sd.dtype
        if "rank" in self.cfg.tasks:
            # Eq. 4, u^T F_k, as product and sum, which autocast leaves in full precision: bf16 has 32 steps from 4 to 8
            outputs["scores"] = (features.to(precision) * self.rank.weight).sum(-1)
        # Under autocast the heads compute in half precision; what leaves the network has the network's own precision.
        return {name: output.to(precision) for name, output in outputs.items()}

    def _input(self, frames: Tensor) -> Tensor:
        if self.cfg.centre == "clip_mean":
            # paper: not there; here (switch): the still face, most of the signal and none of the motion, is taken out.
            # The dynamic image can be read from the rest, because the weights of its frames sum to 0.
            frames = (frames - frames.mean(dim=1, keepdim=True)) * (self.cfg.gain / self.residual_sd)
        else:
            frames = (frames - 0.5) / 0.5  # paper: not said; released code
        return frames.expand(-1, -1, self.cfg.in_channels, -1, -1)

    def _features(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """F_k (B, t, 4096) of frames (B, t, C, 64, 64), and if `spatial` the maps (B, t, c, h, w) of each stage.

        # paper: not said; released code: frame by frame, so that each frame number has its own batch statistics and
        # the mean score over the batch is the same for every k, which no rank loss can change; here: all at once.
        `loop` is the released function, with one frame number after another in one batch.
        """
        outer = 0 if self.cfg.frame_fold == "batch" else 1  # the batch's outer axis: clips or frame numbers
        frames = frames.transpose(0, outer)
        both, shape = frames.flatten(0, 1), frames.shape[:2]
        features, maps = self.backbone.with_maps(both) if self.spatial else (self.backbone(both), [])
        features, *maps = (values.unflatten(0, shape).transpose(0, outer) for values in (features, *maps))
        return features, maps


def temporal_maps(features: Tensor, official: bool) -> Tensor:
    """Features (B, t, 4096) as maps (B, t, 64, 64), map k made of F_k: what temporal pooling sees, pixel by pixel.

    A 3D convolution with a kernel of 3 x 3 x t over them is a 2D convolution whose channels are the frames.
    # paper: "reshaped into two-dimensional feature maps and concatenated in chronological order"; released code
    # (`official`): (B, t, 4096) reshaped to (B, 64, 64, t), which puts t neighbouring values of one frame on the last
    # axis and the frames above each other.
    """
    if official:
        return features.reshape(len(features), SIZE, SIZE, -1).permute(0, 3, 1, 2)
    return features.unflatten(2, (SIZE, SIZE))


class MerHead(nn.Module):
    """Max-pooling and two fully-connected layers (section 3.4.2): F^(d) (B, 8, 64, 64) -> logits (B, n_classes)."""

    POOL = 3  # released code

    def __init__(self, n_classes: int):
        super().__init__()
        self.fc1 = nn.Linear(MAPS * (SIZE // self.POOL) ** 2, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, n_classes)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, 8, 64, 64) -> logits (B, n_classes)."""
        return self.fc2(torch.relu(self.fc1(max_pool(maps, self.POOL).flatten(1))))
