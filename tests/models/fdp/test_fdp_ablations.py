"""Every row of Tables 9, 10, 11, 14 and the released deviations: built, sized and trainable from the configuration."""

from types import SimpleNamespace

import pytest
import torch

from mer.models.fdp.backbones import make_backbone
from mer.models.fdp.config import Config
from mer.models.fdp.dynamic_decoder import EncoderDecoder, SegNet
from mer.models.fdp.losses import fdp_losses
from mer.models.fdp.network import FDP

NONE = (0, 0, 0, 0)
BASE = {"width": 1 / 16, "t": 4, "drop_path": 0.0}
LAMBDA = {"mer": 1.0, "dynamic": 100.0, "rank": 0.1}
ROWS = {
    "9 FDP": {},
    "9 w/o L_DIC": {"tasks": ("mer", "rank")},
    "9 w/o L_Rank": {"tasks": ("mer", "dynamic")},
    "9 w/o L": {"n_local": NONE},
    "9 w/o G": {"n_global": NONE},
    "9 w/o L&G": {"n_local": NONE, "n_global": NONE},
    "10 ViT-Base": {"backbone": "vit_base"},
    "10 ResNet18": {"backbone": "resnet18"},
    "10 C": {"mhc": "conv"},
    "10 C'": {"mhc": "conv_pw"},
    "14 w/o L_MER": {"tasks": ("dynamic", "rank")},
    "rank alone": {"tasks": ("rank",)},
    "released depths": {"mhc": "conv", "n_local": (3, 4, 10, 3), "n_global": NONE},
    "released reshape": {"official_reshape": True},
    "released pooling of keys": {"sr_ratios": (8, 4, 2, 1)},
    "released, frame by frame": {"frame_fold": "loop"},
    "SegNet": {"dic": "segnet"},
    "spatial": {"dic_input": "spatial"},
    "spatial, w/o L_MER": {"dic_input": "spatial", "tasks": ("dynamic", "rank")},
    "spatial, w/o L_Rank, symmetric": {"dic_input": "spatial", "tasks": ("mer", "dynamic"), "stretch": "symmetric"},
    "spatial, w/o L&G": {"dic_input": "spatial", "n_local": NONE, "n_global": NONE},
    "spatial, ViT-Base": {"dic_input": "spatial", "backbone": "vit_base"},
    "spatial, ResNet18": {"dic_input": "spatial", "backbone": "resnet18"},
    "spatial, frame by frame": {"dic_input": "spatial", "frame_fold": "loop"},
    "spatial without that task": {"dic_input": "spatial", "tasks": ("mer", "rank")},
    "simple coefficients": {"coeffs": "simple"},
    "slope": {"rank_slope": 1 / 7},
    "three channels": {"in_channels": 3},
    "centred": {"centre": "clip_mean"},
    "stochastic depth": {"drop_path": 0.5},
}
KEYS = {"mer": "logits", "dynamic": "dynamic", "rank": "scores"}


@pytest.mark.parametrize("row", ROWS)
def test_row_is_trainable(row):
    """One step reaches every parameter, so nothing is built that the row does not use, and the loss falls."""
    torch.manual_seed(0)
    cfg = Config(**{**BASE, **ROWS[row]})
    model = FDP(cfg, 3)
    batch = SimpleNamespace(frames=torch.rand(3, 4, 1, 64, 64), label=torch.tensor([0, 2, 1]))

    def loss():
        torch.manual_seed(3)  # the same stochastic depth
        outputs = model(batch.frames)
        assert set(outputs) == {KEYS[task] for task in cfg.tasks}
        return sum(LAMBDA[name] * term for name, term in fdp_losses(outputs, batch, cfg).items())

    before = loss()
    before.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    norm = sum(p.grad.square().sum() for p in model.parameters()).sqrt()
    with torch.no_grad():
        for p in model.parameters():
            p -= 1e-3 * p.grad / norm
    assert loss() < before


def backbone(**fields):
    return sum(p.numel() for p in make_backbone(Config(**fields)).parameters())


SIZES = {  # spec sections 3, 4 and 6; Table 10 prints the first five in millions, rows C and C' exchanged
    "ViT-Base": ({"backbone": "vit_base"}, 88_389_376, 88.39),
    "C": ({"mhc": "conv", "n_global": NONE}, 27_140_288, 27.14),
    "C'": ({"mhc": "conv_pw", "n_global": NONE}, 28_712_768, 28.71),
    "C*": ({"n_global": NONE}, 14_819_648, 14.82),
    "ResNet18": ({"backbone": "resnet18"}, 13_271_488, 13.27),
    "C with global blocks": ({"mhc": "conv"}, 38_086_080, 38.09),
    "C' with global blocks": ({"mhc": "conv_pw"}, 39_746_560, 39.75),
    "FDP": ({}, 25_104_640, 25.10),
    "w/o L": ({"n_local": NONE}, 13_907_200, 13.91),
    "w/o L&G": ({"n_local": NONE, "n_global": NONE}, 3_622_208, 3.62),
    "heads of 16": ({"n_global": NONE, "head_dim": 16}, 15_027_008, 15.03),
    "heads of 32": ({"n_global": NONE, "head_dim": 32}, 15_441_728, 15.44),
    "three channels": ({"in_channels": 3}, 25_104_640 + 1_152, 25.11),
    "released": ({"mhc": "conv", "n_local": (3, 4, 10, 3), "n_global": NONE}, 54_952_448, 54.95),
}


@pytest.mark.parametrize("row", SIZES)
def test_backbone_has_the_published_size(row):
    fields, number, millions = SIZES[row]
    with torch.device("meta"):  # sizes alone: nothing is drawn or stored
        assert backbone(**fields) == number
    assert round(number / 1e6, 2) == millions


def test_the_size_that_table_10_prints_is_that_without_global_blocks():
    with torch.device("meta"):
        model = FDP(Config(n_global=NONE), 5)
        assert sum(p.numel() for p in model.backbone.parameters()) == 14_819_648


def test_sizes_of_the_dynamic_image_networks():
    def size(network):
        return sum(p.numel() for p in network.parameters())

    assert size(EncoderDecoder(8)) == 4_516_129 and size(EncoderDecoder(8, 0.5)) == 1_131_153
    assert size(SegNet(8)) == 29_446_465


def test_released_network_has_its_size():
    """85.30 million: its backbone, SegNet, temporal pooling and classifier, without a rank scorer."""
    cfg = Config(tasks=("mer", "dynamic"), dic="segnet", mhc="conv", n_local=(3, 4, 10, 3), n_global=NONE)
    with torch.device("meta"):
        assert round(sum(p.numel() for p in FDP(cfg, 5).parameters()) / 1e6, 2) == 85.30


def test_tasks_without_weight_share_one_network():
    """Table 11 changes weights alone: the network is drawn the same whatever they are, so rows differ by training."""
    torch.manual_seed(0)
    one = FDP(Config(**BASE), 3)
    torch.manual_seed(0)
    other = FDP(Config(**BASE, rank_slope=0.5), 3)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
