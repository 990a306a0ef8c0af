"""Pictures of a clip of one's own, whose class nobody knows; a model's pictures.py (`own_clip`) draws what it sees."""

import importlib
import io
import types
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from mer.reporting import pictures, plots

ACROSS = 4  # frames side by side, which a phone still shows
SLOWER, SHOWN = 200, 240  # milliseconds a frame of the moving picture, pixels of its side


def scores(names: tuple[str, ...], p: np.ndarray, chance: float, path: Path) -> None:
    """Bars of the mean score of each class, and a dot for each network; p (N, m)."""
    order = np.argsort(-p.mean(axis=0), kind="stable")
    title = "Softmax scores, not calibrated"
    fig = plots.figure(1.0 + 0.42 * len(names), title, False)
    ax = fig.subplots()
    mean = p.mean(axis=0)[order]
    ax.barh(range(len(names)), mean, color=plots.SHADES(0.3), height=0.62)
    # a fixed scatter across the bar, so that equal scores can be told apart and a rerun gives the same picture
    spread = 0.22 * np.sin(2.4 * np.arange(len(p))) if len(p) > 1 else np.zeros(1)
    for row, j in enumerate(order):
        ax.plot(p[:, j], row + spread, "o", color=plots.MAIN, markersize=3.2, alpha=0.8,
                label="one network" if row == 0 else None)
    ax.axvline(chance, color=plots.WARM, linestyle="--", linewidth=1.2, label=f"chance {chance:.2f}")
    ax.set(xlim=(-0.01, 1.01), ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)),
           yticklabels=[f"{names[j]}  {p.mean(axis=0)[j]:.2f}" for j in order], xlabel="softmax score")
    ax.grid(axis="x", color=plots.GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    fig.legend(loc="outside lower right", ncols=2, fontsize=8, frameon=False, labelcolor=plots.INK)
    plots.style(ax)
    ax.tick_params(axis="y", length=0)
    told = "; ".join(f"{names[j]} {p.mean(axis=0)[j]:.3f} ({p[:, j].min():.3f} to {p[:, j].max():.3f})" for j in order)
    what = f"bars are means, dots the {len(p)} networks" if len(p) > 1 else "one network"
    plots.save(fig, path, title, f"Score of each class, {what}: {told}. They are no probabilities.", False)


def film(judged) -> bytes:
    """An animated GIF of all frames from onset to offset in the centre crop, five a second, over and over."""
    stills = [Image.fromarray(frame).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC) for frame in judged.film]
    buffer = io.BytesIO()
    stills[0].save(buffer, "GIF", save_all=True, append_images=stills[1:], duration=SLOWER, loop=0)
    return buffer.getvalue()


def landmarks(judged, path: Path) -> Path:
    """All sampled frames with dlib's points and, of MOL, the estimated ones."""
    guess = judged.kept.get("landmarks")
    fig, axes = grid(len(judged.frames), "Landmarks on the sampled frames")
    for k, (ax, frame, points) in enumerate(zip(axes, judged.frames, judged.points, strict=True)):
        ax.imshow(frame, **pictures.GRAY)
        ax.plot(*points.T, ".", color=plots.WARM, markersize=1.6, label="dlib")
        if guess is not None and k:
            ax.plot(*guess[k - 1].T, ".", color=plots.MAIN, markersize=1.6, label="estimated")
        ax.set_title(f"{k}", fontsize=7, pad=2)
    _key(fig, axes[min(1, len(axes) - 1)])
    told = f"{len(judged.frames)} sampled frames, centre crops, with dlib's 68 points"
    if guess is not None:
        away = np.linalg.norm(guess - judged.points[1:], axis=-1).mean()
        told += f" and the network's estimate, on average {away:.1f} pixels of the crop away"
    plots.save(fig, path, "Landmarks on the sampled frames", f"{told}.", False)
    return path


def grid(count: int, title: str) -> tuple[matplotlib.figure.Figure, list]:
    """A figure with `count` square pictures, `ACROSS` a row; what is left over is hidden."""
    down = -(-count // ACROSS)
    fig = plots.figure(0.5 + 1.27 * down, title, False)
    axes = list(np.ravel(fig.subplots(down, ACROSS, squeeze=False)))
    for ax in axes:
        plots.style(ax)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=plots.GRID)
    for ax in axes[count:]:
        ax.set_visible(False)
    return fig, axes[:count]


def _key(fig, ax) -> None:
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False,
               labelcolor=plots.INK, markerscale=4)


def of(model: str) -> types.ModuleType:
    """The module of a model's pictures, found by its name."""
    return importlib.import_module(f"mer.models.{model}.pictures")
