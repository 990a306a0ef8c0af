"""What can be chosen about OFF-ApexNet; no torch here, so parameters are checked quickly.

Source: Gan, Liong, Yau, Huang, Tan, "OFF-ApexNet on micro-expression recognition system", Signal Processing: Image
Communication 74 (2019), 129-139. The paper's text is not part of this project: what stands here is its abstract, and
the two sizes that public re-implementations print (README.md).
"""

from dataclasses import dataclass

from mer.base.knobs import knob

ORDER = 4  # among the models, wherever they are listed
FILTERS = (6, 16)  # of the two convolutions of a stream
HIDDEN = 1024  # units of a fully connected layer


@dataclass(frozen=True)
class Config:
    """Every switch of OFF-ApexNet."""

    # paper: a stream for each component of the flow, two hidden layers | port: one stream for both and one hidden
    # layer, as in the library that others compare with
    form: str = knob(choices=("paper", "port"), default="paper")
    side: int = knob(8, 128, default=28)  # pixels, to which the maps of the flow are scaled down
    dropout: float = knob(0, below=1, default=0.5)  # (ours: not known of the paper) before each fully connected layer


def labels(p) -> tuple[str, ...]:
    """The label stores that a run with parameters `p` reads beside the aligned clips."""
    return ("flow",)


def validate(cfg: Config) -> list[str]:
    """The problems of `cfg` that no single knob has: each a line; empty = valid."""
    return [] if cfg.side % 4 == 0 else [
        f"offapexnet.side = {cfg.side}: expected a multiple of 4, because the maps are halved twice"]


def problems(p) -> list[str]:
    """Combinations with other sections that cannot run, each a line."""
    found = []
    if p.sampling.t != 2:
        found.append(f"sampling.t = {p.sampling.t} with model = offapexnet; expected 2, onset and apex")
    for name, crop in (("pretrain", p.pretrain.crop), ("train", p.train.crop)):
        if crop < p.offapexnet.side:
            found.append(f"{name}.crop = {crop}; expected at least offapexnet.side = {p.offapexnet.side}, to which the "
                         "flow is scaled down")
    return found
