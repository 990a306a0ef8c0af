"""Pretraining on macro-expressions with the model's own tasks: one network per seed, from all clips of the sources."""

import math
from pathlib import Path

import numpy as np
import torch

from mer.base import store
from mer.base.terminal import say
from mer.training import engine, folds, gradients
from mer.training import task as tasks
from mer.training.folds import Plan


def jobs(plan: Plan) -> list[tuple[str, tuple[Plan, int]]]:
    """What `run_seed` is given, with its name: of each seed of the run."""
    return [(f"seed {seed}", (plan, seed)) for seed in plan.params.seeds]


def run_seed(job: tuple[Plan, int]) -> None:
    """`run`, of (plan, seed), into the plan's scratch folder: as a job among others."""
    plan, seed = job
    run(plan, seed, plan.scratch)


def run(plan: Plan, seed: int, out: Path) -> None:
    """Train one network on all of the plan's clips and write `<out>/<seed>/{model.pt, diagnostics.json, log.csv}`.

    Where tasks share a trunk also gradients.csv, and with a model that has something to show (MA2MI's reconstruction)
    examples.h5. Resumes at a step; log.csv comes last and marks it complete.
    """
    p = plan.params
    engine.configure(p.pretrain.threads, p.train.precision)
    target = out / str(seed)
    if (target / "log.csv").exists():
        say(f"pretrain seed {seed}: reusing the network of an earlier run with the same code, inputs and versions "
            "(delete .scratch/pretrain to train it anew)")
        return
    task = tasks.pretraining(p)
    clips = folds.load_clips(plan, pretraining=True)
    rows = torch.tensor(trained_on(task, len(clips)))
    if p.shuffle_labels:
        clips = folds.shuffled(clips, rows, engine.derive(seed, "pretrain", "shuffle"))
    model, _ = folds.start_model(plan, clips, rows, seed, "pretrain", task)
    log, _ = engine.train(model, task, clips, rows, engine.budget(p, p.pretrain, len(rows)),
                          seed=engine.derive(seed, "pretrain"), state=target / "state.pt", desc=f"pretrain seed {seed}")
    told, shown = task.diagnose(model, clips, plan.data)
    folds.save_model(target / "model.pt", model, plan.classes)
    store.write_json(target / "diagnostics.json", {**final_losses(log), **told})
    if shown:
        store.write_shard(target / "examples.h5", shown, {"units": "pictures in [0, 1], errors in the latent's units"})
    folds.write_log(target, log)
    (target / "state.pt").unlink(missing_ok=True)


def steps(plan: Plan) -> int:
    """The steps of pretraining on the plan's clips."""
    p = plan.params
    return engine.steps(p.pretrain, len(trained_on(tasks.pretraining(p), len(plan.entries))))


def trained_on(task: tasks.Method, clips: int) -> list[int]:
    """The rows, of so many clips, that are not held out to measure on."""
    held = set(task.held_out(clips))
    return [row for row in range(clips) if row not in held]


def final_losses(log: list[dict]) -> dict[str, float]:
    """`loss_<name>`: the mean of each loss over the last tenth of the steps, as they were trained on."""
    last = log[-math.ceil(len(log) / 10):]
    return {f"loss_{name}": float(np.mean([entry[name] for entry in last]))
            for name in gradients.losses(log[0]) if name != "step"}


def summarise(folders: dict[int, Path]) -> dict[str, float]:
    """The numbers of reports/pretraining.json: means over the seeds, with several also `seed<k>_<name>`.

    folders: where `run` wrote, by seed.
    """
    found = {seed: store.read_json(folder / "diagnostics.json") for seed, folder in folders.items()}
    names = next(iter(found.values()))
    numbers = {name: float(np.mean([one[name] for one in found.values()])) for name in names}
    if len(found) > 1:
        numbers |= {f"seed{seed}_{name}": one[name] for seed, one in found.items() for name in names}
    return numbers
