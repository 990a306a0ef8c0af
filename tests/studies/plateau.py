"""How long MOL's expression loss stays on its plateau, and what its tasks bring at the same distance after it.

The demo's pretraining on the macro-expressions (`dvc repro` made the stores below data/), longer, for several seeds and
choices of tasks. On the plateau the loss is ln n of the n classes. A run has left it at the first evaluation whose
loss on the macro clips, in evaluation mode, is below 0.9 ln n; `--after` steps later its accuracy on the
micro-expressions, of people it never saw, is read, and it ends. Writes a CSV, a row an evaluation; a finished run in it
is not made again. No stage of the pipeline reads it.
"""

import argparse
import contextlib
import csv
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from mer import params
from mer.base.errors import main
from mer.datasets.class_sets import label_set
from mer.models.mol.config import TASKS
from mer.training import engine, entries, folds
from mer.training import task as tasks

DATA = Path("data")
LEFT = 0.9  # times ln n
HEADER = ["tasks", "seed", "step", "loss", "accuracy", "state"]


class Ended(Exception):
    """The run is far enough behind the plateau."""


def evaluations(p, seed: int, *, every: int, after: int) -> list[tuple[int, float, float, str]]:
    """(step, loss on the macro clips, accuracy on the micro clips, plateau | left | end) of a run."""
    macro, micro = (label_set(name, classes, DATA / "aligned") for name, classes in
                    ((p.pretrain.sources[0], p.pretrain.classes), (p.datasets[0], p.classes)))
    clips, classes = entries.collect(DATA, {p.pretrain.sources[0]: macro})
    tested, _ = entries.collect(DATA, {p.datasets[0]: micro})
    groups, found = entries.groups(macro, micro), []
    with tempfile.TemporaryDirectory() as scratch:
        plan = folds.Plan(p, DATA, clips, classes, None, Path(scratch), "cpu")
        alone = replace(p.mol, tasks=("mer",))  # of evaluations, whose other outputs nobody reads
        task, quiet = tasks.pretraining(p), tasks.pretraining(replace(p, mol=alone))
        data, other = task.load(DATA, plan.entries, "cpu"), quiet.load(DATA, tested, "cpu")
        rows = torch.arange(len(data))
        model, _ = folds.start_model(plan, data, rows, seed, "pretrain", task)

        def evaluate(network) -> None:
            step, network.cfg = (len(found) + 1) * every, alone
            loss = -_probabilities(network, quiet, data, p)[rows, data.label].log().mean().item()
            micro = torch.stack([_probabilities(network, quiet, other, p)[:, group].sum(1) for group in groups], 1)
            accuracy, network.cfg = (micro.argmax(1) == other.label).float().mean().item(), p.mol
            left = next((at for at, _, _, state in found if state == "left"), None)
            state = "plateau" if left is None and loss > LEFT * math.log(len(classes)) else "left"
            state = "end" if left is not None and step >= left + after else state
            found.append((step, loss, accuracy, state))
            print(f"step {step}: loss {loss:.3f}, accuracy {accuracy:.3f}, {state}", file=sys.stderr, flush=True)
            if state == "end":
                raise Ended

        budget = replace(engine.budget(p, p.pretrain, len(rows)), eval_every=every)
        with contextlib.suppress(Ended):
            engine.train(model, task, data, rows, budget, seed=engine.derive(seed, "pretrain"),
                         state=Path(scratch) / "state.pt", desc=f"seed {seed}", evaluate=evaluate)
    return found


def _probabilities(network, task, data, p) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([outputs["logits"].softmax(1) for _, _, outputs in engine.predict(
            network, task, data, torch.arange(len(data)), crop=p.train.crop)])


def run() -> None:
    """Every choice of tasks with every seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["mer", "mer,flow,landmark"], help="each a list with commas")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--input", default="raw", help="mol.input")
    parser.add_argument("--lambda-m", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=1600, help="of one cycle of the learning rate")
    parser.add_argument("--every", type=int, default=50, help="steps between evaluations")
    parser.add_argument("--after", type=int, default=300, help="steps after the plateau")
    parser.add_argument("--out", type=Path, default=Path("plateau.csv"))
    args = parser.parse_args()
    p = params.load()
    engine.configure(1, "fp32")
    done = {(row["tasks"], int(row["seed"])) for row in csv.DictReader(args.out.open())} if args.out.exists() else set()
    for seed in args.seeds:
        for names in args.tasks:
            if (names, seed) in done:
                continue
            chosen = tuple(name for name in TASKS if name in names.split(","))
            these = replace(p, lambda_m=args.lambda_m, mol=replace(p.mol, tasks=chosen, input=args.input),
                            pretrain=replace(p.pretrain, steps=args.steps, threads=1))
            print(f"tasks {names}, seed {seed}", file=sys.stderr)
            rows = [[names, seed, *row] for row in evaluations(these, seed, every=args.every, after=args.after)]
            new = not args.out.exists()
            with args.out.open("a", newline="") as file:
                csv.writer(file).writerows([HEADER, *rows] if new else rows)


if __name__ == "__main__":
    main(run)
