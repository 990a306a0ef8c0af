"""MA2MI's pictures: onset, apex, their difference, and Grad-CAM over the onset beside what truly moves (Fig. 6)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from mer.evaluation import outputs
from mer.evaluation.grad_cam import Compared
from mer.evaluation.predictions import Predictions
from mer.reporting import pictures, plots
from mer.reporting.pictures import Column, Look

TITLE = "Where the network looks"  # of the pictures of a clip of one's own

HEAT = matplotlib.colormaps["YlOrRd"]
DEEPEST = 0.6  # opacity of the hottest place
HALO = [withStroke(linewidth=2.6, foreground="white")]  # lets an outline be seen on any ground


def tested(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, kept: set[str], crop: int,
           sampling: dict, names: tuple[str, ...] = (),
           compared: dict[tuple[int, str, str], Compared] | None = None, cfg=None) -> int:
    """The pictures of the tested clips; arguments as in `clips_drawn.draw`, `kept` the names that the folds keep."""
    if "grad_cam" not in kept:
        return 0
    return draw(t.where(seed=int(t.seed.min())), data, folder, count, synthetic, crop=crop, sampling=sampling,
                names=names, compared=compared or {})


def draw(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, crop: int, sampling: dict,
         names: tuple[str, ...], compared: dict[tuple[int, str, str], Compared]) -> int:
    """Draw `count` clips, evenly spread from the best to the worst by the probability of the true class.

    Arguments as in `clips_drawn.draw`, the predictions of one seed. Returns the number of pictures written.
    """
    if not count:
        return 0
    number = 0
    right = t.p[np.arange(len(t)), t.label]
    for number, row, rank in pictures.ranked(t, -right, count):
        clip, seed = str(row.clip_id[0]), int(row.seed[0])
        heat = outputs.read(data, seed, str(row.fold[0]), ("grad_cam",))[clip]["grad_cam"].astype(np.float32)
        ends = outputs.sampled(row, data, crop, sampling)[0].astype(np.float32)
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


def across(looks: Sequence[Look]) -> tuple[tuple[str, ...], list[Column], list[Column]]:
    """One clip in several runs: names of the rows, columns of its frames, a column a run with its heat."""
    first = looks[0]
    onset, apex = outputs.sampled(first.row, first.data, first.crop, first.sampling)[0].astype(np.float32)
    side = onset.shape[0]

    def heat(one: Look) -> Callable:
        found = outputs.read(one.data, int(one.row.seed[0]), str(one.row.fold[0]), ("grad_cam",))
        warm = overlay(found[str(one.row.clip_id[0])]["grad_cam"].astype(np.float32))
        return pictures.shown(onset, lambda ax: ax.imshow(
            warm, extent=(-0.5, side - 0.5, side - 0.5, -0.5), interpolation="bilinear"), **pictures.GRAY, alpha=0.75)

    def change(ax) -> None:
        pictures.signed(ax, apex - onset, pictures.reach(apex - onset))
        pictures.frame_axes(ax, onset.shape)

    return ("Grad-CAM",), [Column("onset", (pictures.shown(onset),)), Column("apex - onset", (change,))], [
        Column("", (heat(one),)) for one in looks]


def own_clip(judged, folder: Path) -> list[Path]:
    """Onset, apex and Grad-CAM."""
    return [_heat(judged, folder / "grad_cam.png")]


def _heat(judged, path: Path) -> Path:
    onset, apex = judged.frames.astype(np.float32)
    heat = judged.kept["grad_cam"].astype(np.float32)
    named = judged.run.classes[int(judged.p[judged.networks.index(judged.shown)].argmax())]
    title = "Onset, apex, and Grad-CAM"
    fig = plots.figure(5.0, title, False)
    axes = panels(fig, onset, apex, heat)
    axes[0, 0].plot(*judged.points[0].T, ".", color=plots.WARM, markersize=2)
    axes[0, 0].set_title("onset, dlib's landmarks")
    axes[1, 1].set_title(f"Grad-CAM of {named}")
    plots.save(fig, path, title, "Onset and apex frame in the centre crop, their difference (blue darker, brown "
               f"brighter), and Grad-CAM of {named}, the shown network's highest score, over the onset"
               f"{'' if heat.any() else ': no positive heat'}.", False)
    return path


def pretrained(made: dict[str, np.ndarray], rank: str, path: Path, synthetic: bool) -> None:
    """Upper row: the two frames, what the later one's latent decodes to, the prediction; below, what has changed.

    Without an autoencoder the latent is the picture itself, and decodes to it.
    """
    clip, subject = (made[name].item().decode() for name in ("clip", "subject"))
    first, second, start, truth, estimate = (255 * made[name].astype(np.float32) for name in (
        "first", "second", "start", "truth", "estimate"))
    pixels = np.array_equal(truth, second)
    columns = [("later", second, second - first)] + ([] if pixels else [("later, decoded", truth, truth - start)])
    columns.append(("later, predicted", estimate, estimate - start))
    fig = plots.figure(3.5 if pixels else 2.85, f"{rank} reconstruction: {clip}", synthetic)
    axes = fig.subplots(2, len(columns) + 1)
    axes[0, 0].imshow(first, **pictures.GRAY)
    axes[0, 0].set_title("earlier")
    pictures.frame_axes(axes[0, 0], first.shape)
    for i, (words, picture, change) in enumerate(columns, 1):
        axes[0, i].imshow(picture, **pictures.GRAY)
        axes[0, i].set_title(words)
        # what is predicted is drawn on the scale of the change that it should be
        pictures.signed(axes[1, i], change, pictures.reach(columns[0][2] if pixels or i == 1 else columns[1][2]))
        for ax in axes[:, i]:
            pictures.frame_axes(ax, picture.shape)
    axes[1, 0].axis("off")
    axes[1, 0].text(0.98, 0.5, "change from\nthe earlier,\ngrey levels", transform=axes[1, 0].transAxes, fontsize=8,
                    color=plots.MUTED, ha="right", va="center")
    told = (f"L1 error of the later frame's {'pixels' if pixels else 'latent'} {made['error'].item():.4f} "
            f"(copy of the earlier one {made['copy'].item():.4f})")
    fig.supxlabel(told, fontsize=7.5, color=plots.MUTED)
    between = "" if pixels else ", what the later one's latent decodes to"
    plots.save(fig, path, f"{rank} reconstruction in pretraining: {subject}, clip {clip}",
               f"An earlier and a later frame of a clip{between} and what the network predicts for it; below, what has "
               f"changed in each: {told}.", synthetic)
