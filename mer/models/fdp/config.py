"""What can be chosen about FDP, with the paper's values as defaults; no torch here, so parameters are checked quickly.

Source: FDP (2025), sections 3 and 4.1.3, ablations of Tables 9, 10, 11 and 14.
"""

from dataclasses import dataclass, field

from mer.base.measure import Measure

TASKS = ("mer", "dynamic", "rank")
BACKBONES = ("local_global", "vit_base", "resnet18")
MHC = ("conv", "conv_pw", "multihead")

ORDER = 2  # among the models, wherever they are listed
SHARED = {"t": "sampling", "coeffs": "dynamic"}  # knobs that stand in another section
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
    # (ours) the stretch to [0, 1] gives every dynamic image a gray level of its own, which says nothing of motion
    Measure("mse_pattern", "its pattern, without each picture's own gray level", "x 1000", 1000, 2,
            rival="mse_pattern_mean_image", column="mse_pattern"),
    Measure("mse_pattern_mean_image", "mean image's pattern", "x 1000", 1000, 2, column="mse_pattern_mean_image"),
    Measure("rank_correlation", "rank correlation of the frames' scores with time", "", 1, 2, "more",
            constant=("equal scores", 0.0), column="rank_correlation", least=-1),
)


def _per_stage(*values: int):
    """A field with one number a stage; the metadata tell the reader of params.yaml that numbers may repeat."""
    return field(default=values, metadata={"repeat": True})


@dataclass(frozen=True)
class FdpConfig:
    """Every switch of FDP. Defaults are the paper's form at full width.

    Fields marked (ours) are in neither the paper nor the released code.
    """

    tasks: tuple[str, ...] = TASKS  # Tables 9, 14: a task that is not named has no head and no loss
    t: int = 8  # frames of a clip
    backbone: str = "local_global"  # Table 10: local_global | vit_base | resnet18
    mhc: str = "multihead"  # Table 10: conv (C) | conv_pw (C') | multihead (C*)
    n_local: tuple[int, ...] = _per_stage(2, 2, 2, 2)  # N_L in each stage; Table 9: 0 (released code 3, 4, 10, 3)
    n_global: tuple[int, ...] = _per_stage(1, 1, 1, 1)  # N_G in each stage; Table 9: 0 (Table 10's counts: 0)
    sr_ratios: tuple[int, ...] = _per_stage(1, 1, 1, 1)  # keys and values are means of r * r positions; Eq. 1-2: 1
    head_dim: int = 8  # channels of a head, of convolution and of attention (released code)
    drop_path: float = 0.1  # stochastic depth of the last block, 0 at the first, linear between (released code)
    in_channels: int = 1  # 3: the gray frame three times (paper's text); Table 10's counts are those of 1
    width: float = 1.0  # (ours) factor on the channels of the backbone and of the dynamic image's network
    frame_fold: str = "batch"  # loop: frame by frame, so that batch norm hides the order (released code)
    official_reshape: bool = False  # released code: temporal pooling mixes neighbours inside one frame, not frames
    dic: str = "encdec"  # encdec: Fig. 3 | segnet: released code
    centre: str = "none"  # (ours) clip_mean: the network sees the frames minus their clip's mean frame
    gain: float = 1.0  # (ours) with clip_mean: standard deviation of the frames' residual that the network sees
    coeffs: str = "exact"  # of the dynamic image that is the target: exact (Bilen et al.) | simple
    rank_slope: float = 1.0  # a of K(k) = a k in Eq. 5; the paper gives no number


PRESETS = {
    "paper": FdpConfig(),
    # Table 10 prints the sizes of networks without a global block, which is what the released code builds
    "published_params": FdpConfig(n_global=(0, 0, 0, 0)),
}


Config = FdpConfig


def labels(p) -> tuple[str, ...]:
    """The label stores that a run with parameters `p` reads beside the aligned clips."""
    return ("dynamic",)


def scaled(channels: int, width: float, step: int) -> int:
    """Channels of a layer at `width`: the nearest multiple of `step`, at least one."""
    return step * max(1, round(channels * width / step))


def local_channels(cfg: FdpConfig, stage: int) -> int:
    """Channels of the local blocks of stage 0..3."""
    return scaled(LOCAL[stage], cfg.width, cfg.head_dim)


def global_channels(cfg: FdpConfig, stage: int) -> tuple[int, int]:
    """Channels (attention, convolution) of the global blocks of stage 0..3, three to one; together their output.

    # released code: the first part rounded to a multiple of 32; here: of head_dim, the same at width 1.
    """
    total = max(2 * cfg.head_dim, scaled(GLOBAL[stage], cfg.width, cfg.head_dim))
    attention = min(total - cfg.head_dim, scaled(3 * total // 4, 1.0, cfg.head_dim))
    return attention, total - attention


def validate(cfg: FdpConfig) -> list[str]:
    """The problems of `cfg`, each one line that names the field, its value and what was expected; empty = valid."""
    problems = []

    def check(good: bool, name: str, expected: str) -> None:
        if not good:
            problems.append(f"fdp.{name} = {getattr(cfg, name)!r}: expected {expected}")

    def choice(name: str, words: tuple[str, ...]) -> None:
        check(getattr(cfg, name) in words, name, "one of " + ", ".join(words))

    def stages(name: str, good, each: str) -> None:
        values = getattr(cfg, name)
        whole = isinstance(values, (tuple, list)) and all(type(v) is int for v in values)
        check(whole and len(values) == STAGES and all(map(good, values)), name, f"{STAGES} {each}, one a stage")

    named = isinstance(cfg.tasks, (tuple, list)) and all(isinstance(task, str) for task in cfg.tasks)
    check(
        named and len(cfg.tasks) > 0 and set(cfg.tasks) <= set(TASKS) and len(set(cfg.tasks)) == len(cfg.tasks),
        "tasks",
        "one or more of " + ", ".join(TASKS) + ", each once",
    )
    check(cfg.t >= 2, "t", "at least 2 frames, since FDP is about their order")
    choice("backbone", BACKBONES)
    choice("mhc", MHC)
    stages("n_local", lambda n: n >= 0, "numbers of blocks")
    stages("n_global", lambda n: n >= 0, "numbers of blocks")
    stages("sr_ratios", lambda r: r >= 1, "ratios of at least 1")
    check(cfg.head_dim >= 1, "head_dim", "at least 1 channel")
    check(0 <= cfg.drop_path < 1, "drop_path", "a probability below 1")
    check(cfg.in_channels in (1, 3), "in_channels", "1 or 3")
    check(cfg.width > 0, "width", "a positive factor")
    choice("frame_fold", ("batch", "loop"))
    choice("dic", ("encdec", "segnet"))
    choice("centre", ("none", "clip_mean"))
    check(cfg.gain > 0, "gain", "a positive number")
    choice("coeffs", ("exact", "simple"))
    check(cfg.rank_slope > 0, "rank_slope", "a positive number")
    if not problems and cfg.backbone == "local_global":
        divides = all(side**2 % r**2 == 0 for side, r in zip(STAGE_SIDES, cfg.sr_ratios, strict=True))
        check(divides, "sr_ratios", f"ratios whose squares divide the {STAGE_SIDES}^2 positions of the stages")
    return problems
