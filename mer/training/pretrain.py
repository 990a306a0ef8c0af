"""Pretraining on macro-expressions with the model's own tasks: one network per seed, from all clips of the sources."""

from pathlib import Path

import torch

from mer.training import engine, folds, tasks
from mer.training.folds import Plan


def run(plan: Plan, seed: int, out: Path) -> None:
    """Train one network on all of the plan's clips and write `<out>/<seed>/{model.pt, log.csv}`; resumes at a step."""
    p = plan.params
    engine.configure(p.pretrain.threads, p.train.precision)
    target = out / str(seed)
    if (target / "log.csv").exists():
        return
    task = tasks.pretraining(p)
    clips = task.load(plan.data, plan.entries, plan.device)
    rows = torch.arange(len(clips))
    if p.shuffle_labels:
        clips = folds.shuffled(clips, rows, engine.derive(seed, "pretrain", "shuffle"))
    model, _ = folds.start_model(plan, clips, rows, seed, "pretrain", task)
    log, _ = engine.train(model, task, clips, rows, tasks.budget(p, p.pretrain),
                          seed=engine.derive(seed, "pretrain"), state=target / "state.pt", desc=f"pretrain seed {seed}")
    folds.save_model(target / "model.pt", model, plan.classes)
    folds.write_log(target / "log.csv", log)
    (target / "state.pt").unlink(missing_ok=True)
