"""The curves of a training: its losses, and how hard each task pulls at what all tasks share."""

from pathlib import Path

import numpy as np

from mer.base import store
from mer.reporting import plots

COLOURS = (plots.MAIN, plots.WARM, plots.MUTED)


def curves(folders: list[Path], out: Path, synthetic: bool, **words: str) -> None:
    """`plots.training_curves` and `gradient_curves` of the folders of what was trained; `words` as there."""
    plots.training_curves([folder / "log.csv" for folder in folders], out, synthetic, **words)
    gradient_curves([folder / "gradients.csv" for folder in folders], out, synthetic, **words)


def gradient_curves(logs: list[Path], folder: Path, synthetic: bool, *, what: str = "Training",
                    each: str = "fold") -> None:
    """gradients.png (folds thin, their mean bold) and gradients.csv (step and the means); nothing without a file.

    Args:
        logs: where a gradients.csv may stand, one for `each` of what was trained; `what` was done with it.

    Raises:
        MerError: as `plots.by_step`.
    """
    names, steps, values = plots.by_step([path for path in logs if path.exists()])
    if not steps:
        return
    mean = np.nanmean(values, axis=0)
    title = f"{what}: gradients of the tasks"
    fig = plots.figure(2.6, title, synthetic)
    ax = fig.subplots()
    for i, name in enumerate(names[1:]):
        colour = COLOURS[i % len(COLOURS)]
        ax.plot(steps, values[:, :, i].T, color=colour, alpha=0.18, linewidth=0.7)
        ax.plot(steps, mean[:, i], ".-", color=colour, linewidth=1.8, label=name)
    if (values > 0).any():
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="norm on the shared trunk")
    ax.grid(color=plots.GRID, linewidth=0.6)
    ax.legend(fontsize=8, frameon=False)
    plots.style(ax)
    told = ", ".join(f"{name} from {mean[0, i]:.3g} to {mean[-1, i]:.3g}" for i, name in enumerate(names[1:]))
    plots.save(fig, folder / "gradients.png", title,
               "Norm of each task's loss gradient, times its weight, on the layers that all tasks share, against the "
               f"training step, each {each} thin and the mean bold. Mean over {each}s: {told}.", synthetic)
    store.write_csv(folder / "gradients.csv", names,
                    [[step, *map(float, row)] for step, row in zip(steps, mean, strict=True)])
