"""Finished experiments side by side, each against the first: what differs, by how much, how sure one can be.

What `mer.compare` prints and comparison_page.py draws.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mer import params
from mer.base import cost
from mer.base.errors import MerError
from mer.datasets.releases import is_synthetic
from mer.evaluation import measures, significance
from mer.evaluation.predictions import Predictions
from mer.evaluation.results import RULES
from mer.evaluation.significance import Paired
from mer.runs.finished import Run

CAVEATS = {  # of each test of `significance.paired`
    "McNemar, exact": "takes clips as independent, which clips of one subject are not, so that its p is easily too "
                      "small; with several seeds a clip is right when most of them are",
    "permutation over subjects": "the one to read first: a subject's clips change sides together",
    "Wilcoxon signed-rank over subjects": "every subject weighs the same, however few its clips",
    "Wilcoxon signed-rank over seeds": "the subjects are the same in every seed: it speaks of the chance in training, "
                                       "not of other people"}


@dataclass(frozen=True)
class Experiment:
    """A run's place in a comparison.

    `parameters`: flat (`train.steps`), resolved unless `unresolved` says why they could not be; `head`: the predictions
    of its headline `selection`; `classes`: those that its numbers are of.
    """

    letter: str
    run: Run
    parameters: dict[str, object]
    head: Predictions
    selection: str
    classes: tuple[str, ...]
    unresolved: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers of its metrics.json."""
        return self.run.metrics

    @property
    def synthetic(self) -> bool:
        """Whether any of its datasets is."""
        return is_synthetic(self.parameters["datasets"])

    @property
    def label(self) -> str:
        """Letter and name, as tables and pages have it."""
        return f"{self.letter} {self.run.name}"


@dataclass(frozen=True)
class Tested:
    """A paired test of an experiment against the baseline: the effect is experiment minus baseline. `holm`: p adjusted
    for the number of experiments that this test was made with."""

    found: Paired
    holm: float
    caveat: str


@dataclass(frozen=True)
class Against:
    """An experiment against the baseline. `difference`: {score: (value, its 95 % interval or None)}; `problem`: why
    they cannot be paired, in which case there are neither differences' intervals nor tests."""

    experiment: Experiment
    difference: dict[str, tuple[float, tuple[float, float] | None]]
    tests: tuple[Tested, ...]
    problem: str = ""


@dataclass(frozen=True)
class Comparison:
    """`changed`: flat keys whose values are not the same in all experiments."""

    experiments: tuple[Experiment, ...]
    changed: tuple[str, ...]
    against: tuple[Against, ...]


def compare(experiments: Sequence[Experiment]) -> Comparison:
    """Each experiment against the first."""
    if any(e.unresolved for e in experiments):  # a value and the null that stands for it are not to be compared
        experiments = [dataclasses.replace(e, parameters=e.run.written) for e in experiments]
    first, *others = experiments
    against = [_against(first, other) for other in others]
    names = list(dict.fromkeys(test.found.name for one in against for test in one.tests))
    adjusted = {}
    for name in names:  # each test answers the question once per experiment: that is its family
        pairs = [(i, test) for i, one in enumerate(against) for test in one.tests if test.found.name == name]
        for (i, _), p in zip(pairs, holm([test.found.p for _, test in pairs]), strict=True):
            adjusted[i, name] = p
    against = [dataclasses.replace(one, tests=tuple(dataclasses.replace(test, holm=adjusted[i, test.found.name])
                                                    for test in one.tests)) for i, one in enumerate(against)]
    return Comparison(tuple(experiments), _changed(experiments), tuple(against))


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted by Holm's step-down method (1979), in the order given."""
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted.tolist()


def _against(first: Experiment, other: Experiment) -> Against:
    settings = {key: first.parameters.get(f"evaluate.{key}", usual)
                for key, usual in (("bootstrap", 2000), ("permutations", 5000), ("seed", 0))}
    plain = {score.key: (other.metrics[score.key] - first.metrics[score.key], None) for score in measures.SCORES}
    try:
        if first.classes != other.classes:
            raise MerError(f"paired tests need the same classes: {first.letter} has {', '.join(first.classes)}, "
                           f"{other.letter} {', '.join(other.classes)}")
        found = significance.paired(other.head, first.head, settings["permutations"], settings["seed"])
    except MerError as error:
        return Against(other, plain, (), str(error))
    both = np.stack([significance.subject_confusions(e.head) for e in (first, other)], axis=1)  # (S, 2, m, m)
    for score in measures.SCORES:
        interval = significance.bootstrap(both, lambda cm, score=score: np.diff(score.compute(cm), axis=-1)[..., 0],
                                          settings["bootstrap"], settings["seed"])
        plain[score.key] = (plain[score.key][0], interval)
    return Against(other, plain, tuple(Tested(_lettered(test, other, first), test.p, CAVEATS[test.name] + _floor(test))
                                       for test in found))


def _lettered(test: Paired, a: Experiment, b: Experiment) -> Paired:
    """The test with the experiments' letters for the A and B of `significance.paired`."""
    return dataclasses.replace(test, note=test.note.translate({ord("A"): a.letter, ord("B"): b.letter}))


def _floor(test: Paired) -> str:
    """With n signs to flip no two-sided p is below 2 / 2^n."""
    least = 2.0 ** (1 - test.n)
    return "" if "McNemar" in test.name or least <= 0.05 else f"; with {test.n} its p cannot be below {least:.2g}"


def _changed(experiments: Sequence[Experiment]) -> tuple[str, ...]:
    """Keys with different values; `parallel`, which changes no number, and the knobs of models not used left out."""
    unused = tuple(f"{name}." for name in params.CONFIGS
                   if name not in {e.parameters.get("model") for e in experiments})
    keys = dict.fromkeys(key for e in experiments for key in e.parameters)
    return tuple(key for key in keys if not key.startswith((*unused, "parallel."))
                 and len({repr(_plain(e.parameters.get(key))) for e in experiments}) > 1)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def shown(value: object) -> str:
    """A parameter's value as the user would type it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple | list) else str(value)


def parameter_rows(c: Comparison) -> list[list[str]]:
    """Key and the value of each experiment."""
    return [[key, *(shown(e.parameters[key]) if key in e.parameters else "-" for e in c.experiments)]
            for key in c.changed]


def score_rows(c: Comparison) -> list[list[str]]:
    """Name and, of each experiment, the score in percent with its interval; below, p against chance."""
    rows = []
    for score in measures.SCORES:
        key, shown = score.key, score.shown
        cells = [shown(e.metrics[key]) + (
            f" [{shown(e.metrics[f'{key}_low'])}, {shown(e.metrics[f'{key}_high'])}]"
            if f"{key}_low" in e.metrics else "") for e in c.experiments]
        rows.append([score.words, *cells])
    return [*rows, ["p against chance", *(f"{e.metrics['p_value']:.2g}" if "p_value" in e.metrics else ""
                                          for e in c.experiments)]]


def beside_rows(c: Comparison) -> list[list[str]]:
    """Other numbers that at least two experiments have; an empty cell where one has not."""
    known = measures.every()
    rivals = {measure.rival for measure in known.values()}
    others = [measure for measure in known.values() if measure not in measures.SCORES]
    return [[f"- {measure.words}" if measure.key in rivals else measure.title,
             *(measure.shown(e.metrics[measure.key]) if measure.key in e.metrics else "" for e in c.experiments)]
            for measure in others if sum(measure.key in e.metrics for e in c.experiments) > 1]


def cost_rows(c: Comparison) -> list[list[str]]:
    """Seconds and peak memory of each experiment; none where one of them does not tell."""
    known = [e.run.costs.values() for e in c.experiments]
    if not all(known):
        return []
    train = [e.run.costs.get("train", {}).get("seconds") for e in c.experiments]
    peaks = [max((size for record in records if (size := cost.peak_mb(record))), default=None) for records in known]
    return [[words, *(f"{value:.0f}" for value in values)] for words, values in (
        ("seconds, all stages", [sum(record["seconds"] for record in records) for records in known]),
        ("seconds, train", train), ("memory of the largest process, MB", peaks)) if None not in values]


def difference_rows(one: Against) -> list[list[str]]:
    """Score, its difference from the baseline in points, the 95 % interval."""
    return [[measures.every()[key].words, f"{100 * value:+.1f}",
             f"[{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""]
            for key, (value, interval) in one.difference.items()]


def paired_rows(one: Against, several: bool) -> list[list[str]]:
    """Test, p (with several comparisons also Holm's), effect, what it is, N."""
    return [[t.found.name, f"{t.found.p:.2g}", *([f"{t.holm:.2g}"] if several else []), f"{t.found.effect:.3g}",
             t.found.effect_name + (f"; {t.found.note}" if t.found.note else ""), str(t.found.n)] for t in one.tests]


def paired_header(several: bool) -> list[str]:
    """Names of the columns of `paired_rows`."""
    return ["paired test", "p", *(["p, Holm"] if several else []), "effect", "which is", "N"]


def about_rows(c: Comparison) -> list[list[str]]:
    """What each experiment is."""
    cells = [{"commit": e.run.commit[:8] or "-", "model": e.parameters["model"],
              "profile": str(e.parameters["profile"]), "data": " + ".join(e.parameters["datasets"]),
              "marked": "; ".join(marks(e)) or "-", "classes": f"{e.parameters['classes']}: {', '.join(e.classes)}",
              "protocol": str(e.parameters["protocol"]), "clips": _counted(e),
              "subjects": str(len(set(e.head.subject.tolist()))), "seeds": ", ".join(map(str, _seeds(e))),
              "headline": f"{e.selection}, {RULES[e.selection]}"} for e in c.experiments]
    return [[key, *(cell[key] for cell in cells)] for key in cells[0]]


def _counted(e: Experiment) -> str:
    return f"{len(set(_clips(e)))}" + (f", list {e.run.clip_list}" if e.run.clip_list else "")


def _clips(e: Experiment) -> list[tuple[str, str]]:
    return list(zip(e.head.subject.tolist(), e.head.clip_id.tolist(), strict=True))


def _seeds(e: Experiment) -> list[int]:
    return sorted(set(e.head.seed.tolist()))


def marks(e: Experiment) -> list[str]:
    """What a reader must know of an experiment before its numbers."""
    return (["SYNTHETIC faces"] if e.synthetic else []) + (
        ["CONTROL: training labels shuffled"] if e.parameters.get("shuffle_labels") else [])


def remarks(c: Comparison) -> list[str]:
    """Sentences on what makes the comparison less than it seems."""
    found = [f"This version of the code cannot resolve the parameters of {e.label}, so that all stand here as written, "
             f"null = the profile's value ({e.unresolved})." for e in c.experiments if e.unresolved]
    if len({e.selection for e in c.experiments}) > 1:
        found.append("The headlines choose the training step by different rules ("
                     + ", ".join(f"{e.letter} {e.selection}" for e in c.experiments) + ").")
    if len({tuple(_seeds(e)) for e in c.experiments}) > 1:
        found.append("The experiments have different seeds; each clip counts with the share of its seeds that was "
                     "right, and a test over seeds takes those in common.")
    return found
