"""One prediction table -> the flat, finite numbers of a run: reports/metrics.json and reports/details.json.

The first holds the few that `dvc exp show` and `dvc metrics diff` shall show, the second all others.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mer.base import store
from mer.base.errors import MerError
from mer.datasets.clips import dataset_of
from mer.evaluation import measures, metrics, significance
from mer.evaluation.predictions import Predictions

RULES = {"last": "after the last training step",
         "inner": "at the step that validation subjects of the training fold chose",
         "oracle": "at the step that is best on the tested subject itself (never a result)"}
METRICS, DETAILS = "metrics.json", "details.json"  # in reports/
HEADLINE = ("accuracy", "accuracy_low", "accuracy_high", "uf1", "uf1_low", "uf1_high", "uar", "wf1", "p_value",
            "accuracy_sd", "oracle_excess", "zero_shot_accuracy", "n_clips", "cam_mass")  # and the models' own measures


def score(labels, predicted, classes: int, subjects=None, *, bootstrap: int = 2000, seed: int = 0) -> dict[str, float]:
    """The scores of predictions from anywhere, counts pooled over all folds; fractions in [0, 1].

    Args:
        labels, predicted: (N,) class indices 0..classes-1, one a clip.
        subjects: (N,) names; with two or more of them each score also has a 95 % interval, `_low` and `_high`, from
            `bootstrap` resamples of subjects.

    Raises:
        MerError: lists of different lengths, none at all, or an index that is no class.

    >>> from mer.evaluation import score
    >>> found = score([0, 0, 1, 1, 2], [0, 0, 1, 2, 2], classes=3)
    >>> print({name: round(value, 3) for name, value in found.items()})
    {'accuracy': 0.8, 'wf1': 0.8, 'uf1': 0.778, 'uar': 0.833, 'war': 0.8}
    """
    labels, predicted = (np.asarray(values, np.int64).reshape(-1) for values in (labels, predicted))
    people = np.full(len(labels), "all") if subjects is None else np.asarray(subjects, str)
    if not len(labels) == len(predicted) == len(people) or not len(labels):
        raise MerError(f"score: {len(labels)} labels, {len(predicted)} predictions, {len(people)} subjects; expected "
                       "one of each for every clip, and at least one clip")
    for name, values in (("labels", labels), ("predicted", predicted)):
        if (wrong := (values < 0) | (values >= classes)).any():
            raise MerError(f"score: {name}[{int(wrong.argmax())}] = {values[wrong.argmax()]}; expected a class from 0 "
                           f"to {classes - 1}")
    by_subject = metrics.confusion_by(people, labels, predicted, classes)[1]
    return _scores(by_subject, bootstrap, seed)


def _scores(by_subject: np.ndarray, bootstrap: int, seed: int) -> dict[str, float]:
    """Each score of (S, n, n) counts, pooled, and its interval, where there is one."""
    out, total = {}, by_subject.sum(axis=0)
    for key, compute in measures.COMPUTED.items():
        out[key] = float(compute(total))
        interval = significance.bootstrap(by_subject, compute, bootstrap, seed)
        if interval:
            out[f"{key}_low"], out[f"{key}_high"] = interval
    return out


def summarise(t: Predictions, names: tuple[str, ...], selections: tuple[str, ...],
              zero_shot: Predictions | None = None, *, bootstrap: int, permutations: int,
              seed: int, parts: Sequence[str] = ()) -> dict[str, float]:
    """Every number that the run reports, for classes called `names`. `selections[0]` is the headline; `parts` are the
    folds that are test sets of their own, see `protocols.parts`.

    Keys: the scores (`accuracy wf1 uf1 uar war`), pooled over folds and seeds, each with `_low` and `_high` (95 %
    subject bootstrap, absent with one subject); `p_value` (permutation within subjects); `chance` = 1 / classes and
    `majority` = share of the largest class; `subject_accuracy` (mean over subjects); `n_clips`, `n_subjects`;
    `recall_<class>`, `clips_<class>`; with several datasets `<dataset>_<score>`; of each of `parts` `<part>_<score>`
    and `<part>_clips`; with several seeds `accuracy_sd` and for every seed `seed<k>_accuracy`, `seed<k>_p_value`;
    `<selection>_accuracy` and `_uf1` for every rule, `oracle_excess` = oracle minus headline accuracy;
    `zero_shot_accuracy`; auxiliary errors after the last step, mean over clips (pixels; fraction of the inter-ocular
    distance; fraction of frames; squared grey levels of 0..1).

    Raises:
        MerError: other classes in the tables than `names`, no prediction of a selection, or seeds or selections that
            hold different clips.
    """
    if len(names) != t.classes:
        raise MerError(f"prediction tables with {t.classes} classes; expected {len(names)}: {', '.join(names)}")
    head = t.where(selections[0])
    if not len(head):
        raise MerError(f"prediction tables: no row of selection {selections[0]}; found {', '.join(set(t.selection))}")
    _same_clips(t)
    once = head.where(seed=int(head.seed.min()))
    by_subject = significance.subject_confusions(head)
    total = by_subject.sum(axis=0)
    out = _scores(by_subject, bootstrap, seed)
    out["p_value"] = significance.permutation(head, permutations, seed)
    share = np.bincount(once.label, minlength=t.classes)
    out["chance"] = 1 / t.classes
    out["majority"] = float(share.max() / share.sum())
    out["subject_accuracy"] = metrics.subject_mean(by_subject)
    out["n_clips"], out["n_subjects"], out["n_seeds"] = len(once), len(by_subject), len(set(head.seed))
    for j, name in enumerate(names):
        out[f"recall_{name}"], out[f"clips_{name}"] = float(metrics.recall(total)[j]), int(share[j])
    owners = np.array([dataset_of(subject) for subject in head.subject])
    out |= _slices(head, owners, sorted(set(owners))) | _slices(head, head.fold, parts)
    out |= {f"{name}_clips": int((once.fold == name).sum()) for name in parts}
    out |= _seeds(head, permutations, seed)
    for rule in selections:
        cm = significance.subject_confusions(t.where(rule)).sum(axis=0)
        out[f"{rule}_accuracy"], out[f"{rule}_uf1"] = float(metrics.accuracy(cm)), float(metrics.uf1(cm))
    if "oracle" in selections:
        out["oracle_excess"] = out["oracle_accuracy"] - out["accuracy"]
    if zero_shot is not None:
        cm = significance.subject_confusions(zero_shot).sum(axis=0)
        out["zero_shot_accuracy"], out["zero_shot_uf1"] = float(metrics.accuracy(cm)), float(metrics.uf1(cm))
    last = t.where("last") if "last" in t.selection else head
    for column, measure in measures.columns().items():
        values = last.aux[column]
        if np.isfinite(values).any():
            out[measure.key] = float(np.nanmean(values))
    return out


def write(reports: Path, numbers: dict[str, float]) -> None:
    """The headline's numbers to metrics.json, all others to details.json; no key stands in both."""
    first = {*HEADLINE, *(measure.key for measure in measures.of_models() if measure.rival or measure.constant)}
    store.write_json(reports / METRICS, {key: value for key, value in numbers.items() if key in first})
    store.write_json(reports / DETAILS, {key: value for key, value in numbers.items() if key not in first})


def read(reports: Path) -> dict[str, float]:
    """All numbers of both files; what an earlier version left has one, with all of them.

    Raises:
        MerError: metrics.json is missing, or one of them damaged.
    """
    found = store.read_json(reports / METRICS)
    return found | (store.read_json(reports / DETAILS) if (reports / DETAILS).is_file() else {})


def _slices(head: Predictions, owners: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Scores of the rows of each owner (N,) where there are several: slices of the same folds' predictions."""
    found, counts = metrics.confusion_by(owners, head.label, head.predicted, head.classes)
    if len(names) < 2:
        return {}
    return {f"{name}_{key}": float(value) for name, cm in zip(found, counts, strict=True) if name in names
            for key, value in measures.scores(cm).items()}


def _seeds(head: Predictions, permutations: int, seed: int) -> dict[str, float]:
    seeds, out, values = sorted(set(head.seed.tolist())), {}, []
    for k in seeds:
        mine = head.where(seed=k)
        cm = significance.subject_confusions(mine).sum(axis=0)
        values.append(measures.scores(cm))
        out[f"seed{k}_accuracy"], out[f"seed{k}_uf1"] = float(values[-1]["accuracy"]), float(values[-1]["uf1"])
        out[f"seed{k}_p_value"] = significance.permutation(mine, permutations, seed)
    if len(seeds) > 1:
        for key in values[0]:
            column = [float(value[key]) for value in values]
            out[f"{key}_mean"], out[f"{key}_sd"] = float(np.mean(column)), float(np.std(column, ddof=1))
    return out


def _same_clips(t: Predictions) -> None:
    """A fold that is missing for one seed or selection would silently change what is averaged."""
    first: tuple[str, set] | None = None
    for rule in sorted(set(t.selection)):
        for seed in sorted(set(t.where(rule).seed.tolist())):
            part = t.where(rule, seed)
            clips = set(zip(part.subject.tolist(), part.clip_id.tolist(), strict=True))
            name = f"seed {seed}, selection {rule}"
            if first is None:
                first = (name, clips)
            elif clips != first[1]:
                subject, clip = min(clips ^ first[1])
                raise MerError(f"prediction tables: clip {clip} of {subject} is predicted for only one of "
                               f"{first[0]} and {name}; expected the same clips for all, run `dvc repro`")


def line(numbers: dict[str, float]) -> str:
    """The result in one line, chance and uncertainty beside it."""
    interval = (f" [{numbers['accuracy_low']:.3f}, {numbers['accuracy_high']:.3f}]" if "accuracy_low" in numbers
                else " (one subject: no interval)")
    before = (f", before any fold was trained {numbers['zero_shot_accuracy']:.3f}" if "zero_shot_accuracy" in numbers
              else "")
    return (f"evaluate: accuracy {numbers['accuracy']:.3f}{interval}, chance {numbers['chance']:.3f}, "
            f"p {numbers['p_value']:.2g}{before}, UF1 {numbers['uf1']:.3f}, UAR {numbers['uar']:.3f}; "
            f"{numbers['n_clips']} clips of {numbers['n_subjects']} subjects")


def part_lines(numbers: dict[str, float], parts: Sequence[str]) -> list[str]:
    """The result of each test set, as CCAC ranks DFME's: UF1, then UAR, then accuracy."""
    return [f"evaluate: {name}: UF1 {numbers[f'{name}_uf1']:.3f}, UAR {numbers[f'{name}_uar']:.3f}, accuracy "
            f"{numbers[f'{name}_accuracy']:.3f}; {numbers[f'{name}_clips']} clips" for name in parts]
