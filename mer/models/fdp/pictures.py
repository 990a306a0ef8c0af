"""FDP's pictures: true and constructed dynamic image of a clip, and its rank scores over time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mer.evaluation import outputs
from mer.evaluation.predictions import Predictions
from mer.reporting import clip_pictures, pictures, plots
from mer.reporting.pictures import Column, Look

TITLE = "Dynamic image and rank scores"  # of the pictures of a clip of one's own
BY = {"mse": "dynamic image"}  # the error that says which clip is the best
BAND = (10, 90)  # percentiles of the clips


def tested(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, kept: set[str], crop: int,
           sampling: dict, cfg, **more) -> int:
    """The pictures of the tested clips; arguments as in `clips_drawn.draw`, `kept` the names that the folds keep."""
    if "scores" in kept:
        rank_scores(t, data, folder, cfg.rank_slope, synthetic)
    if "dynamic" not in kept:
        return 0
    return draw(t.where(seed=int(t.seed.min())), data, folder, count, synthetic, crop=crop, sampling=sampling,
                slope=cfg.rank_slope)


def draw(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, crop: int, sampling: dict,
         slope: float) -> int:
    """Draw `count` clips, evenly spread from the best to the worst by the error of the dynamic image.

    Arguments as in `clips_drawn.draw`, the predictions of one seed. Returns the number of pictures written.
    """
    if not count:
        return 0
    number = 0
    for number, row, rank in pictures.ranked(t, t.aux["mse"], count):
        made = outputs.read(data, int(row.seed[0]), str(row.fold[0]))[str(row.clip_id[0])]
        onset = outputs.sampled(row, data, crop, sampling)[0][0]
        _draw_clip(onset, made, row, rank, slope, folder / f"clip_{number}.png", synthetic)
    return number


def rank_scores(t: Predictions, data: Path, folder: Path, slope: float, synthetic: bool) -> None:
    """rank_scores.png: mean and band of the rank scores S(F_k) of all tested clips against k, beside K(k) = slope k."""
    clips = [made["scores"] for seed, fold in sorted(set(zip(t.seed.tolist(), t.fold.tolist(), strict=True)))
             for made in outputs.read(data, seed, fold, ("scores",)).values()]
    values = np.stack(clips)
    low, high = np.percentile(values, BAND, axis=0)
    mean, correlation = values.mean(0), float(np.mean(t.aux["rank_correlation"]))
    title = "Rank scores of all tested clips"
    fig = plots.figure(2.8, title, synthetic)
    ax = fig.subplots()
    k = np.arange(values.shape[1])
    ax.fill_between(k, low, high, color=plots.MAIN, alpha=0.18, linewidth=0, label="80 % of the clips")
    ax.plot(k, mean, color=plots.MAIN, linewidth=1.8, marker="o", markersize=3.5, label="mean")
    ax.set_title(f"mean rank correlation with time {correlation:.2f}")
    score_axes(ax, k, slope)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False,
               labelcolor=plots.INK)
    told = ", ".join(f"{value:.2f}" for value in mean)
    plots.save(fig, folder / "rank_scores.png", title,
               f"Rank score of each sampled frame, k = 0 to {k[-1]}, {len(values)} clips of subjects that the network "
               f"has not seen: mean {told}; the wanted line is {k_line(slope)}. Mean rank correlation of a clip's "
               f"scores with time {correlation:.2f} (1: always rising, 0: no order).", synthetic)


def _draw_clip(onset: np.ndarray, made: dict[str, np.ndarray], row: Predictions, rank: str, slope: float, path: Path,
               synthetic: bool) -> None:
    truth, estimate = (made[name].astype(np.float32) for name in ("dynamic_label", "dynamic"))
    scores = made.get("scores")
    title = f"{rank} clip by dynamic image: {pictures.name_of(row)}"
    fig = plots.figure(1.95 if scores is None else 3.75, f"{rank} by dynamic image: {row.clip_id[0]}", synthetic)
    rows = [list("abcd")] if scores is None else [list("abcd"), list("ssss")]
    axes = fig.subplot_mosaic(rows, height_ratios=[1, 1.05][:len(rows)])
    error = np.abs(estimate - truth)
    worst = max(float(np.quantile(error, 0.995)), 0.05)
    shown = {"a": ("onset frame", onset, pictures.GRAY), "b": ("true", truth, {"cmap": "gray", "vmin": 0, "vmax": 1}),
             "c": ("constructed", estimate, {"cmap": "gray", "vmin": 0, "vmax": 1}),
             "d": ("abs. difference", error, {"cmap": plots.SHADES, "vmin": 0, "vmax": worst})}
    for key, (words, picture, how) in shown.items():
        axes[key].imshow(picture, **how)
        axes[key].set_title(words)
        pictures.frame_axes(axes[key], picture.shape)
    pictures.note(axes["d"], f"dark = {worst:.2f}")
    words = [f"mean squared error x 1000: {1000 * row.aux['mse'][0]:.2f} "
             f"(mean image {1000 * row.aux['mse_mean_image'][0]:.2f}); correlation with the true one "
             f"{row.aux['dynamic_corr'][0]:.2f} (mean image {row.aux['dynamic_corr_mean_image'][0]:.2f})"]
    if scores is not None:
        k, ax = np.arange(len(scores)), axes["s"]
        ax.plot(k, scores, color=plots.MAIN, linewidth=1.8, marker="o", markersize=3.5, label="this clip")
        score_axes(ax, k, slope)
        ax.legend(fontsize=7, frameon=False, labelcolor=plots.INK)
        words.append(f"rank correlation of the scores with time {row.aux['rank_correlation'][0]:.2f}")
    fig.supxlabel("\n".join(words), fontsize=7.5, color=plots.MUTED)
    ordered = "" if scores is None else f"; below, the rank score of each sampled frame beside {k_line(slope)}"
    plots.save(fig, path, title, "Onset frame in the centre crop, the dynamic image of the sampled frames, the one "
               f"that the network constructs, and their absolute difference{ordered}: {'; '.join(words)}.", synthetic)


def across(looks: Sequence[Look]) -> tuple[tuple[str, ...], list[Column], list[Column]]:
    """One clip in several runs, as in Fig. 4 and Table 15: names of the rows, columns of what is to be met, a column a
    run."""
    kept = [outputs.read(one.data, int(one.row.seed[0]), str(one.row.fold[0]))[str(one.row.clip_id[0])]
            for one in looks]
    frames = outputs.sampled(looks[0].row, looks[0].data, looks[0].crop, looks[0].sampling)[0]
    made = [tuple(one[name].astype(np.float32) for name in ("dynamic_label", "dynamic")) if "dynamic" in one else None
            for one in kept]
    errors = [np.abs(pair[1] - pair[0]) for pair in made if pair]
    worst = max([0.05, *(float(np.quantile(error, 0.995)) for error in errors)])
    unit = {"cmap": "gray", "vmin": 0, "vmax": 1}
    scale = {"cmap": plots.SHADES, "vmin": 0, "vmax": worst}
    truth = next((pictures.shown(pair[0], **unit) for pair in made if pair), "no run constructs it")

    def of_run(one: Look, pair: tuple[np.ndarray, np.ndarray] | None) -> Column:
        if pair is None:
            return Column("", ("no dynamic image task", ""))
        return Column("", (pictures.shown(pair[1], **unit), pictures.shown(
            np.abs(pair[1] - pair[0]), lambda ax: pictures.note(ax, f"dark = {worst:.2f}"), **scale)),
            (f"error x 1000: {1000 * one.row.aux['mse'][0]:.2f}",))

    return ("dynamic image", "its absolute error"), [
        Column("first and last frame", tuple(map(pictures.shown, frames[[0, -1]]))), Column("true", (truth, ""))], [
        of_run(*both) for both in zip(looks, made, strict=True)]


def score_axes(ax, k: np.ndarray, slope: float) -> None:
    """Axes of rank scores over the sampled frames k, with the wanted line K(k) = slope k."""
    ax.plot(k, slope * k, color=plots.WARM, linestyle="--", linewidth=1.2, label=k_line(slope))
    ax.set(xlabel="sampled frame k", ylabel="rank score S(F$_k$)", xticks=k)
    ax.grid(color=plots.GRID, linewidth=0.6)
    plots.style(ax)


def k_line(slope: float) -> str:
    """The wanted line in words."""
    return "K(k) = k" if slope == 1 else f"K(k) = {slope:g} k"


def own_clip(judged, folder: Path) -> list[Path]:
    """The pictures that the tasks make possible, in the order in which they are shown."""
    made = []
    if "dynamic" in judged.kept:
        made.append(_dynamic(judged, folder / "dynamic_image.png"))
    if "scores" in judged.kept:
        made.append(_ranks(judged, folder / "rank_scores.png"))
    return [*made, clip_pictures.landmarks(judged, folder / "landmarks.png")]


def _dynamic(judged, path: Path) -> Path:
    truth, guess = (judged.kept[name].astype(np.float32) for name in ("dynamic_label", "dynamic"))
    error, title = np.abs(guess - truth), "Dynamic image"
    worst = max(float(np.quantile(error, 0.995)), 0.05)
    unit = {"cmap": "gray", "vmin": 0, "vmax": 1}
    fig, axes = clip_pictures.grid(4, title)
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
