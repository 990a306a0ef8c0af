"""A score over the one number in which several experiments differ, as MA2MI's Fig. 4 has it over the interval."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mer.evaluation import measures
from mer.reporting import comparison, plots
from mer.reporting.comparison import Comparison, Experiment

LEAST = 3  # values that make a curve
GROUND = ("datasets", "classes", "protocol", "seeds", "index.", "kfold.")  # may differ beside: a line each
MARKERS, COLOURS = "osDv^P", (plots.MAIN, plots.WARM, plots.INK, "#6a4c93", "#3d7a2a", "#8a6d00")


def knob(c: Comparison) -> str:
    """The one parameter of numbers in which the experiments differ, "" where there is none or too few of its values."""
    changed = [key for key in c.changed if not key.startswith(GROUND)]
    values = {_numbers(e.parameters.get(changed[0])) for e in c.experiments} if len(changed) == 1 else {()}
    return changed[0] if () not in values and len(values) >= LEAST else ""


def draw(c: Comparison, key: str, folder: Path) -> Path:
    """curve.png: accuracy and UF1 with their intervals over the values of `key`, a line for each ground."""
    lines: dict[tuple, list[Experiment]] = {}
    for e in sorted(c.experiments, key=lambda e: _numbers(e.parameters[key])):
        lines.setdefault(tuple(comparison.shown(e.parameters.get(name)) for name in _ground(c)), []).append(e)
    places = sorted({_numbers(e.parameters[key]) for e in c.experiments})
    synthetic, title = any(e.synthetic for e in c.experiments), f"Scores over {key}"
    scores = [score for score in measures.SCORES if score.key in ("accuracy", "uf1")]
    fig = plots.figure(2.3 * len(scores) + 0.3, title, synthetic)
    axes = fig.subplots(len(scores), 1, squeeze=False)[:, 0]
    for score, ax in zip(scores, axes, strict=True):
        for i, (ground, those) in enumerate(lines.items()):
            at = np.array([places.index(_numbers(e.parameters[key])) for e in those]) + 0.06 * i
            means = 100 * np.array([e.metrics[score.key] for e in those])
            low, high = (100 * np.array([e.metrics.get(f"{score.key}_{end}", e.metrics[score.key]) for e in those])
                         for end in ("low", "high"))
            ax.errorbar(at, means, (means - low, high - means), color=COLOURS[i % len(COLOURS)], capsize=3,
                        marker=MARKERS[i % len(MARKERS)], markersize=4.5, linewidth=1.6, elinewidth=1,
                        label=", ".join(ground) or None)
        ax.set(xticks=range(len(places)), xticklabels=[" to ".join(f"{number:g}" for number in place)
                                                       for place in places], ylabel=f"{score.words}, %")
        ax.grid(axis="y", color=plots.GRID, linewidth=0.6)
        plots.style(ax)
    axes[-1].set_xlabel(key)
    if _ground(c):
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", fontsize=7.5, frameon=False,
                   labelcolor=plots.INK)
    plots.save(fig, folder / "curve.png", title, "Headline scores in percent with their 95 % intervals (subjects "
               "resampled), in the order of the values, which stand evenly. " + _told(key, lines), synthetic)
    return folder / "curve.png"


def _ground(c: Comparison) -> list[str]:
    return [key for key in c.changed if key.startswith(GROUND)]


def _numbers(value: object) -> tuple[float, ...]:
    """A number, or a few, as a tuple; () for what is none."""
    several = value if isinstance(value, list | tuple) else [value]
    return tuple(map(float, several)) if all(isinstance(one, int | float) and not isinstance(one, bool)
                                             for one in several) else ()


def _told(key: str, lines: dict[tuple, list[Experiment]]) -> str:
    def one(ground: tuple, those: Iterable[Experiment]) -> str:
        points = ", ".join(f"{e.label} at {comparison.shown(e.parameters[key])}: {100 * e.metrics['accuracy']:.1f}"
                           for e in those)
        return f"Accuracy{f' on {chr(44).join(ground)}' if ground else ''}: {points}."
    return " ".join(one(*line) for line in lines.items())
