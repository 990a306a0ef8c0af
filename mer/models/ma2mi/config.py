"""What can be chosen about MA2MI and its network MIACNet; no torch here, so parameters are checked quickly.

Source: "From Macro to Micro" (arXiv 2405.16451), sections 3 and 4.3-4.4. Its text lost every formula and many numbers,
so most defaults are readings of its words (marked: inferred), and the other readings stand beside.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from mer.base import knobs
from mer.base.knobs import knob

PRETRAINING = ("ma2mi", "maer", "none")
ORDER = 3  # among the models, wherever they are listed
ENCODER_WEIGHTS = "data/encoder_weights"  # an input of the stages that read from it
AUTOENCODERS = ("sd_vae", "conv_ae", "none")
FUSIONS = ("add_flat", "add", "concat", "gate")

CHANNELS = 3  # of the pictures the encoders see; gray crops are repeated
LATENT = 4  # channels of an autoencoder's latent
DOWN = 8  # pixels of the picture to one pixel of the latent, along a side
CELL = 32  # pixels of the picture to one position of ResNet18's grid, along a side
FEATURES = 512  # channels of F_p and F_a at width 1

LEARNED = (  # an error of pretraining.json, by what the latent is estimated; what it says if it is over 1 % above the
    # network's, and if not
    ("reconstruction", "the network", "", ""),
    ("copy", "copying the earlier frame's", "It beats copying the earlier frame.",
     "It does no better than copying the earlier frame: it has not learned what changes."),
    ("shuffled_c", "the network, with the condition of another clip",
     "With another clip's condition the error grows: the condition carries the motion.",
     "With another clip's condition the error stays: the condition is not used."),
    ("shuffled_action", "the network, with the action features shuffled over the grid",
     "With the action features shuffled over the grid it grows: where something moves counts.",
     "With the action features shuffled over the grid it stays: where something moves does not count."),
    ("shuffled_position", "the network, with the position features shuffled over the grid",
     "With the position features shuffled over the grid it grows too: they are used.",
     "Shuffled over the grid, the position features make no difference: they are not used."))
TOLD = {"autoencoder_grey_error": (  # further keys of pretraining.json and the sentence with them
    "The autoencoder, trained here, gives back frames of clips it has not seen with a mean error of "
    "{autoencoder_grey_error:.1f} of 255 grey levels; the mean picture's is "
    "{autoencoder_grey_error_mean_picture:.1f}.")}


@dataclass(frozen=True)
class Config:
    """Every switch of MA2MI. Defaults are the paper's form, as far as its words tell.

    Fields marked (inferred) have no value in the paper's text; fields marked (ours) are in neither paper nor text.
    """

    # Table 1: ma2mi (future frame) | maer (classes of the macro release) | none
    pretraining: str = knob(choices=PRETRAINING, default="ma2mi")
    # Table 1: sd_vae (paper) | conv_ae (ours, trained here) | none (pixel space, dagger)
    autoencoder: str = knob(choices=AUTOENCODERS, default="sd_vae")
    sd_vae: str = knob(default="data/sd_vae")  # folder with config.json and diffusion_pytorch_model.safetensors or .bin
    conv_ae_width: float = knob(above=0, default=1.0)  # (ours) factor on the channels 64, 128, 256 of conv_ae
    conv_ae_steps: int = knob(1, default=20000)  # (ours) steps of its training on the macro frames
    # (inferred) mean | sample of the autoencoder's posterior
    posterior: str = knob(choices=("mean", "sample"), default="mean")
    size: int = knob(CELL, default=224)  # (inferred) side of the picture, pixels
    width: float = knob(above=0, default=1.0)  # (ours) factor on the channels of both ResNet18 encoders
    encoder_weights: str | None = knob(default=None)  # (inferred: null = random) torchvision's ResNet18, a file name
    fpe: bool = knob(default=True)  # Table 4, row 1: False = without the facial position encoder, c = mean(F_a)
    # (ours: 16) pixels of the picture to one position of the encoders' grid, along a side
    cell: int = knob(choices=(CELL, CELL // 2), default=CELL, optional=True)
    # (inferred) how F_p and F_a become c: add_flat (as MMNet) | add, concat, gate: averaged, so that c does not know
    # where anything is
    fusion: str = knob(choices=FUSIONS, default="add_flat")
    position_loss: bool = knob(default=True)  # Table 4, row 2: False = FPE learns from the reconstruction loss instead
    # (inferred) hungarian (one to one) | argmax: the index m(i) of Eq. 4
    match: str = knob(choices=("hungarian", "argmax"), default="hungarian")
    # (ours) features have unit length per position in the equivariance loss (Eq. 5)
    unit_norm: bool = knob(default=True)
    rotation: float = knob(0, 180, default=15.0)  # (inferred) T of Eq. 5: rotation up to this, degrees
    # (inferred) T of Eq. 5: translation up to this, fraction of the side
    translation: float = knob(0, below=1, default=0.1)
    weight_div: float = knob(0, default=1.0)  # (inferred) weight of the diversity loss (Eq. 2) in L_pos (Eq. 6)
    weight_con: float = knob(0, default=1.0)  # (inferred) weight of the cross-face consistency loss (Eq. 3)
    weight_spa: float = knob(0, default=1.0)  # (inferred) weight of the spatial equivariance loss (Eq. 5)
    # (inferred) Fig. 4: frames between I_t and I_{t+d}, both ends included
    interval: tuple[int, ...] = knob(1, repeat=True, length=2, default=(2, 6))
    # direct | residual (ours): DiT gives z_{t+d}, or its difference from z_t
    predict: str = knob(choices=("direct", "residual"), default="direct")
    patch: int = knob(1, default=2)  # (inferred) side of DiT's patches in the latent, pixels of it
    pixel_patch: int = knob(1, default=8)  # (inferred) the same with autoencoder = none, pixels of the picture
    dit_width: int = knob(1, default=768)  # DiT-B
    dit_depth: int = knob(1, default=12)  # DiT-B
    dit_heads: int = knob(1, default=12)  # DiT-B
    keep_reconstruction: bool = knob(default=False)  # Table 2: fine-tuning keeps DiT and the reconstruction loss
    tune_fpe: bool = knob(default=True)  # Table 2: False = the position encoder is frozen in fine-tuning
    tune_fae: bool = knob(default=True)  # Table 2: False = the action encoder is frozen in fine-tuning
    # fine-tuning: both frames are rotated up to this, degrees (strength: MMNet)
    turn: float = knob(0, 180, default=3.0)


def needs_latents(p) -> bool:
    """Whether the run reads data/latents: MA2MI's reconstruction, unless in pixel space."""
    used = (p.pretrain.sources and (p.pretrain.steps or p.pretrain.epochs)) or p.ma2mi.keep_reconstruction
    return bool(p.model == "ma2mi" and p.ma2mi.pretraining == "ma2mi" and p.ma2mi.autoencoder != "none" and used)


def labels(p) -> tuple[str, ...]:
    """The label stores that a run with parameters `p` reads beside the aligned clips."""
    return ("latents",) if needs_latents(p) else ()


def files(p) -> list[str]:
    """The files of weights that the run reads."""
    found = []
    if needs_latents(p) and p.ma2mi.autoencoder == "sd_vae":
        found += [path.as_posix() for path in sorted(Path(p.ma2mi.sd_vae).glob("*")) if path.suffix in (
            ".json", ".safetensors", ".bin")]
    if p.ma2mi.encoder_weights:
        found.append(f"{ENCODER_WEIGHTS}/{p.ma2mi.encoder_weights}")
    return found


def problems(p) -> list[str]:
    """What of the other sections does not go with this model."""
    found = [] if p.sampling.t == 2 else [f"sampling.t = {p.sampling.t}; expected 2 with model = ma2mi, which sees the "
                                          "onset and the apex frame"]
    if p.ma2mi.keep_reconstruction and needs_latents(p) and p.pretrain.crop != p.train.crop:
        found.append(f"train.crop = {p.train.crop} with pretrain.crop = {p.pretrain.crop}; expected the same with "
                     "ma2mi.keep_reconstruction = true, whose latents are of one crop")
    return found


def without_weights(cfg: Config) -> Config:
    """For a network whose weights all come from a checkpoint: those that it started from need not be there."""
    return dataclasses.replace(cfg, encoder_weights=None)


def without_paths(cfg: Config) -> Config:
    """For an export: no absolute path of this machine."""
    folder = Path(cfg.sd_vae)
    return dataclasses.replace(cfg, sd_vae=folder.name if folder.is_absolute() else folder.as_posix())


def pretrains(parameters: dict[str, object]) -> bool:
    """Whether a run with these flat parameters is pretrained, if there are sources and steps for it."""
    return parameters["ma2mi.pretraining"] != "none"


def note(parameters: dict[str, object]) -> str:
    """What the note of a table tells of a run beside what every model's does; of the flat parameters."""
    return f"autoencoder {parameters['ma2mi.autoencoder']}"


def scaled(channels: int, width: float) -> int:
    """Channels of a layer at `width`: at least one."""
    return max(1, round(channels * width))


def features(cfg: Config) -> int:
    """Channels of F_p and F_a: 512 at full width."""
    return scaled(FEATURES, cfg.width)


def condition_size(cfg: Config) -> int:
    """Length of the condition vector c."""
    if cfg.fusion == "add_flat":
        return features(cfg) * (cfg.size // cfg.cell) ** 2
    return features(cfg) * (2 if cfg.fusion == "concat" and cfg.fpe else 1)


def latent_shape(cfg: Config) -> tuple[int, int, int]:
    """(channels, side, patch) of what DiT predicts: latents, or the picture itself with autoencoder = none."""
    if cfg.autoencoder == "none":
        return CHANNELS, cfg.size, cfg.pixel_patch
    return LATENT, cfg.size // DOWN, cfg.patch


def frozen(cfg: Config) -> tuple[str, ...]:
    """Names of the encoders that are not trained in fine-tuning (Table 2)."""
    return tuple(name for name, tuned in (("fpe", cfg.tune_fpe), ("fae", cfg.tune_fae))
                 if not tuned and (name == "fae" or cfg.fpe))


def loss_weights(cfg: Config) -> dict[str, float]:
    """Weights of the named losses (Eq. 6 and 10); `mer` is the cross entropy of fine-tuning and of MAER."""
    return {"mer": 1.0, "reconstruction": 1.0, "diversity": cfg.weight_div, "consistency": cfg.weight_con,
            "equivariance": cfg.weight_spa}


def validate(cfg: Config) -> list[str]:
    """The problems of `cfg`, each one line that names the field, its value and what was expected; empty = valid."""
    problems = knobs.problems(cfg, "ma2mi")

    def check(good: bool, field: str, expected: str) -> None:
        if not good:
            problems.append(f"ma2mi.{field} = {getattr(cfg, field)!r}: expected {expected}")

    if not problems:
        _check_combinations(cfg, check)
    return problems


def _check_combinations(cfg: Config, check) -> None:
    """Values that cannot be built together, or that would change nothing."""
    check(cfg.size % CELL == 0, "size",
          f"a multiple of {CELL} pixels, so that the encoders' grid covers the picture in whole cells")
    check(cfg.encoder_weights is None or "/" not in cfg.encoder_weights, "encoder_weights",
          f"the name of a file in {ENCODER_WEIGHTS}, where DVC sees it change, or null")
    check(cfg.interval[0] <= cfg.interval[1], "interval", "two numbers of frames [low, high], 1 <= low <= high")
    _, side, patch = latent_shape(cfg)
    check(side % patch == 0, "pixel_patch" if cfg.autoencoder == "none" else "patch",
          f"a divisor of {side}, the side of what DiT predicts with size = {cfg.size}")
    check(cfg.dit_width % (4 * cfg.dit_heads) == 0, "dit_width",
          f"a multiple of 4 x dit_heads = {4 * cfg.dit_heads} (sines and cosines of two axes, equal heads)")
    check(cfg.fpe or not cfg.position_loss, "position_loss", "false with fpe = false, which leaves nothing to train")
    check(cfg.fpe or cfg.fusion in ("add", "add_flat"), "fusion", "add or add_flat with fpe = false")
    check(cfg.pretraining == "ma2mi" or not cfg.keep_reconstruction, "keep_reconstruction",
          f"false with pretraining = {cfg.pretraining}, which leaves no DiT to keep")
    check(cfg.tune_fpe or cfg.fpe, "tune_fpe", "true with fpe = false: there is no position encoder to freeze")
