"""FDP and MA2MI in the same folds as MOL: what they read, keep and carry over, and that no tested subject is seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pipeline import write_params
from training import test_folds as tools

from mer import params
from mer.base import store
from mer.evaluation import predictions
from mer.models.ma2mi import autoencoder_training, encoding
from mer.models.ma2mi import pairs as latents
from mer.models.ma2mi.autoencoder import ConvAe
from mer.models.ma2mi.config import needs_latents
from mer.training import checkpoint, folds, pretrain
from mer.training import task as tasks

SMALL = {"fdp": {"width": 0.0625, "n_local": [1, 0, 0, 0], "n_global": [0, 0, 0, 1]},
         "ma2mi": {"width": 0.0625, "conv_ae_width": 0.0625, "conv_ae_steps": 3, "size": 64, "dit_width": 16,
                   "dit_depth": 1, "dit_heads": 2, "interval": [1, 2]}}
BUDGET = {**tools.BUDGET, "batch": 4}
GREY = {"grey_error": 7.25, "grey_error_mean_picture": 20.5}  # of the autoencoder, as the latents stage writes it
VARIANTS = {
    "fdp": {"model": "fdp"},
    "fdp mer": {"model": "fdp", "fdp": {**SMALL["fdp"], "tasks": ["mer"]}},
    "ma2mi": {"model": "ma2mi"},
    "ma2mi maer": {"model": "ma2mi", "ma2mi": {**SMALL["ma2mi"], "pretraining": "maer"}},
    "ma2mi pixels": {"model": "ma2mi", "ma2mi": {**SMALL["ma2mi"], "autoencoder": "none"}},
    "ma2mi keep": {"model": "ma2mi", "ma2mi": {**SMALL["ma2mi"], "keep_reconstruction": True, "tune_fae": False}},
    "ma2mi no fpe": {"model": "ma2mi", "ma2mi": {**SMALL["ma2mi"], "fpe": False, "position_loss": False}},
}


def knobs(folder, variant: dict, **more) -> params.Params:
    path = folder / "params.yaml"
    write_params(path, {**SMALL, "selection": ["last", "oracle"], "sampling": {"t": 2 if "ma2mi" in variant["model"]
                                                                               else tools.T},
                        "pretrain": {"sources": ["synthetic_macro"], **BUDGET},
                        "train": {**BUDGET, "eval_every": 1}, **variant, **more})
    return params.load(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Label stores of the nine clips, and their latents by an untrained autoencoder."""
    folder = tmp_path_factory.mktemp("data")
    tools.write_stores(folder, knobs(folder, VARIANTS["fdp"]))
    write_latents(folder)
    return folder


def write_latents(folder) -> None:
    torch.manual_seed(0)
    model = ConvAe(SMALL["ma2mi"]["conv_ae_width"]).eval()
    encoding.encode(model, folder, "own", folder / "latents", crop=64, size=64)
    checkpoint.save(folder / "latents/autoencoder.pt", {"model": model.state_dict()})
    store.write_json(folder / "latents/summary.json", GREY)


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


def test_a_network_is_pretrained_carried_over_trained_and_tested(variant, data, tmp_path):
    p = knobs(tmp_path, variant)
    plan = tools.plan_of(p, data, tmp_path / "pretraining")
    pretrain.run(plan, 0, tmp_path / "pretrained")
    before = checkpoint.load(tmp_path / "pretrained/0/model.pt")["model"]
    still = replace(p, train=replace(p.train, steps=0), selection=("last",))
    plan = tools.plan_of(still, data, tmp_path / "still", pretrained=tmp_path / "pretrained")
    untrained = torch.load(tools.run(plan) / "model.pt", weights_only=True)["model"]
    head, carried = tasks.task(p).head_key, 0
    for name, value in untrained.items():
        if not name.startswith(head) and name in before and name != "residual_sd":
            assert torch.equal(value, before[name]), name
            carried += 1
    assert carried > 20

    made = tools.run(tools.plan_of(p, data, tmp_path / "folds", pretrained=tmp_path / "pretrained"))
    table = predictions.read(made / "predictions.csv")
    assert len(table) == 4 and np.isfinite(table.p).all()
    outputs = store.read_shard(made / "outputs.h5")[0]["s02_happy"]
    aux = {name for name, values in table.where("last").aux.items() if np.isfinite(values).any()}
    if variant["model"] == "ma2mi":
        assert outputs["grad_cam"].shape == (64, 64) and aux == set()
        assert outputs["grad_cam"].min() >= 0 and outputs["grad_cam"].max() <= 1
    elif "fdp" in variant:
        assert outputs == {} and aux == set()
    else:
        assert outputs["dynamic"].shape == outputs["dynamic_label"].shape == (64, 64)
        assert outputs["scores"].shape == (tools.T,) and aux == {
            "mse", "mse_mean_image", "mse_pattern", "mse_pattern_mean_image", "dynamic_corr",
            "dynamic_corr_mean_image", "rank_correlation"}


def test_nothing_of_the_tested_subject_reaches_its_training(variant, data, tmp_path):
    p = replace(knobs(tmp_path, variant), selection=("last",))
    tools.write_stores(tmp_path / "other", p, other_subject="own/s02")
    write_latents(tmp_path / "other")
    models = []
    for folder in (data, tmp_path / "other"):
        plan = tools.plan_of(p, folder, tmp_path / f"scratch {len(models)}")
        turned = tuple(replace(e, label=(e.label + 1) % 3) if models and e.subject == "own/s02" else e
                       for e in plan.entries)
        made = tools.run(replace(plan, entries=turned))
        models.append(((made / "model.pt").read_bytes(), (made / "predictions.csv").read_bytes()))
    assert models[0][0] == models[1][0]
    assert models[0][1] != models[1][1]


def test_a_model_that_is_frozen_in_part_trains_the_rest(data, tmp_path):
    p = knobs(tmp_path, VARIANTS["ma2mi keep"])
    plan = tools.plan_of(p, data, tmp_path / "scratch")
    clips = folds.load_clips(plan)
    model, _ = folds.start_model(plan, clips, torch.arange(len(clips)), 0, "x")
    start = {name: value.clone() for name, value in model.state_dict().items()}
    folds._fit(plan, model, clips, torch.arange(len(clips)), 0, "x", tmp_path / "state.pt", None)
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
    assert changed == {"fpe", "head", "dit"}


def test_pretraining_by_reconstruction_resumes_to_the_same_bytes(data, tmp_path, monkeypatch):
    p = knobs(tmp_path, VARIANTS["ma2mi"])
    plan = tools.plan_of(p, data, tmp_path)
    pretrain.run(plan, 0, tmp_path / "whole")
    calls = []

    def killed(self, *args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw(self, *args)

    from mer.models.ma2mi.task import Reconstruction
    draw = Reconstruction.draw
    monkeypatch.setattr(Reconstruction, "draw", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain.run(plan, 0, tmp_path / "cut")
    assert (tmp_path / "cut/0/state.pt").exists()
    monkeypatch.setattr(Reconstruction, "draw", draw)
    pretrain.run(plan, 0, tmp_path / "cut")
    assert (tmp_path / "cut/0/model.pt").read_bytes() == (tmp_path / "whole/0/model.pt").read_bytes()


def test_the_autoencoder_is_trained_on_the_sources_and_named_by_its_checksum(data, tmp_path):
    p = knobs(tmp_path, {**VARIANTS["ma2mi"], "ma2mi": {**SMALL["ma2mi"], "conv_ae_width": 0.25,
                                                         "conv_ae_steps": 60}})
    told = autoencoder_training.run(p, [data / "aligned/own"], tmp_path / "scratch", tmp_path / "out", "cpu")
    assert told["grey_error"] < told["grey_error_mean_picture"]
    model, name = latents.open_autoencoder(p.ma2mi, tmp_path / "out/autoencoder.pt")
    again = autoencoder_training.run(p, [data / "aligned/own"], tmp_path / "scratch 2", tmp_path / "again", "cpu")
    assert again == told
    assert latents.open_autoencoder(p.ma2mi, tmp_path / "again/autoencoder.pt")[1] == name
    assert model.scale != 1 and len((tmp_path / "out/log.csv").read_text().splitlines()) == 61


@pytest.mark.parametrize(("changes", "wanted"), [
    ({}, True), ({"ma2mi": {**SMALL["ma2mi"], "autoencoder": "none"}}, False),
    ({"ma2mi": {**SMALL["ma2mi"], "pretraining": "maer"}}, False), ({"model": "fdp", "sampling": {"t": 3}}, False)])
def test_latents_are_made_only_where_they_are_read(tmp_path, changes, wanted):
    assert needs_latents(knobs(tmp_path, VARIANTS["ma2mi"] | changes)) is wanted
