"""The forest plot of a comparison: each score's difference from the baseline with its interval."""

from pathlib import Path

from mer.evaluation import measures
from mer.reporting import plots
from mer.reporting.comparison import Comparison
from mer.reporting.curves import COLOURS, MARKERS

SCORES = ("accuracy", "uf1", "uar", "wf1")  # the others are one of these by another name


def draw(c: Comparison, folder: Path) -> Path | None:
    """forest.png: a line for each experiment and score; None where nothing is paired.

    Differences are in points, experiment minus baseline.
    """
    paired = [(i, one) for i, one in enumerate(c.against) if not one.problem]
    lines = [(i, one.experiment.label, measures.every()[key].words, *one.difference[key])
             for i, one in paired for key in SCORES if one.difference[key][1]]
    if not lines:
        return None
    title = f"Difference from {c.experiments[0].label}"
    fig = plots.figure(1.1 + 0.3 * len(lines), title, any(e.synthetic for e in c.experiments))
    ax = fig.subplots()
    for row, (i, _, _, value, (low, high)) in enumerate(lines):
        ax.plot((100 * low, 100 * high), (row, row), color=COLOURS[(i + 1) % len(COLOURS)], linewidth=2)
        ax.plot(100 * value, row, MARKERS[(i + 1) % len(MARKERS)], color=COLOURS[(i + 1) % len(COLOURS)])
    ax.axvline(0, color=plots.INK, linewidth=1)
    several = len(paired) > 1
    ax.set(yticks=range(len(lines)), ylim=(len(lines) - 0.4, -0.6), xlabel="points, with the 95 % interval",
           yticklabels=[f"{label[:18]}: {words}" if several else words for _, label, words, *_ in lines])
    ax.grid(axis="x", color=plots.GRID, linewidth=0.6)
    plots.style(ax)
    told = "; ".join(f"{label}, {words} {100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
                     for _, label, words, value, (low, high) in lines)
    plots.save(fig, folder / "forest.png", title, f"Experiment minus baseline, the same subjects resampled for both: "
               f"{told}. An interval that holds 0 tells no direction.", any(e.synthetic for e in c.experiments))
    return folder / "forest.png"
