"""Pictures of a clip of one's own, whose class nobody knows: scores, and what the shown network makes of the frames."""

import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from mer.models.fdp.pictures import k_line, score_axes
from mer.models.ma2mi.pictures import panels
from mer.models.mol.pictures import flow_colours, wheel
from mer.reporting import pictures, plots

ACROSS = 4  # frames side by side, which a phone still shows
FAINT = 0.15  # pixels of motion below which a flow is all but transparent
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


def draw(model: str, judged, folder: Path) -> list[Path]:
    """The pictures that the model's task makes possible, in the order in which they are shown."""
    kept, made = judged.kept, []
    if "grad_cam" in kept:
        made.append(_heat(judged, folder / "grad_cam.png"))
    if "dynamic" in kept:
        made.append(_dynamic(judged, folder / "dynamic_image.png"))
    if "scores" in kept:
        made.append(_ranks(judged, folder / "rank_scores.png"))
    if "grad_cam" not in kept:
        made.append(_landmarks(judged, folder / "landmarks.png"))
    if "flow" in kept:
        made.append(_flow(judged, folder / "flow.png"))
    return made


def film(judged) -> bytes:
    """An animated GIF of all frames from onset to offset in the centre crop, five a second, over and over."""
    stills = [Image.fromarray(frame).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC) for frame in judged.film]
    buffer = io.BytesIO()
    stills[0].save(buffer, "GIF", save_all=True, append_images=stills[1:], duration=SLOWER, loop=0)
    return buffer.getvalue()


def _landmarks(judged, path: Path) -> Path:
    """All sampled frames with dlib's points and, of MOL, the estimated ones."""
    guess = judged.kept.get("landmarks")
    fig, axes = _grid(len(judged.frames), "Landmarks on the sampled frames")
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


def _flow(judged, path: Path) -> Path:
    """TV-L1 and estimated flow of every pair, drawn over its first frame."""
    label, guess = (judged.kept[name].astype(np.float32) for name in ("flow_label", "flow"))
    longest = max(float(np.quantile(np.hypot(*label.transpose(1, 0, 2, 3)), 0.995)), 0.3)
    title = "Flow from frame to frame"
    down = -(-len(label) // ACROSS)
    fig, axes = _grid(2 * down * ACROSS, title)
    for part, (word, flows) in enumerate((("TV-L1", label), ("estimated", guess))):
        for k, ax in enumerate(axes[part * down * ACROSS:(part + 1) * down * ACROSS]):
            if k >= len(flows):
                ax.set_visible(False)
                continue
            first = int(judged.kept["pair"][k])
            ax.imshow(judged.frames[first], **pictures.GRAY)
            ax.imshow(_tinted(flows[k], longest))
            ax.set_title(f"{word} {first}-{first + 1}", fontsize=7, pad=2)
    wheel(axes[0], longest)
    error, zero = (float(np.hypot(*d.transpose(1, 0, 2, 3)).mean()) for d in (guess - label, label))
    plots.save(fig, path, title, "Over each sampled frame the motion to the next one, hue its direction, depth of "
               f"colour its length, full colour {longest:.2f} pixels of the crop; first by TV-L1, then by the network, "
               f"which differs from TV-L1 by {error:.3f} pixels on average (zero flow: {zero:.3f}).", False)
    return path


def _tinted(flow: np.ndarray, longest: float) -> np.ndarray:
    """(H, W, 4) colours of a flow (2, H, W), the more transparent the less moves."""
    length = np.hypot(*flow)
    alpha = 0.75 * np.clip(length / longest, 0, 1) * np.clip(length / FAINT, 0, 1)
    return np.concatenate([flow_colours(flow, longest), alpha[..., None]], axis=-1)


def _dynamic(judged, path: Path) -> Path:
    truth, guess = (judged.kept[name].astype(np.float32) for name in ("dynamic_label", "dynamic"))
    error, title = np.abs(guess - truth), "Dynamic image"
    worst = max(float(np.quantile(error, 0.995)), 0.05)
    unit = {"cmap": "gray", "vmin": 0, "vmax": 1}
    fig, axes = _grid(4, title)
    for ax, word, picture, how in zip(
            axes, ("first frame", "of the frames", "constructed", "abs. difference"),
            (judged.frames[0], truth, guess, error),
            (pictures.GRAY, unit, unit, {"cmap": plots.SHADES, "vmin": 0, "vmax": worst}), strict=True):
        ax.imshow(picture, **how)
        ax.set_title(word, fontsize=7.5, pad=2)
    pictures.note(axes[3], f"dark = {worst:.2f}")
    plots.save(fig, path, title, "First sampled frame, the dynamic image of the sampled frames, the one that the "
               "network constructs, and their absolute difference; mean squared error x 1000: "
               f"{1000 * float(np.square(error).mean()):.2f}.", False)
    return path


def _ranks(judged, path: Path) -> Path:
    values, slope, title = judged.kept["scores"], judged.run.params.fdp.rank_slope, "Rank scores of the frames"
    k = np.arange(len(values))
    fig = plots.figure(2.3, title, False)
    ax = fig.subplots()
    ax.plot(k, values, color=plots.MAIN, linewidth=1.8, marker="o", markersize=3.5, label="this clip")
    score_axes(ax, k, slope)
    ax.legend(fontsize=7, frameon=False, labelcolor=plots.INK)
    plots.save(fig, path, title, f"Rank score of each sampled frame: {', '.join(f'{v:.2f}' for v in values)}; the "
               f"wanted line is {k_line(slope)}. Scores that rise say that the network sees the order of the frames.",
               False)
    return path


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


def _grid(count: int, title: str) -> tuple[matplotlib.figure.Figure, list]:
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
