"""How good the scores are as scores: ROC and precision-recall of each class, and whether they are calibrated."""

from pathlib import Path

import numpy as np

from mer.evaluation.predictions import Predictions
from mer.reporting import plots

COLOURS = (plots.MAIN, plots.WARM, plots.INK, "#6a4c93", "#3d7a2a", "#8a6d00", "#7a1f4f")
BINS = 10  # of the highest score, for the reliability curve


def roc(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(false positive rate, true positive rate, precision), each (T,), at the T distinct thresholds from above.

    Args:
        truth: (N,) bool, at least one of each; score: (N,).
    """
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # equal scores cannot be told apart
    hits, misses = np.cumsum(truth[order])[last], np.cumsum(~truth[order])[last]
    return misses / (~truth).sum(), hits / truth.sum(), hits / (hits + misses)


def area(x: np.ndarray, y: np.ndarray) -> float:
    """The area under a ROC curve that begins at (0, 0)."""
    return float(np.trapezoid(np.insert(y, 0, 0), np.insert(x, 0, 0)))


def reliability(t: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each of `BINS` equal bins that holds a prediction: mean highest score, share that is right, how many."""
    high, right = t.p.max(axis=1), t.predicted == t.label
    which = np.minimum((high * BINS).astype(int), BINS - 1)
    kept = np.array(sorted(set(which.tolist())))
    return (np.array([high[which == k].mean() for k in kept]), np.array([right[which == k].mean() for k in kept]),
            np.array([(which == k).sum() for k in kept]))


def draw(t: Predictions, names: tuple[str, ...], folder: Path, synthetic: bool) -> None:
    """probabilities.png: the three panels of the predictions `t`, all folds and seeds pooled; none without scores."""
    known = [k for k in range(t.classes) if 0 < (t.label == k).sum() < len(t)]
    if not known or np.allclose(t.p, t.p[0]):
        return
    title = "The scores as scores"
    fig = plots.figure(7.6, title, synthetic)
    axes, areas = fig.subplots(3, 1), []
    for i, k in enumerate(known):
        wrong, right, precision = roc(t.label == k, t.p[:, k])
        areas.append(f"{names[k]} {area(wrong, right):.3f}")
        colour = COLOURS[i % len(COLOURS)]
        axes[0].plot(np.insert(wrong, 0, 0), np.insert(right, 0, 0), color=colour, linewidth=1.5, label=areas[-1])
        axes[1].plot(right, precision, color=colour, linewidth=1.5, label=names[k])
    axes[0].plot((0, 1), (0, 1), "--", color=plots.MUTED, linewidth=1)
    axes[0].set(xlabel="false positive rate", ylabel="true positive rate", title="ROC, area below it")
    axes[1].set(xlabel="recall", ylabel="precision", title="Precision and recall", ylim=(0, 1.03))
    said, true, count = reliability(t)
    axes[2].plot((0, 1), (0, 1), "--", color=plots.MUTED, linewidth=1, label="calibrated")
    axes[2].plot(said, true, "o-", color=plots.MAIN, markersize=4, linewidth=1.5, label="these scores")
    axes[2].set(xlabel="highest score of a clip", ylabel="share that is right", title="Reliability",
                xlim=(0, 1.03), ylim=(0, 1.03))
    for ax in axes:
        ax.grid(color=plots.GRID, linewidth=0.6)
        ax.legend(fontsize=8, frameon=False)
        plots.style(ax)
    error = float(np.sum(count * np.abs(said - true)) / count.sum())
    plots.save(fig, folder / "probabilities.png", title,
               f"Each class against all others, all folds pooled. Area under the ROC curve: {', '.join(areas)} (guess: "
               f"0.5). Reliability: the share that is right against the highest score; expected calibration error "
               f"{error:.3f} in {BINS} bins.", synthetic)
