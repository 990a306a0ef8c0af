"""What can be chosen about MOL, with the paper's values as defaults; no torch here, so parameters are checked quickly.

Source: MOL (TPAMI 2025), sections 3 and 4.3 (ablations of Tables VIII-XIII).
"""

from dataclasses import dataclass

from mer.base import knobs
from mer.base.knobs import knob
from mer.base.measure import Measure

TASKS = ("mer", "flow", "landmark")
FCC = ("fcc", "fcc_v", "fcc_h", "transformer", "release", "off")
CCC = ("paper", "release", "off")
INPUTS = ("raw", "centred", "both")
MER_INPUTS = ("concat", "first", "last", "all", "add", "sub")

ORDER = 1  # among the models, wherever they are listed
SHARED = {"t": "sampling"}  # knobs that stand in another section
SIZE = 128  # side of the crop the network sees, pixels
MAP = 16  # side of the feature maps F_k after the conv stack
TRANSFORMER_HEADS = 4
MEASURES = (
    Measure("epe", "flow end-point error", "px of the crop", rival="epe_zero_flow", column="epe"),
    Measure("epe_zero_flow", "zero flow", "px of the crop", column="epe_zero"),
    Measure("nme", "landmark error", "% of the inter-ocular distance", 100, 2, rival="nme_mean_face", column="nme"),
    Measure("nme_mean_face", "constant mean face", "% of the inter-ocular distance", 100, 2, column="nme_mean_face"),
    Measure("failure_rate", "frames with a landmark error above 10 %", "%", 100, 1, column="failures"),
)


@dataclass(frozen=True)
class Config:
    """Every switch of MOL. Defaults are the paper's form at full width.

    Fields marked (ours) are in neither the paper nor the released code.
    """

    # Table VIII, XIV, XV: a task that is not named has no head and no loss
    tasks: tuple[str, ...] = knob(choices=TASKS, empty=False, default=TASKS)
    t: int = knob(2, default=8)  # frames of a clip (Table XIII: 2, 4, 8, 16)
    # (ours) factor on the channels of stem, F5C, flow module and landmark head
    width: float = knob(above=0, default=1.0)
    # none | relu between the stem's convolutions; Table I lists convolutions only
    stem_act: str = knob(choices=("none", "relu"), default="none")
    f5c: bool = knob(default=True)  # Table IX: False = "w/o F5C", F^(g) = F^(r)
    # Table X: 1, 2, 3 blocks in series in each branch
    f5c_blocks: int = knob(1, note="to leave the block out set f5c = false", default=1)
    fcc: str = knob(choices=FCC, default="fcc")  # Tables IX, XI: fcc | fcc_v | fcc_h | transformer | release | off
    # none | bn: batch norm after the first positional embedding of each path (released code)
    fcc_norm: str = knob(choices=("none", "bn"), default="none")
    ccc: str = knob(choices=CCC, default="paper")  # Table IX: paper | release (pixel graph) | off
    k: int = knob(1, default=4)  # neighbours of a node of CCC (released code; the paper's number is lost)
    ccc_self: bool = knob(default=True)  # a node may be its own neighbour, as in the released code and in DGCNN
    share_branches: bool = knob(default=False)  # one F5C for both frames of a pair; the released code has two
    # Eq. 8, whose power is lost: l1 (released code) | l2 (the authors' earlier work)
    landmark_loss: str = knob(choices=("l1", "l2"), default="l1")
    mer_input: str = knob(choices=MER_INPUTS, default="concat")  # Table XII: concat | first | last | all | add | sub
    # what the F5C path sees: the frames (raw); (ours) minus their clip's mean frame (centred); both as channels
    input: str = knob(choices=INPUTS, default="raw")
    # (ours) with centred or both: standard deviation of the frames' residual that the F5C path sees
    gain: float = knob(above=0, default=1.0)
    # sd of the first positional embeddings and FCC biases (released code 1; ours 0.1 in demo)
    position_sd: float = knob(0, default=1.0)
    # factor on FCC's first kernels (released code: those of a convolution twice as long, of which half is used)
    kernel_init: float = knob(0, default=1.0)
    # (ours) factor on the first weights of the last flow layer (released code 1)
    flow_init: float = knob(0, default=0.01)
    dropout: float = knob(0, below=1, default=0.5)  # before both fully-connected layers of the MER head


@dataclass(frozen=True)
class TopLevel:
    """The keys of params.yaml that are this model's and stand outside of its section: weights of losses, Eq. 9."""

    lambda_f: float = knob(0, 1e6)
    lambda_m: float = knob(0, 1e6)


def labels(p) -> tuple[str, ...]:
    """The label stores that a run with parameters `p` reads beside the aligned clips."""
    return ("flow",) if "flow" in p.mol.tasks else ()


def limits(p) -> tuple[str, ...]:
    """What the model card must say of the weights beside what holds for every model."""
    shape = "The landmark head starts from, and may hold, the mean face shape of the training subjects."
    return (shape,) if "landmark" in p.mol.tasks else ()


def note(parameters: dict[str, object]) -> str:
    """What the note of a table tells of a run beside what every model's does; of the flat parameters."""
    return f"lambda_f {parameters['lambda_f']:g}, lambda_m {parameters['lambda_m']:g}"


def scaled(channels: int, width: float) -> int:
    """Channels of a layer at `width`: at least one."""
    return max(1, round(channels * width))


def input_channels(cfg: Config) -> int:
    """Channels of what the F5C path sees of a frame."""
    return 2 if cfg.input == "both" else 1


def feature_channels(cfg: Config) -> int:
    """C, the channels of F_k: 128 at full width."""
    return scaled(128, cfg.width)


def uses_first_branch(cfg: Config) -> bool:
    """Whether any task reads the local-global features of frames 0..t-2."""
    return "flow" in cfg.tasks or ("mer" in cfg.tasks and cfg.mer_input != "last")


def uses_second_branch(cfg: Config) -> bool:
    """Whether any task reads the local-global features of frames 1..t-1."""
    return "flow" in cfg.tasks or "landmark" in cfg.tasks or ("mer" in cfg.tasks and cfg.mer_input != "first")


def mer_length(cfg: Config) -> int:
    """L, the number of maps stacked in time before the 3D convolution (Table XII): 2(t-1), t or t-1."""
    return {"concat": 2 * (cfg.t - 1), "all": cfg.t}.get(cfg.mer_input, cfg.t - 1)


def validate(cfg: Config) -> list[str]:
    """The problems of `cfg`, each one line that names the field, its value and what was expected; empty = valid."""
    problems = knobs.problems(cfg, "mol")

    def check(good: bool, field: str, expected: str) -> None:
        if not good:
            problems.append(f"mol.{field} = {getattr(cfg, field)!r}: expected {expected}")

    if not problems:
        _check_block(cfg, check)
    return problems


def _check_block(cfg: Config, check) -> None:
    """Combinations inside the F5C block that cannot be built, or that would change nothing."""
    channels = feature_channels(cfg)
    if not cfg.f5c:
        check(cfg.f5c_blocks == 1, "f5c_blocks", "1 when f5c = false, because no block is built")
        return
    check(
        cfg.fcc != "off" or cfg.ccc != "off",
        "fcc",
        "anything but off when ccc = off too; to leave out the whole block set f5c = false",
    )
    check(
        cfg.fcc_norm == "none" or cfg.fcc not in ("transformer", "off"),
        "fcc_norm",
        f"none with fcc = {cfg.fcc}, which has no positional term to normalise",
    )
    if cfg.fcc == "transformer":
        check(
            channels % TRANSFORMER_HEADS == 0,
            "width",
            f"a multiple of {TRANSFORMER_HEADS / 128} with fcc = transformer, whose {TRANSFORMER_HEADS} heads share "
            f"the {channels} channels",
        )
    if cfg.fcc == "release":
        check(channels % 2 == 0, "width", f"an even number of channels (now {channels}) with fcc = release")
    if cfg.ccc != "off":
        nodes = channels if cfg.ccc == "paper" else MAP * MAP
        most = nodes if cfg.ccc_self else nodes - 1
        check(1 <= cfg.k <= most, "k", f"1 to {most} neighbours, since the graph of ccc = {cfg.ccc} has {nodes} nodes")
