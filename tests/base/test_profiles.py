"""Profiles of params.yaml that are `like` another."""

import dataclasses
from pathlib import Path

import pytest

from mer import params
from mer.base import knobs, portable
from mer.base.errors import MerError

PARAMS = Path(__file__).parents[2] / "params.yaml"


def resolved(name: str) -> dict:
    raw = knobs.read_yaml(PARAMS) | {"model": "mol", "profile": name}
    return knobs.flatten(dataclasses.asdict(params.resolve(raw)))


def test_released_is_paper_with_the_network_and_the_loss_weights_of_its_code():
    paper, released = resolved("paper"), resolved("released")
    differing = {key: (paper[key], released[key]) for key in paper if paper[key] != released[key]}
    assert differing == {"profile": ("paper", "released"), "lambda_f": (10.0, 1.43), "lambda_m": (0.1, 0.7),
                         "mol.fcc": ("fcc", "release"), "mol.fcc_norm": ("none", "bn"), "mol.ccc": ("paper", "release"),
                         "mol.kernel_init": (1.0, 0.7071), "mol.flow_init": (0.01, 1.0)}
    assert paper.keys() == released.keys()


def test_a_profile_is_its_own_values_over_the_paper_s():
    blocks = {"m": {"a": {"like": "paper", "train": {"steps": 1}, "lr": 1, "flow": {}},
                    "paper": {"train": {"steps": 3, "batch": 3}, "lr": 3, "flow": {"pairs": 2}}}}
    assert knobs.profile(blocks, "m", "a") == {"train": {"steps": 1, "batch": 3}, "lr": 1, "flow": {"pairs": 2}}
    assert knobs.profile(blocks, "m", "paper") == blocks["m"]["paper"] and "like" in blocks["m"]["a"]


def test_a_profile_with_epochs_of_its_own_takes_no_steps_from_the_paper_s_and_the_other_way_round():
    blocks = {"m": {"a": {"like": "paper", "train": {"epochs": 2}, "pretrain": {"steps": 9}},
                    "paper": {"train": {"steps": 3, "batch": 3}, "pretrain": {"epochs": 4, "crop": 5}}}}
    assert knobs.profile(blocks, "m", "a") == {"train": {"epochs": 2, "batch": 3}, "pretrain": {"steps": 9, "crop": 5}}


@pytest.mark.parametrize(("blocks", "message"), [
    ({"a": {"like": "papr"}, "paper": {}},
     "p.yaml: profiles.m.a.like = 'papr'; expected paper, in a profile of another name"),
    ({"a": {"like": "paper"}}, "p.yaml: profiles.m.a.like = 'paper'; expected paper, in a profile of another name"),
    ({"a": 3}, "p.yaml: profiles.m.a = 3; expected a section with keys"),
    ({"a": {"like": "paper", "lr": 1}, "paper": {"lr": 2, "flow": {"pairs": 1}}},
     "p.yaml: key `profiles.m.a.flow` is missing; a profile like paper names each of its keys ({}: as the paper's)")])
def test_a_profile_that_is_like_none_is_refused(blocks, message):
    with pytest.raises(MerError) as error:
        knobs.profile({"m": blocks}, "m", "a", "p.yaml")
    assert str(error.value) == message


def test_the_instruction_set_follows_a_profile_that_is_like_another(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("model: m\nprofile: a\ntrain: {portable: null}\n"
                    "profiles: {m: {a: {like: paper, train: {}}, paper: {train: {portable: true}}}}\n")
    assert portable.wanted(file)
    file.write_text(file.read_text().replace("like: paper", "like: c"))
    assert not portable.wanted(file)
