"""`python -m mer.tune mol.k=2,4,6,8`: choose one knob on validation subjects, never on a tested one's fold.

MOL's paper chooses k, the neighbours of CCC, on validation subsets of CASME II's five classes, then fixes it. Here: a
few times, some subjects are drawn and taken out, the network is trained on the others once per value, and its mean
log-likelihood and accuracy on the subjects taken out are pooled. The label stores of the last `dvc repro` are used;
the networks start from random weights, since a pretrained one has seen one value only.

The subjects that choose are later tested too. One knob of few values, chosen once, leaks little; to leak nothing, name
`--leave-out` subjects and report on those alone.
"""

import argparse
import dataclasses
import math
import sys
from collections import defaultdict
from pathlib import Path

from mer import params
from mer.base import knobs, parallel, store
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.datasets.class_sets import label_set
from mer.runs import freshness
from mer.runs.finished import open_run

DATA = Path("data")


def with_value(p, key: str, text: str):
    """`p` with the dotted `key` set to what `text` says, checked as params.yaml would be."""
    *parents, last = key.split(".")
    section = p
    for parent in parents:
        section = getattr(section, parent, None)
    if section is None or not hasattr(section, last) or dataclasses.is_dataclass(getattr(section, last)):
        raise MerError(f"tune: {key} is no knob of params.yaml; expected for example train.steps")
    checked = knobs.check_value(type(section), last, text, key)
    if last in knobs.BUDGET and checked is None:
        raise MerError(f"tune: {key} = null; expected a number of {last}")

    def replace(node, names: list[str]):
        if not names:
            other = dict.fromkeys(knobs.BUDGET) if last in knobs.BUDGET else {}
            return dataclasses.replace(node, **{**other, last: checked})
        return dataclasses.replace(node, **{names[0]: replace(getattr(node, names[0]), names[1:])})

    changed = replace(p, parents)
    for name, config in params.CONFIGS.items():
        for problem in config.validate(getattr(changed, name)):
            raise MerError(f"tune: {problem}")
    return changed


def trial(job) -> tuple[float, int, int]:
    """(summed log-likelihood, right, clips) of one value on one draw of validation subjects."""
    import torch

    from mer.training import engine, folds

    plan, people, seed = job
    p = plan.params
    engine.configure(p.train.threads, p.train.precision)
    clips = folds.load_clips(plan)
    valid = torch.tensor([i for i, e in enumerate(clips.entries) if e.subject in people])
    rest = torch.tensor([i for i, e in enumerate(clips.entries) if e.subject not in people])
    model, _ = folds.start_model(plan, clips, rest, seed, "tune")
    budget = engine.budget(p, p.train, len(rest))
    budget = dataclasses.replace(budget, checkpoint_every=budget.steps + 1)
    engine.train(model, plan.task, clips, rest, budget, seed=seed, state=plan.scratch / "unused.pt", desc="tune")
    values, truth = folds.probabilities(plan, model, clips, valid), clips.label[valid.to(plan.device)].cpu()
    likelihood = values.clamp_min(1e-12).log()[torch.arange(len(truth)), truth].sum().item()
    return likelihood, int((values.argmax(1) == truth).sum()), len(truth)


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.tune"), description=__doc__.splitlines()[0])
    made.add_argument("knob", metavar="KEY=V1,V2,...", help="a key of params.yaml and the values to compare")
    made.add_argument("--subjects", type=int, default=3, help="validation subjects per draw (default 3)")
    made.add_argument("--draws", type=int, default=3, help="draws of validation subjects (default 3)")
    made.add_argument("--leave-out", nargs="*", default=[], metavar="SUBJECT", help="subjects that take no part")
    return made


def run() -> None:
    """Train each value on every draw of validation subjects and print what they reach.

    Raises:
        MerError: fewer than two values, an unknown key or subject.
    """
    asked = parser().parse_args()
    key, equals, values = asked.knob.partition("=")
    values = list(dict.fromkeys(filter(None, values.split(","))))
    if not equals or len(values) < 2:
        raise MerError(f"tune: {asked.knob!r}; expected KEY=V1,V2,... with two values or more")
    p = open_run("workspace", freshness.LABELS).params
    settings = {value: with_value(p, key, value) for value in values}

    from mer.evaluation.protocols import inner_subjects
    from mer.training import engine, entries, folds

    device = engine.pick_device(p.train.device)
    clips, classes = entries.collect(DATA, {name: label_set(name, p.classes, DATA / "aligned") for name in p.datasets})
    people = {entry.subject for entry in clips}
    for name in asked.leave_out:
        if name not in people:
            raise MerError(f"tune: --leave-out {name}; expected of {', '.join(sorted(people))}")
    clips = tuple(entry for entry in clips if entry.subject not in asked.leave_out)
    people -= set(asked.leave_out)
    jobs = []
    for value, changed in settings.items():
        plan = folds.Plan(changed, DATA, clips, classes, None, parallel.scratch_dir("tune"), device)
        for draw in range(asked.draws):
            held = tuple(inner_subjects(people, asked.subjects, (p.seeds[0], "tune", draw)))
            jobs.append((value, (plan, held, engine.derive(p.seeds[0], "tune", draw))))
    workers = p.train.workers or max(1, parallel.cores() // p.train.threads if device == "cpu" else 1)
    results = parallel.run_items(trial, jobs, desc=f"tune {key}", unit="training", workers=workers)
    totals = defaultdict(lambda: [0.0, 0, 0])
    for (value, _), result in zip(jobs, results, strict=True):
        totals[value] = [a + b for a, b in zip(totals[value], result, strict=True)]
    rows = [[value, likelihood / n, right / n, n] for value, (likelihood, right, n) in totals.items()]
    header = [key, "log_likelihood", "accuracy", "validation_clips"]
    store.write_csv(Path("reports/tune") / f"{key}.csv", header, rows)
    print(f"{key:>16} {'log-likelihood':>15} {'accuracy':>9}   ({rows[0][3]} validation clips each; chance "
          f"{1 / len(classes):.3f} and {-math.log(len(classes)):.3f})")
    for value, likelihood, accuracy, _ in rows:
        print(f"{value:>16} {likelihood:15.4f} {accuracy:9.3f}")
    best = max(rows, key=lambda row: row[1])[0]
    print(f"best by log-likelihood: dvc exp run -S {key}={best}")
    print(f"written: reports/tune/{key}.csv", file=sys.stderr)


if __name__ == "__main__":
    main(run)
