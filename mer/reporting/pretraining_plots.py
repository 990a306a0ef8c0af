"""Pictures of pretraining: losses by step, and MA2MI's reconstruction of a later frame."""

from pathlib import Path

import numpy as np

from mer.base import store
from mer.reporting import pictures, plots

RANKS = {1: "Best", 2: "Median", 3: "Worst"}


def draw(folders: list[Path], out: Path, synthetic: bool) -> None:
    """Write curves.png and losses.csv of the networks of all seeds, and reconstruction_<n>.png of the first.

    Args:
        folders: one per seed, with log.csv and, if there is something to show, examples.h5 (mer/training/pretrain.py).
    """
    plots.training_curves([folder / "log.csv" for folder in folders], out, synthetic, what="Pretraining", each="seed")
    path = folders[0] / "examples.h5"
    if path.exists():
        for number, made in store.read_shard(path)[0].items():
            _reconstruction(made, RANKS[int(number)], out / f"reconstruction_{number}.png", synthetic)


def _reconstruction(made: dict[str, np.ndarray], rank: str, path: Path, synthetic: bool) -> None:
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
