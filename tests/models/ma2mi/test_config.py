"""Config: the paper's defaults and every row of its tables are valid, and what cannot be built is refused."""

import dataclasses
import subprocess
import sys

import pytest

from mer.models.ma2mi.config import Config, condition_size, frozen, latent_shape, validate

ROWS = {
    "paper": {},
    "Table 1, baseline": {"pretraining": "none"},
    "Table 1, MAER": {"pretraining": "maer"},
    "Table 1, pixel space": {"autoencoder": "none"},
    "Table 2, row 1": {"keep_reconstruction": True, "tune_fae": False},
    "Table 2, row 5": {"tune_fpe": False},
    "Table 4, row 1": {"fpe": False, "position_loss": False},
    "Table 4, row 2": {"position_loss": False},
    "Fig. 4, shortest": {"interval": (1, 1)},
    "small": {"size": 64, "width": 0.25, "conv_ae_width": 0.25, "autoencoder": "conv_ae", "dit_width": 64,
              "dit_depth": 2, "dit_heads": 4},
    "256 pixels": {"size": 256},
    "a finer grid": {"size": 64, "cell": 16},
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_what_the_paper_compares_is_valid(row):
    assert validate(Config(**ROWS[row])) == []


@pytest.mark.parametrize(("fields", "named"), [
    ({"pretraining": "mae"}, "pretraining"),
    ({"autoencoder": "vae"}, "autoencoder"),
    ({"fusion": "sum"}, "fusion"),
    ({"cell": 8}, "cell"),
    ({"posterior": "mode"}, "posterior"),
    ({"match": "greedy"}, "match"),
    ({"predict": "noise"}, "predict"),
    ({"size": 144}, "size"),
    ({"size": 0}, "size"),
    ({"width": 0.0}, "width"),
    ({"conv_ae_width": -1.0}, "conv_ae_width"),
    ({"rotation": 190.0}, "rotation"),
    ({"turn": -1.0}, "turn"),
    ({"translation": 1.0}, "translation"),
    ({"weight_div": -1.0}, "weight_div"),
    ({"weight_con": -1.0}, "weight_con"),
    ({"weight_spa": -1.0}, "weight_spa"),
    ({"interval": (6, 2)}, "interval"),
    ({"interval": (0, 2)}, "interval"),
    ({"interval": (2,)}, "interval"),
    ({"patch": 0}, "patch"),
    ({"patch": 8}, "patch"),
    ({"autoencoder": "none", "pixel_patch": 10}, "pixel_patch"),
    ({"dit_width": 770}, "dit_width"),
    ({"dit_heads": 5}, "dit_width"),
    ({"dit_depth": 0}, "dit_depth"),
    ({"fpe": False}, "position_loss"),
    ({"fpe": False, "position_loss": False, "fusion": "gate"}, "fusion"),
    ({"fpe": False, "position_loss": False, "tune_fpe": False}, "tune_fpe"),
    ({"pretraining": "maer", "keep_reconstruction": True}, "keep_reconstruction"),
])  # fmt: skip
def test_a_bad_field_is_named_with_its_value(fields, named):
    problems = validate(Config(**fields))
    assert len(problems) == 1
    assert problems[0].startswith(f"ma2mi.{named} = ") and "expected" in problems[0] and "\n" not in problems[0]
    assert repr(getattr(Config(**fields), named)) in problems[0]


def test_all_problems_are_listed_at_once():
    assert len(validate(Config(size=1, width=0.0, fusion="?"))) == 3


def test_derived_sizes():
    assert latent_shape(Config()) == (4, 28, 2) and latent_shape(Config(autoencoder="none")) == (3, 224, 8)
    assert condition_size(Config(size=64, cell=16)) == condition_size(Config(size=128)) == 512 * 16
    sizes = {fusion: condition_size(Config(fusion=fusion)) for fusion in ("add", "concat", "add_flat", "gate")}
    assert sizes == {"add": 512, "concat": 1024, "add_flat": 25_088, "gate": 512}


def test_frozen_encoders():
    assert frozen(Config()) == ()
    assert frozen(Config(tune_fpe=False, tune_fae=False)) == ("fpe", "fae")


def test_it_is_frozen_and_plain():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().size = 64


def test_needs_no_torch():
    code = "import sys, mer.models.ma2mi.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
