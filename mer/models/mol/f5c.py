"""F5C, the local-global block of one frame of a pair (Fig. 2, section 3.2): FCC and CCC, each with a residual."""

from torch import Tensor, nn

from mer.models.mol.ccc import CCC, ReleasedCCC
from mer.models.mol.config import MAP, Config, feature_channels
from mer.models.mol.fcc import FCC, OneWayFCC, ReleasedFCC
from mer.models.mol.transformer import TransformerMixer


class F5C(nn.Module):
    """Z = X + FCC(X), Y = Z + CCC(Z), on maps (N, C, 16, 16). A part that is switched off leaves the identity."""

    def __init__(self, cfg: Config):
        super().__init__()
        self.fcc = _make_fcc(cfg)
        self.ccc = _make_ccc(cfg)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, 16, 16) -> the same shape."""
        if self.fcc is not None:
            maps = maps + self.fcc(maps)
        if self.ccc is not None:
            maps = maps + self.ccc(maps)
        return maps


def make_branch(cfg: Config) -> nn.Module:
    """The blocks of one branch in series (Table X), or the identity when F5C is switched off (Table IX)."""
    return nn.Sequential(*(F5C(cfg) for _ in range(cfg.f5c_blocks))) if cfg.f5c else nn.Identity()


def _make_fcc(cfg: Config) -> nn.Module | None:
    channels = feature_channels(cfg)
    if cfg.fcc == "off":
        return None
    if cfg.fcc == "transformer":
        return TransformerMixer(channels, MAP * MAP, position_sd=cfg.position_sd)
    options = {"norm": cfg.fcc_norm == "bn", "position_sd": cfg.position_sd,
               "kernel_init": cfg.kernel_init}
    if cfg.fcc == "release":
        return ReleasedFCC(channels, MAP, **options)
    if cfg.fcc == "fcc":
        return FCC(channels, MAP, **options)
    return OneWayFCC(channels, MAP, cfg.fcc[-1], **options)


def _make_ccc(cfg: Config) -> nn.Module | None:
    if cfg.ccc == "off":
        return None
    form = CCC if cfg.ccc == "paper" else ReleasedCCC
    return form(feature_channels(cfg), MAP * MAP, cfg.k, cfg.ccc_self)
