"""What FDP and MA2MI are said to learn, on rendered faces and tested subjects; switched off, they do not.

Landmarks are the true ones, so that no detector is needed; six subjects, a few minutes on two cores.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pipeline import write_params

from mer import params
from mer.base import store
from mer.datasets.class_sets import LabelSet
from mer.datasets.clips import Clip
from mer.datasets.synthetic.plan import releases
from mer.datasets.synthetic.release import render_subject
from mer.labels import align, records
from mer.models.ma2mi import autoencoder_training, encoding
from mer.models.ma2mi import losses as ma2mi_losses
from mer.models.ma2mi import pairs as latents
from mer.training import engine, entries, folds
from mer.training import task as tasks

pytestmark = pytest.mark.slow

CLASSES = ("happiness", "disgust", "surprise")
FRAMES = 16
NARROW = {"width": 0.0625, "n_global": [0, 0, 0, 1]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Aligned crops (72 pixels) of six subjects' 36 clips, below `data`, from a release with large motions."""
    root = tmp_path_factory.mktemp("learning")
    write_params(root / "params.yaml", {"model": "fdp"})
    plan = replace(releases(params.load(root / "params.yaml").synthetic)[0], subjects=6, classes=CLASSES,
                   clips_per_class=2, frames=FRAMES, amplitude=1.6)
    clips, made = [], {}
    for index in range(plan.subjects):
        for clip_id, subject, folder, onset, apex, offset, fps, word, units in render_subject((plan, index, root)):
            clip = Clip(clip_id, "own", "plain", f"own/{subject}", folder, 1, FRAMES, onset, apex, offset, fps, word,
                        units, "")
            truth = store.read_shard(root / "truth" / f"{subject}.h5")[0][clip_id]
            mark = {"points": truth["points"].astype(np.float32), "numbers": truth["numbers"],
                    "how": np.zeros(len(truth["numbers"]), np.uint8)}  # each found at the frame's own size
            made[clip_id] = align.align_clip((clip, mark), raw_root=str(root), size=72, enlarge=2.5, border=128,
                                             per_frame=False)
            clips.append(clip)
    before = {"excluded": [], "index": {}}
    for stage, found in (("aligned", made), ("flow", {}), ("dynamic", {})):
        records.write(root / stage / "own", stage, clips, found, attrs={}, summary={}, before=before)
    return root


def plan_of(data, folder, changes: dict) -> folds.Plan:
    path = folder / "params.yaml"
    write_params(path, {"selection": ["last"], "pretrain": {"sources": []}, **changes})
    p = params.load(path)
    labels = LabelSet("own", "all", CLASSES, {word: word for word in CLASSES})
    clips, classes = entries.collect(data, {"own": labels})
    return folds.Plan(p, data, clips, classes, None, folder / "scratch", "cpu")


def fdp(data, folder, **changes):
    """FDP trained on four subjects: the network, its log, and a function that gives errors on the other two."""
    plan = plan_of(data, folder, {"model": "fdp", "fdp": NARROW, "train": {"steps": 60, "batch": 8}, **changes})
    engine.configure(2, "fp32")
    clips = folds.load_clips(plan)
    test = torch.tensor([i for i, e in enumerate(plan.entries) if e.subject in ("own/s05", "own/s06")])
    train = torch.tensor([i for i in range(len(plan.entries)) if i not in test.tolist()])
    model, constants = folds.start_model(plan, clips, train, 0, "learning")
    log, _ = folds._fit(plan, model, clips, train, 0, "learning", folder / "state.pt", None)
    return model, log, lambda: folds.test_outputs(plan, model, clips, test, constants)[1]


def test_the_rank_score_rises_with_time_on_other_subjects_and_does_not_without_its_loss(data, tmp_path):
    (tmp_path / "with").mkdir(), (tmp_path / "without").mkdir()
    with_loss = fdp(data, tmp_path / "with")[2]()["rank_correlation"].mean()
    model, _, test = fdp(data, tmp_path / "without", lambda_r=0.0)
    # without its loss the scorer is what it was at the start: any direction, in which features that change steadily
    # rise as often as they fall
    drawn = []
    for seed in range(12):
        torch.manual_seed(seed)
        torch.nn.init.normal_(model.rank.weight)
        drawn.append(test()["rank_correlation"].mean())
    without = float(np.mean(drawn))
    print(f"\nrank correlation with time on other subjects: {with_loss:.3f}; with lambda_r = 0: {without:.3f}")
    assert with_loss > 0.5 and abs(without) < 0.25


PAPERS = {"dynamic": {"stretch": "minmax"}, "fdp": {**NARROW, "dic_input": "pooled"}}
OURS = {"dynamic": {"stretch": "symmetric"}, "fdp": {**NARROW, "dic_input": "spatial"}}


def test_the_dynamic_image_of_the_backbone_s_maps_shows_the_motion_of_other_subjects(data, tmp_path):
    """It beats the mean image, which what is made of the pooled vector does not in this time."""
    found = {}
    for name, form in (("papers", PAPERS), ("ours", OURS)):
        (tmp_path / name).mkdir()
        errors = fdp(data, tmp_path / name, train={"steps": 100, "batch": 8}, **form)[2]()
        found[name] = {key: float(np.mean(values)) for key, values in errors.items()}
        print(f"\n{name}: {found[name]}")
    assert found["ours"]["dynamic_corr"] > max(0.3, found["ours"]["dynamic_corr_mean_image"] + 0.1)
    assert found["ours"]["mse_pattern"] < found["ours"]["mse_pattern_mean_image"]
    assert found["papers"]["dynamic_corr"] < 0.5 * found["ours"]["dynamic_corr"]


def test_the_error_of_the_dynamic_image_falls(data, tmp_path):
    """Beating the mean image takes longer than a test may, see reports/README.md for the demo."""
    log = fdp(data, tmp_path, train={"steps": 100, "batch": 8}, **PAPERS)[1]
    first, last = (np.mean([entry["dynamic"] for entry in part]) for part in (log[:5], log[-10:]))
    print(f"\nmean squared error of the dynamic image in training: {first:.4f} at the start, {last:.4f} at the end")
    assert last < 0.75 * first


def test_the_reconstruction_beats_copying_and_needs_the_condition(data, tmp_path):
    """MA2MI: the action code carries motion."""
    plan = plan_of(data, tmp_path, {"model": "ma2mi", "pretrain": {"sources": ["synthetic_macro"], "steps": 400,
                                                                   "batch": 16},
                                    "ma2mi": {"width": 0.125, "conv_ae_width": 0.125, "conv_ae_steps": 150}})
    p, stores = plan.params, [data / "aligned/own"]
    engine.configure(2, "fp32")
    autoencoder_training.run(p, stores, tmp_path / "ae", tmp_path / "latents", "cpu")
    autoencoder, _ = latents.open_autoencoder(p.ma2mi, tmp_path / "latents/autoencoder.pt")
    encoding.encode(autoencoder, data, "own", data / "latents", crop=p.pretrain.crop, size=p.ma2mi.size)
    task = tasks.pretraining(p)
    pairs = task.load(data, plan.entries, "cpu")
    rows = torch.arange(len(pairs))
    model, _ = folds.start_model(plan, pairs, rows, 0, "pretrain", task)
    engine.train(model, task, pairs, rows, engine.budget(p, p.pretrain, len(rows)), seed=0,
                 state=tmp_path / "state.pt", desc="pretrain")
    drawn = torch.Generator().manual_seed(0)
    batch = latents.pair_batch(pairs, rows, p.ma2mi, flip=False, generator=drawn)
    found = {name: value.item() for name, value in ma2mi_losses.diagnose(model, batch, drawn).items()}
    print(f"\nreconstruction: {found}")
    assert found["reconstruction"] < 0.95 * found["copy"]
    assert found["shuffled_c"] > 1.1 * found["reconstruction"]
