"""Charts of a run: confusion matrix, training curves, accuracy of each subject, as PNG and as CSV for `dvc plots`.

Figures are drawn narrow (4.6 inches) so that their text can be read on a phone. Each PNG carries its own caption and
description (`Title`, `Description` text chunks), which the page turns into caption and alt text; none depends on time.
"""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from mer.base import store
from mer.base.errors import MerError
from mer.evaluation.metrics import accuracy, confusion, confusion_by
from mer.evaluation.predictions import Predictions
from mer.reporting import fonts
from mer.reporting.flow_colours import INK

MUTED, GRID, MAIN, WARM = "#55626f", "#e3e8ec", "#0b6480", "#b3501b"
UNITS = {"mer": "nats", "flow": "px²", "landmark": "inter-ocular distances"}  # of a loss; others have none
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#cfe6ec", "#5fa9bd", "#0b6480", "#063a4c"])
WIDTH = 4.6  # inches


def figure(height: float, title: str, synthetic: bool, width: float = WIDTH) -> Figure:
    """An empty figure with the house style's title; `synthetic` data are named as such in every figure."""
    fig = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(fig)
    words = titled(title, synthetic)
    size = min(10, 113 * width / len(words))  # a long clip id must not run out of the figure
    fig.suptitle(words, fontsize=size, color=INK, x=0.02, ha="left", fontweight="bold")
    return fig


def titled(title: str, synthetic: bool) -> str:
    """The title, marked where the data are synthetic."""
    return f"{title} (synthetic data)" if synthetic else title


def save(fig: Figure, path: Path, title: str, description: str, synthetic: bool) -> None:
    """Write a PNG atomically: 200 dots per inch, caption and description inside, no date."""
    if legend := fonts.legible(fig):
        title, description = f"{title}: {legend}", f"{description} {legend}."
    with store.atomic(path) as temporary:
        fig.savefig(temporary, format="png", dpi=200, facecolor="white",
                    metadata={"Title": titled(title, synthetic), "Description": description, "Software": None})


def style(ax) -> None:
    """Quiet axes: no box, small muted ticks."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(labelsize=8, colors=MUTED)
    ax.title.set(fontsize=9, color=INK)
    ax.xaxis.label.set(fontsize=8.5, color=INK)
    ax.yaxis.label.set(fontsize=8.5, color=INK)


def confusion_matrix(t: Predictions, names: tuple[str, ...], folder: Path, synthetic: bool) -> None:
    """confusion.png (counts, and percent of the true class) and confusion.csv (actual, predicted: one row a clip)."""
    cm = confusion(t.label, t.predicted, t.classes)
    share = cm / np.maximum(cm.sum(axis=1, keepdims=True), 1)
    n, seeds = t.classes, len(set(t.seed.tolist()))
    fig = figure(1.3 + 0.62 * n if n > 3 else 3.4, "Confusion matrix, all folds", synthetic)
    ax = fig.subplots()
    ax.imshow(share, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    for i in range(n):
        for j in range(n):
            ax.text(j, i, f"{cm[i, j]}\n{100 * share[i, j]:.0f} %", ha="center", va="center",
                    fontsize=10 if n < 5 else 8, color="white" if share[i, j] > 0.5 else INK)
    labels = [name if len(name) < 12 else name[:11] + "…" for name in names]
    ax.set(xticks=range(n), yticks=range(n), xlabel="predicted class",
           ylabel=f"true class (clips{f' x {seeds} seeds' if seeds > 1 else ''})")
    style(ax)
    ax.set_xticklabels(labels, rotation=30 if n > 4 else 0, ha="right" if n > 4 else "center")
    ax.set_yticklabels(labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="minor", length=0)
    told = "; ".join(f"{names[i]}: {', '.join(f'{cm[i, j]} as {names[j]}' for j in range(n) if cm[i, j])}"
                     for i in range(n) if cm[i].any())
    save(fig, folder / "confusion.png", "Confusion matrix, all folds",
         f"Rows are true classes, columns predicted classes, {cm.sum()} predictions. {told}.", synthetic)
    store.write_csv(folder / "confusion.csv", ["actual", "predicted"],
                    [[names[a], names[b]] for a, b in zip(t.label, t.predicted, strict=True)])


def training_curves(logs: list[Path], folder: Path, synthetic: bool, *, what: str = "Training",
                    each: str = "fold") -> None:
    """curves.png (each loss by step: folds thin, their mean bold) and losses.csv (step and the mean losses).

    Args:
        logs: one log.csv for `each` of what was trained; `what` was done with it.

    Raises:
        MerError: a log without a step column, with other columns than the rest, or with a cell that is no number.
    """
    names, steps, values = by_step(logs)
    if not steps:
        return
    mean = np.nanmean(values, axis=0)
    count = len(names) - 1
    across = 2 if count > 1 else 1
    down = -(-count // across)
    title = f"{what} losses, {len(values)} {each}{'s' if len(values) > 1 else ''}"
    fig = figure(0.5 + 1.55 * down, title, synthetic)
    axes = np.atleast_1d(fig.subplots(down, across, sharex=True, squeeze=False)).ravel()
    for i, name in enumerate(names[1:]):
        ax = axes[i]
        ax.plot(steps, values[:, :, i].T, color=MAIN, alpha=0.18, linewidth=0.7)
        ax.plot(steps, mean[:, i], color=MAIN, linewidth=1.8)
        top, low = np.nanquantile(values[:, :, i], 0.99), np.nanmin(values[:, :, i])
        unit = f" ({UNITS[name]})" if name in UNITS else ""
        # MA2MI's diversity, a mean cosine, may be negative
        ax.set(title=f"{name} loss{unit}", ylim=(1.1 * low if low < 0 else 0, top * 1.1 if top > 0 else 1),
               xlim=(steps[0], max(steps[-1], steps[0] + 1)))
        if i >= count - across:
            ax.set_xlabel("step")
            ax.tick_params(labelbottom=True)
        ax.grid(color=GRID, linewidth=0.6)
        style(ax)
    for ax in axes[count:]:
        ax.set_visible(False)
    told = ", ".join(f"{name} from {mean[0, i]:.3g} to {mean[-1, i]:.3g}" for i, name in enumerate(names[1:]))
    save(fig, folder / "curves.png", title,
         f"Unweighted losses against the training step, each {each} thin and the mean bold. Mean over {each}s: {told}.",
         synthetic)
    store.write_csv(folder / "losses.csv", names,
                    [[step, *map(float, row)] for step, row in zip(steps, mean, strict=True)])


def subject_bars(t: Predictions, folder: Path, synthetic: bool) -> None:
    """subjects.png (accuracy of each held-out subject) and subjects.csv (subject, clips, accuracy)."""
    people, counts = confusion_by(t.subject, t.label, t.predicted, t.classes)
    seeds = len(set(t.seed.tolist()))
    clips, score = counts.sum(axis=(1, 2)) // seeds, accuracy(counts)
    pooled = float(accuracy(counts.sum(axis=0)))
    order = np.lexsort((people, -score))
    one = len({name.split("/")[0] for name in people}) == 1
    labels = [f"{people[i].split('/', 1)[1] if one else people[i]}  ({clips[i]})" for i in order]
    title = "Accuracy of each held-out subject"
    fig = figure(1.0 + 0.2 * len(people), title, synthetic)
    ax = fig.subplots()
    ax.barh(range(len(people)), score[order], color=MAIN, height=0.66)
    ax.axvline(1 / t.classes, color=WARM, linestyle="--", linewidth=1.2, label=f"chance {1 / t.classes:.2f}")
    ax.axvline(pooled, color=INK, linewidth=1.2, label=f"pooled {pooled:.2f}")
    ax.set(xlim=(0, 1), ylim=(len(people) - 0.4, -0.6), yticks=range(len(people)), yticklabels=labels,
           xlabel="accuracy (fraction of the subject's clips)", ylabel="subject (clips)")
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    fig.legend(loc="outside lower right", ncols=2, fontsize=8, frameon=False, labelcolor=INK)
    style(ax)
    ax.tick_params(axis="y", length=0)
    save(fig, folder / "subjects.png", title,
         f"Bars from {score.max():.2f} to {score.min():.2f} for {len(people)} subjects; pooled accuracy {pooled:.2f}, "
         f"chance {1 / t.classes:.2f}.", synthetic)
    store.write_csv(folder / "subjects.csv", ["subject", "clips", "accuracy"],
                    [[people[i], clips[i], float(score[i])] for i in np.argsort(people)])


def by_step(logs: list[Path]) -> tuple[list[str], list[int], np.ndarray]:
    """Of CSV files with a step column: all columns' names, the steps, values (files, steps, other columns), else NaN.

    A file without a row, of what was trained for 0 steps, is left out.

    Raises:
        MerError: a file without a step column, with other columns than the rest, or with a cell that is no number.
    """
    read = [(path, *_log(path)) for path in logs]
    read = [(path, names, rows) for path, names, rows in read if len(rows)]
    names = read[0][1] if read else ["step"]
    for path, header, _ in read:
        if header != names:
            raise MerError(f"{path}: columns {','.join(header)}; expected {','.join(names)} as in {read[0][0]}")
    steps = sorted({int(step) for _, _, rows in read for step in rows[:, 0]})
    at = {step: i for i, step in enumerate(steps)}
    values = np.full((len(read), len(steps), len(names) - 1), np.nan)
    for fold, (_, _, rows) in enumerate(read):
        values[fold, [at[int(step)] for step in rows[:, 0]]] = rows[:, 1:]
    return names, steps, values


def _log(path: Path) -> tuple[list[str], np.ndarray]:
    """Header and (rows, columns) float64 of a fold's log.csv."""
    header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    names = header.split(",")
    if names[0] != "step":
        raise MerError(f"{path}: first column {names[0]!r}; expected step")
    try:
        return names, np.array([[float(cell) for cell in line.split(",")] for line in lines]).reshape(-1, len(names))
    except ValueError as error:
        raise MerError(f"{path}: a row below the header {header} does not fit it ({error})") from None
