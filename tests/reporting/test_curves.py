"""Scores over the one knob in which experiments differ: when there is such a curve, and what it says."""

from pathlib import Path

import pytest
from PIL import Image
from reporting import fabricate
from reporting.test_plots import inks

from mer.evaluation import results
from mer.reporting import comparison, comparison_page, curves
from mer.reporting.comparison import Experiment
from mer.runs.finished import Run
from mer.runs.sources import Source

BASE = {"model": "ma2mi", "datasets": ("synthetic",), "classes": "3", "protocol": "loso", "profile": "demo",
        "ma2mi.interval": (2, 6), "train.steps": 40, "ma2mi.predict": "direct"}


def compared(*changes: dict) -> comparison.Comparison:
    made = []
    for i, change in enumerate(changes):
        t = fabricate.table(subjects=3, model="ma2mi", seed=i, dataset=change.get("datasets", ("synthetic",))[0])
        numbers = results.summarise(t, fabricate.NAMES, ("last",), bootstrap=200, permutations=200, seed=0)
        run = Run(Source(f"run{i}"), predictions=t, metrics=numbers, clip_list="")
        made.append(Experiment("ABCDEF"[i], run, {**BASE, **change}, t.where("last"), "last", fabricate.NAMES))
    return comparison.compare(made)


INTERVALS = [{"ma2mi.interval": interval} for interval in ((4, 8), (1, 1), (2, 6))]


@pytest.mark.parametrize(("changes", "key"), [
    (INTERVALS, "ma2mi.interval"),
    (INTERVALS[:2], ""),  # two points are no curve
    ([*INTERVALS, {"train.steps": 80}], ""),  # two knobs
    ([{"ma2mi.predict": word} for word in ("direct", "residual", "none")], ""),  # words
    ([{"train.steps": number} for number in (40, 80, 20)], "train.steps"),
    ([*INTERVALS, {"datasets": ("casme2",), "classes": "5"}], "ma2mi.interval")])
def test_a_curve_needs_one_knob_of_three_numbers(changes, key):
    assert curves.knob(compared(*changes)) == key


def test_the_curve_is_in_the_order_of_the_values_with_a_line_a_dataset(tmp_path: Path):
    c = compared(*INTERVALS, {"datasets": ("casme2",)})
    path = curves.draw(c, "ma2mi.interval", tmp_path)
    with Image.open(path) as image:
        title, told = image.info["Title"], image.info["Description"]
    assert title == "Scores over ma2mi.interval (synthetic data)" and inks(path) > 50
    shown = [f"{100 * e.metrics['accuracy']:.1f}" for e in c.experiments]
    assert (f"Accuracy on [synthetic]: B run1 at [1, 1]: {shown[1]}, C run2 at [2, 6]: {shown[2]}, A run0 at [4, 8]: "
            f"{shown[0]}. Accuracy on [casme2]: D run3 at [2, 6]: {shown[3]}.") in told
    page = comparison_page.build(compared(*INTERVALS))
    assert page.count('<section id="curve"') == 1 and "Over ma2mi.interval" in page
    assert 'id="curve"' not in comparison_page.build(compared(*INTERVALS[:2]))
