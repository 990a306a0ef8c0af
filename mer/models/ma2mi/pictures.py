"""MA2MI's pictures: onset, apex, their difference, and Grad-CAM over the onset beside what truly moves (Fig. 6)."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from mer.evaluation import outputs
from mer.evaluation.grad_cam import Compared
from mer.evaluation.predictions import Predictions
from mer.reporting import pictures, plots

HEAT = matplotlib.colormaps["YlOrRd"]
DEEPEST = 0.6  # opacity of the hottest place
HALO = [withStroke(linewidth=2.6, foreground="white")]  # lets an outline be seen on any ground


def draw(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, crop: int, sampling: dict,
         names: tuple[str, ...], compared: dict[tuple[int, str, str], Compared]) -> int:
    """Draw `count` clips, evenly spread from the best to the worst by the probability of the true class.

    Arguments as in `drawings.draw`, the predictions of one seed. Returns the number of pictures written.
    """
    if not count:
        return 0
    number = 0
    right = t.p[np.arange(len(t)), t.label]
    for number, row, rank in pictures.ranked(t, -right, count):
        clip, seed = str(row.clip_id[0]), int(row.seed[0])
        heat = outputs.read(data, seed, str(row.fold[0]), ("grad_cam",))[clip]["grad_cam"].astype(np.float32)
        ends = pictures.sampled(row, data, crop, sampling)[0].astype(np.float32)
        _draw_clip(*ends, heat, compared.get((seed, str(row.subject[0]), clip)), row, rank, names,
                   folder / f"clip_{number}.png", synthetic)
    return number


def overlay(heat: np.ndarray) -> np.ndarray:
    """(H, W, 4) RGBA of a heat map (H, W) in [0, 1], to be laid over a gray picture: transparent where it is cold."""
    return np.concatenate([HEAT(heat)[..., :3], DEEPEST * np.clip(heat, 0, 1)[..., None]], axis=-1)


def panels(fig: Figure, onset: np.ndarray, apex: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Draw onset, apex, their difference and the heat over the onset into `fig`; its axes (2, 2).

    Args:
        onset, apex: (H, H) grey levels; heat: (S, S) in [0, 1], of the same field of view.
    """
    axes, side = fig.subplots(2, 2), onset.shape[0]
    axes[0, 0].imshow(onset, **pictures.GRAY)
    axes[0, 1].imshow(apex, **pictures.GRAY)
    pictures.signed(axes[1, 0], apex - onset, pictures.reach(apex - onset))
    axes[1, 1].imshow(onset, **pictures.GRAY, alpha=0.75)
    axes[1, 1].imshow(overlay(heat), extent=(-0.5, side - 0.5, side - 0.5, -0.5), interpolation="bilinear")
    for ax, words in zip(axes.flat, ("onset", "apex", "apex - onset, grey levels", "Grad-CAM over the onset"),
                         strict=True):
        ax.set_title(words)
        pictures.frame_axes(ax, onset.shape)
    return axes


def _draw_clip(onset: np.ndarray, apex: np.ndarray, heat: np.ndarray, truth: Compared | None, row: Predictions,
               rank: str, names: tuple[str, ...], path: Path, synthetic: bool) -> None:
    fig = plots.figure(5.15, f"{rank} by true class: {row.clip_id[0]}", synthetic)
    axes = panels(fig, onset, apex, heat)
    true, guessed = int(row.label[0]), int(row.predicted[0])
    words = [f"true class {names[true]} ({100 * row.p[0, true]:.0f} %)",
             f"predicted {names[guessed]}" + ("" if guessed == true else f" ({100 * row.p[0, guessed]:.0f} %)")]
    outlined = ""
    if not heat.any():
        words.append("no positive heat")
    elif truth is not None:
        words.append(f"{100 * truth.mass:.0f} % of the heat inside the region that truly moves "
                     f"({100 * truth.area:.0f} % of the crop)")
    if truth is not None:
        for ax in axes[1]:
            ax.contour(truth.region, levels=[0.5], colors=[plots.INK], linewidths=1.1).set_path_effects(HALO)
        outlined = ", the region that truly moves outlined"
    fig.supxlabel(f"{words[0]}, {words[1]}" + "".join(f"\n{line}" for line in words[2:]), fontsize=7.5,
                  color=plots.MUTED)
    plots.save(fig, path, f"{rank} clip by probability of the true class: {pictures.name_of(row)}",
               "Onset and apex frame in the centre crop, their difference, and Grad-CAM of the predicted class on the "
               f"last block of the action encoder over the onset{outlined}: {'; '.join(words)}.", synthetic)
