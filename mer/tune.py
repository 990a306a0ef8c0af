"""`python -m mer.tune mol.k=2,4,6,8`: choose one knob on validation subjects, never on a tested one's fold.

A few times, some subjects are drawn and taken out, the network is trained on the others once per value, and its mean
log-likelihood and accuracy on the subjects taken out are pooled. The label stores of the last `dvc repro` are used;
the networks start from random weights, since a pretrained one has seen one value only.

The subjects that choose are later tested too. One knob of few values, chosen once, leaks little; to leak nothing, name
`--leave-out` subjects and report on those alone, or choose `--inside` each fold: on subjects of its training part, once
per value and fold, then a network of the fold's own choice is trained on all of that part and tested. MOL's paper draws
its validation sets so for k, the neighbours of CCC, on CASME II's five classes, but then fixes the value that is best
over all of them: it is told beside, and a subject who is tested took part in it.
"""

import argparse
import dataclasses
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from mer import params
from mer.base import knobs, store
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.base.scratch import scratch_dir
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


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.tune"), description=__doc__.splitlines()[0])
    made.add_argument("knob", metavar="KEY=V1,V2,...", help="a key of params.yaml and the values to compare")
    made.add_argument("--subjects", type=int, default=3, help="validation subjects per draw (default 3)")
    made.add_argument("--draws", type=int, help="draws of validation subjects (default 3)")
    made.add_argument("--inside", action="store_true", help="choose inside each fold of the protocol, one draw of its "
                      "training subjects each, and test the choice")
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
    if asked.inside and asked.draws is not None:
        raise MerError("tune: --inside draws once a fold; leave --draws out")
    p = open_run("workspace", freshness.LABELS).params
    settings = {value: with_value(p, key, value) for value in values}

    from mer.evaluation.protocols import inner_subjects
    from mer.training import choice, engine, entries, fleet, folds

    device = fleet.pick_device(p)
    clips, classes = entries.collect(DATA, {name: label_set(name, p.classes, DATA / "aligned") for name in p.datasets})
    people = {entry.subject for entry in clips}
    for name in asked.leave_out:
        if name not in people:
            raise MerError(f"tune: --leave-out {name}; expected of {', '.join(sorted(people))}")
    clips = tuple(entry for entry in clips if entry.subject not in asked.leave_out)
    people -= set(asked.leave_out)
    plans = {value: folds.Plan(changed, DATA, clips, classes, None, scratch_dir("tune"), device)
             for value, changed in settings.items()}
    if asked.inside:
        _inside(key, plans, asked.subjects)
        return
    jobs = []
    for value, plan in plans.items():
        for draw in range(3 if asked.draws is None else asked.draws):
            held = set(inner_subjects(people, asked.subjects, (p.seeds[0], "tune", draw)))
            jobs.append((value, choice.without(plan, held, engine.derive(p.seeds[0], "tune", draw), range(len(clips)))))
    results = _trained(choice.judge, jobs, plans, f"tune {key}", "training")
    rows = _pooled(zip((value for value, _ in jobs), results, strict=True))
    header = [key, "log_likelihood", "accuracy", "validation_clips"]
    store.write_csv(Path("reports/tune") / f"{key}.csv", header, rows)
    _tell(key, rows, len(classes))
    best = max(rows, key=lambda row: row[1])[0]
    print(f"best by log-likelihood: dvc exp run -S {key}={best}")
    print(f"written: reports/tune/{key}.csv", file=sys.stderr)


def _trained(fn: Callable, jobs: list[tuple[str, object]], plans: dict, desc: str, unit: str) -> list:
    """As `fleet.run`; each process reads the clips of the values that it is given, which may differ."""
    from mer.training import fleet

    return fleet.run(fn, jobs, next(iter(plans.values())), desc=desc, unit=unit, share=False)


def _pooled(results: Iterable[tuple[str, tuple[float, int, int]]]) -> list[list]:
    """A row a value: itself, mean log-likelihood, accuracy, clips."""
    totals = defaultdict(lambda: [0.0, 0, 0])
    for value, result in results:
        totals[value] = [a + b for a, b in zip(totals[value], result, strict=True)]
    return [[value, likelihood / n, right / n, n] for value, (likelihood, right, n) in totals.items()]


def _tell(key: str, rows: list[list], classes: int) -> None:
    print(f"{key:>16} {'log-likelihood':>15} {'accuracy':>9}   ({rows[0][3]} validation clips each; chance "
          f"{1 / classes:.3f} and {-math.log(classes):.3f})")
    for value, likelihood, accuracy, _ in rows:
        print(f"{value:>16} {likelihood:15.4f} {accuracy:9.3f}")


def _inside(key: str, plans: dict, subjects: int) -> None:
    """Choose in each fold alone, then test the choice there."""
    from mer.evaluation import metrics, predictions, significance
    from mer.training import choice, folds

    (first, *_), seed = plans.values(), next(iter(plans.values())).params.seeds[0]
    parts = folds.split(first)
    jobs = [(value, choice.inside(plan, fold, subjects, seed)) for value, plan in plans.items() for fold in parts]
    results = _trained(choice.judge, jobs, plans, f"tune {key}", "training")
    found = dict(zip([(value, fold.name) for value in plans for fold in parts], results, strict=True))
    chosen = {fold.name: max(plans, key=lambda value, fold=fold: found[value, fold.name][0]) for fold in parts}
    last = [(fold.name, (choice.outside(plans[value], fold, seed), fold.name, seed))
            for value in plans for fold in parts if chosen[fold.name] == value]  # each plan's clips are loaded once
    done = _trained(choice.tested, last, plans, "tune, chosen", "fold")
    tables = {name: table for (name, _), table in zip(last, done, strict=True)}
    out, t = Path("reports/tune") / f"{key}-inside.csv", predictions.concat(done)
    held = {fold.name: sorted({first.entries[i].subject for i in trial.test})
            for fold, (_, trial) in zip(parts, jobs, strict=False)}
    store.write_csv(out, ["fold", "validation_subjects", *(f"log_likelihood_{value}" for value in plans), "chosen",
                          "tested_clips", "right"], [
        [fold.name, " ".join(held[fold.name]), *(found[value, fold.name][0] / found[value, fold.name][2]
                                                 for value in plans), chosen[fold.name],
         len(own), int((own.predicted == own.label).sum())]
        for fold, own in ((fold, tables[fold.name]) for fold in parts)])
    predictions.write(out.with_name(f"{key}-inside-predictions.csv"), t)
    rows = _pooled((value, found[value, fold.name]) for value in plans for fold in parts)
    _tell(key, rows, len(first.classes))
    print("chosen inside the folds: " + ", ".join(f"{value} in {n}" for value in plans
                                                  if (n := list(chosen.values()).count(value))))
    counts = significance.subject_confusions(t)
    interval = significance.bootstrap(counts, metrics.accuracy, first.params.evaluate.bootstrap,
                                      first.params.evaluate.seed)
    print(f"accuracy on the tested clips, each by a network of its fold's choice: "
          f"{float(metrics.accuracy(counts.sum(0))):.3f}"
          + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "") + f", {len(t)} clips, seed {seed}")
    best = max(rows, key=lambda row: row[1])[0]
    print(f"best over the validation subjects of all folds together: dvc exp run -S {key}={best}")
    print(f"written: {out.as_posix()}, {key}-inside-predictions.csv", file=sys.stderr)


if __name__ == "__main__":
    main(run)
