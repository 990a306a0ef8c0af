"""A number that FDP's Table 10 prints and no fold measures."""

import torch

from mer.models.fdp.backbones import make_backbone


def facts(p) -> dict[str, float]:
    """The size of the backbone in parameters."""
    with torch.device("meta"):
        return {"backbone_parameters": sum(w.numel() for w in make_backbone(p.fdp).parameters())}
