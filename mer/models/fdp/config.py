"""What can be chosen about FDP, with the paper's values as defaults; no torch here, so parameters are checked quickly.

Source: FDP (2025), sections 3 and 4.1.3, ablations of Tables 9, 10, 11 and 14.
"""

from dataclasses import dataclass

from mer.base import knobs
from mer.base.knobs import knob
from mer.base.measure import Measure

TASKS = ("mer", "dynamic", "rank")
BACKBONES = ("local_global", "vit_base", "resnet18")
MHC = ("conv", "conv_pw", "multihead")

ORDER = 2  # among the models, wherever they are listed
SHARED = {"t": "sampling", "coeffs": "dynamic", "stretch": "dynamic"}  # knobs that stand in another section
SIZE = 64  # side of the crop the network sees, pixels
FEATURES = SIZE * SIZE  # length of F_k, which temporal pooling reads as a map of SIZE x SIZE
STAGES = 4  # N_S
STAGE_SIDES = (16, 8, 4, 2)  # of the maps in each stage
LOCAL = (96, 192, 384, 768)  # channels of the stages' local blocks (released code)
GLOBAL = (128, 256, 512, 1024)  # and of their global blocks
STEM = (64, 32, 64, 64)
MEASURES = (
    Measure("mse", "dynamic image, mean squared error", "x 1000", 1000, 2, rival="mse_mean_image", column="mse"),
    Measure("mse_mean_image", "mean image", "x 1000", 1000, 2, column="mse_mean_image"),
    # (ours) the min-max stretch gives every dynamic image a gray level of its own, which says nothing of motion
    Measure("mse_pattern", "its pattern, without each picture's own gray level", "x 1000", 1000, 2,
            rival="mse_pattern_mean_image", column="mse_pattern"),
    Measure("mse_pattern_mean_image", "mean image's pattern", "x 1000", 1000, 2, column="mse_pattern_mean_image"),
    Measure("dynamic_corr", "dynamic image, correlation with the true one", "", 1, 2, "more",
            rival="dynamic_corr_mean_image", column="dynamic_corr", least=-1),
    Measure("dynamic_corr_mean_image", "mean image's correlation", "", 1, 2, "more", column="dynamic_corr_mean_image",
            least=-1),
    Measure("rank_correlation", "rank correlation of the frames' scores with time", "", 1, 2, "more",
            constant=("equal scores", 0.0), column="rank_correlation", least=-1),
)


@dataclass(frozen=True)
class Config:
    """Every switch of FDP. Defaults are the paper's form at full width.

    Fields marked (ours) are in neither the paper nor the released code.
    """

    # Tables 9, 14: a task that is not named has no head and no loss
    tasks: tuple[str, ...] = knob(choices=TASKS, empty=False, default=TASKS)
    t: int = knob(2, default=8)  # frames of a clip
    backbone: str = knob(choices=BACKBONES, default="local_global")  # Table 10: local_global | vit_base | resnet18
    mhc: str = knob(choices=MHC, default="multihead")  # Table 10: conv (C) | conv_pw (C') | multihead (C*)
    # N_L in each stage; Table 9: 0 (released code 3, 4, 10, 3)
    n_local: tuple[int, ...] = knob(0, repeat=True, length=STAGES, default=(2, 2, 2, 2))
    # N_G in each stage; Table 9: 0 (Table 10's counts: 0)
    n_global: tuple[int, ...] = knob(0, repeat=True, length=STAGES, default=(1, 1, 1, 1))
    # keys and values are means of r * r positions; Eq. 1-2: 1
    sr_ratios: tuple[int, ...] = knob(1, repeat=True, length=STAGES, default=(1, 1, 1, 1))
    head_dim: int = knob(1, default=8)  # channels of a head, of convolution and of attention (released code)
    # stochastic depth of the last block, 0 at the first, linear between (released code)
    drop_path: float = knob(0, below=1, default=0.1)
    # 3: the gray frame three times (paper's text); Table 10's counts are those of 1
    in_channels: int = knob(choices=(1, 3), default=1)
    # (ours) factor on the channels of the backbone and of the dynamic image's network
    width: float = knob(above=0, default=1.0)
    # loop: frame by frame, so that batch norm hides the order (released code)
    frame_fold: str = knob(choices=("batch", "loop"), default="batch")
    # released code: temporal pooling mixes neighbours inside one frame, not frames
    official_reshape: bool = knob(default=False)
    dic: str = knob(choices=("encdec", "segnet"), default="encdec")  # encdec: Fig. 3 | segnet: released code
    # what the dynamic image is made of. pooled: F^(d) (Fig. 2) | spatial: (ours) the backbone's maps of each stage
    dic_input: str = knob(choices=("pooled", "spatial"), default="pooled")
    # (ours) clip_mean: the network sees the frames minus their clip's mean frame
    centre: str = knob(choices=("none", "clip_mean"), default="none")
    # (ours) with clip_mean: standard deviation of the frames' residual that the network sees
    gain: float = knob(above=0, default=1.0)
    # of the dynamic image that is the target: exact (Bilen et al.) | simple
    coeffs: str = knob(choices=("exact", "simple"), default="exact")
    # likewise: minmax | symmetric: (ours) what did not move is 0.5 in every picture
    stretch: str = knob(choices=("minmax", "symmetric"), default="minmax")
    rank_slope: float = knob(above=0, default=1.0)  # a of K(k) = a k in Eq. 5; the paper gives no number


@dataclass(frozen=True)
class TopLevel:
    """The keys of params.yaml that are this model's and stand outside of its section: weights of losses, Eq. 8."""

    lambda_d: float = knob(0, 1e6)
    lambda_r: float = knob(0, 1e6)


def labels(p) -> tuple[str, ...]:
    """The label stores that a run with parameters `p` reads beside the aligned clips."""
    return ("dynamic",)


def scaled(channels: int, width: float, step: int) -> int:
    """Channels of a layer at `width`: the nearest multiple of `step`, at least one."""
    return step * max(1, round(channels * width / step))


def local_channels(cfg: Config, stage: int) -> int:
    """Channels of the local blocks of stage 0..3."""
    return scaled(LOCAL[stage], cfg.width, cfg.head_dim)


def global_channels(cfg: Config, stage: int) -> tuple[int, int]:
    """Channels (attention, convolution) of the global blocks of stage 0..3, three to one; together their output.

    # released code: the first part rounded to a multiple of 32; here: of head_dim, the same at width 1.
    """
    total = max(2 * cfg.head_dim, scaled(GLOBAL[stage], cfg.width, cfg.head_dim))
    attention = min(total - cfg.head_dim, scaled(3 * total // 4, 1.0, cfg.head_dim))
    return attention, total - attention


def validate(cfg: Config) -> list[str]:
    """The problems of `cfg`, each one line that names the field, its value and what was expected; empty = valid."""
    if problems := knobs.problems(cfg, "fdp"):
        return problems
    found = []
    if cfg.dic_input == "spatial" and cfg.dic != "encdec":
        found.append(f"fdp.dic = {cfg.dic!r}: expected encdec with fdp.dic_input = 'spatial', which takes its decoder")
    if cfg.dic_input == "spatial" and cfg.tasks == ("dynamic",):
        found.append(f"fdp.tasks = {cfg.tasks!r}: expected mer or rank beside it with fdp.dic_input = 'spatial', "
                     "because nothing else reads the frames' representations")
    divides = all(side**2 % r**2 == 0 for side, r in zip(STAGE_SIDES, cfg.sr_ratios, strict=True))
    if cfg.backbone == "local_global" and not divides:
        found.append(f"fdp.sr_ratios = {cfg.sr_ratios!r}: expected ratios whose squares divide the {STAGE_SIDES}^2 "
                     "positions of the stages")
    return found
