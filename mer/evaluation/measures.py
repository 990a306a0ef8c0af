"""Every number of reports/metrics.json that has a name: what it is, in which unit, beside which rival it stands.

The page, the comparison, the tables, the export's card and the checks of the prediction table read this list. A measure
is one line here, or in `MEASURES` of a model's config.py, plus its computation: a score of the classes is a function of
confusion counts (metrics.py); an error of a model's task is a column that the method's `errors` returns.
"""

import numpy as np

from mer import params
from mer.base.measure import Measure
from mer.evaluation import metrics

SCORES = (
    Measure("accuracy", "accuracy", "%", 100, 1, "more", compute=metrics.accuracy,
            about="share of clips, all folds pooled"),
    Measure("wf1", "weighted F1", "%", 100, 1, "more", compute=metrics.wf1, about="F1 weighted by class size"),
    Measure("uf1", "UF1", "%", 100, 1, "more", compute=metrics.uf1, about="mean F1 of the classes"),
    Measure("uar", "UAR", "%", 100, 1, "more", compute=metrics.uar, about="mean recall of the classes"),
    # the accuracy by another name: no card of its own
    Measure("war", "WAR", "%", 100, 1, "more", compute=metrics.war),
)
BESIDE = (
    Measure("subject_accuracy", "mean over subjects of their accuracies", "%", 100, 1, "more"),
    Measure("accuracy_sd", "sd of the accuracy over seeds", "points", 100, 1),
    Measure("oracle_excess", "excess of choosing the step on the tested subject (never a result)", "points", 100, 1,
            ""),
    Measure("zero_shot_accuracy", "accuracy before any fold was trained", "%", 100, 1, "more"),
)
HEAT = (
    Measure("cam_mass", "Grad-CAM inside the region that truly moves", "%", 100, 1, "more", rival="cam_area",
            surely="cam_excess_low"),
    Measure("cam_area", "an even map", "%", 100, 1),
    Measure("cam_clips", "clips with such a region and heat", digits=0, better=""),
)


COMPUTED = {measure.key: measure.compute for measure in SCORES if measure.compute}  # of confusion counts


def scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Every score of (..., n, n) confusion counts, by key."""
    return {key: compute(counts) for key, compute in COMPUTED.items()}


def of_models() -> tuple[Measure, ...]:
    """What the models measure of their own tasks, in the models' order."""
    return tuple(measure for config in params.CONFIGS.values() for measure in getattr(config, "MEASURES", ()))


def every() -> dict[str, Measure]:
    """All of them by key, in the order in which they are shown."""
    return {measure.key: measure for measure in (*SCORES, *BESIDE, *of_models(), *HEAT)}


def columns() -> dict[str, Measure]:
    """Those that each clip has, by their column of the prediction table."""
    return {measure.column: measure for measure in of_models() if measure.column}


def rival(measure: Measure, numbers: dict[str, float]) -> tuple[str, float] | None:
    """Words and value of what costs nothing beside `measure`; None where there is nothing of the kind in `numbers`."""
    if measure.rival in numbers:
        return every()[measure.rival].words, numbers[measure.rival]
    return measure.constant


def beats(measure: Measure, numbers: dict[str, float]) -> bool | None:
    """Whether the number is better than its rival, surely so where the interval is known; None without a rival."""
    beside = rival(measure, numbers)
    if beside is None or not measure.better:
        return None
    advantage = numbers[measure.key] - beside[1]
    return numbers.get(measure.surely, advantage if measure.better == "more" else -advantage) > 0
