"""MOL's pictures: two frames, TV-L1 and estimated flow, the warp of Eq. (11), landmarks by dlib and estimated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer.evaluation import outputs
from mer.evaluation.predictions import Predictions
from mer.reporting import clip_pictures, pictures, plots
from mer.reporting.flow_colours import flow_colours, wheel
from mer.reporting.pictures import Column, Look

TITLE = "Landmarks and flow"  # of the pictures of a clip of one's own
BY = {"epe": "flow", "nme": "landmarks"}  # errors that say which clip is the best, the first that there is
FAINT = 0.15  # pixels of motion below which a flow is all but transparent


@dataclass(frozen=True)
class Seen:
    """One clip's pair of frames with labels and estimates, all in pixels of the centre crop of side C.

    k; first, second: (C, C) uint8, frames I_k and I_{k+1}; truth (68, 2): dlib's points of I_{k+1}; label, estimate:
    (2, C, C) flow I_k -> I_{k+1}, or None without that task; points: (68, 2) estimated, or None.
    """

    k: int
    first: np.ndarray
    second: np.ndarray
    truth: np.ndarray
    label: np.ndarray | None
    estimate: np.ndarray | None
    points: np.ndarray | None


def tested(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, kept: set[str], crop: int,
           sampling: dict, cfg=None, **more) -> int:
    """The pictures of the tested clips; arguments as in `clips_drawn.draw`, `kept` the names that the folds keep."""
    if not kept & {"flow", "landmarks"}:
        return 0
    return draw(t.where(seed=int(t.seed.min())), data, folder, count, synthetic, crop=crop, sampling=sampling)


def draw(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, crop: int, sampling: dict) -> int:
    """Draw `count` clips, evenly spread from the best to the worst by flow error (by landmark error without flow).

    Arguments as in `clips_drawn.draw`, the predictions of one seed. Returns the number of pictures written.
    """
    key = next((name for name in BY if np.isfinite(t.aux[name]).all()), None)
    if key is None or not count:
        return 0
    number = 0
    for number, row, rank in pictures.ranked(t, t.aux[key], count):
        _draw_clip(look(row, data, crop, sampling), row, rank, BY[key],
                   folder / f"clip_{number}.png", synthetic)
    return number


def look(row: Predictions, data: Path, crop: int, sampling: dict, k: int | None = None) -> Seen:
    """Pair `k` of a table's one row; by default that of the largest labelled motion (without flow: the middle one).

    Raises:
        MerError: a shard is missing.
    """
    made = outputs.read(data, int(row.seed[0]), str(row.fold[0]))[str(row.clip_id[0])]
    frames, points = outputs.sampled(row, data, crop, sampling)
    label = estimate = None
    if "flow" in made:
        motion = np.hypot(*made["flow_label"].astype(np.float32).transpose(1, 0, 2, 3)).mean((1, 2))
        k = int(made["pair"][motion.argmax()]) if k is None else k
        for at in np.flatnonzero(made["pair"] == k):  # one, or none where the run has labels of other pairs
            label, estimate = (made[name][at].astype(np.float32) for name in ("flow_label", "flow"))
    k = (len(frames) - 1) // 2 if k is None else k
    return Seen(k, frames[k], frames[k + 1], points[k + 1], label, estimate,
                made["landmarks"][k] if "landmarks" in made else None)


def warp(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """MOL Eq. (11): out(a, b) = image(a + u(a, b), b + v(a, b)), bilinear, outside the picture its nearest edge.

    Warps I_{k+1} (H, W) by the flow (2, H, W), in pixels, from I_k to I_{k+1}; the result should resemble I_k.
    """
    height, width = image.shape
    rows, columns = np.mgrid[:height, :width]
    x = np.clip(columns + flow[0], 0, width - 1)
    y = np.clip(rows + flow[1], 0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx, fy = x - left, y - top
    image = image.astype(np.float64)
    return ((image[top, left] * (1 - fx) + image[top, right] * fx) * (1 - fy)
            + (image[bottom, left] * (1 - fx) + image[bottom, right] * fx) * fy)


def _draw_clip(seen: Seen, row: Predictions, rank: str, by: str, path: Path, synthetic: bool) -> None:
    title = f"{rank} clip by {by}: {pictures.name_of(row)}"
    with_flow = seen.estimate is not None
    fig = plots.figure(3.75 if with_flow else 2.2, f"{rank} by {by}: {row.clip_id[0]}", synthetic)
    axes = fig.subplots(2 if with_flow else 1, 3, squeeze=False)
    axes[0, 0].imshow(seen.first, **pictures.GRAY)
    axes[0, 0].set_title("frame k")
    axes[0, 1].imshow(seen.second, **pictures.GRAY)
    axes[0, 1].set_title("frame k+1")
    axes[0, 2].imshow(seen.second, **pictures.GRAY, alpha=0.55)
    axes[0, 2].plot(*seen.truth.T, ".", color=plots.WARM, markersize=2.6, label="dlib")
    if seen.points is not None:
        axes[0, 2].plot(*seen.points.T, ".", color=plots.MAIN, markersize=2.6, label="estimated")
    axes[0, 2].set_title("landmarks")
    axes[0, 2].legend(fontsize=6, loc="lower right", framealpha=0.85, handletextpad=0, borderpad=0.25,
                      markerscale=1.6)
    words = []
    if with_flow:
        longest = max(float(np.quantile(np.hypot(*seen.label), 0.995)), 0.1)
        axes[1, 0].imshow(flow_colours(seen.label, longest))
        axes[1, 0].set_title("TV-L1 flow")
        axes[1, 1].imshow(flow_colours(seen.estimate, longest))
        axes[1, 1].set_title("estimated flow")
        axes[1, 2].imshow(warp(seen.second, seen.estimate), **pictures.GRAY)
        axes[1, 2].set_title("k+1 warped to k")
        wheel(axes[1, 0], longest)
        words.append(f"end-point error {row.aux['epe'][0]:.3f} px (zero flow {row.aux['epe_zero'][0]:.3f} px)")
    if seen.points is not None:
        words.append(f"landmark error {100 * row.aux['nme'][0]:.1f} % of the inter-ocular distance "
                     f"(constant mean face {100 * row.aux['nme_mean_face'][0]:.1f} %)")
    for ax in axes.flat:
        pictures.frame_axes(ax, seen.first.shape)
    told = "; ".join(words)
    fig.supxlabel(told.replace("; ", "\n"), fontsize=7.5, color=plots.MUTED)
    flow = ", flow by TV-L1 and estimated, and frame k+1 warped back by Eq. (11)" if with_flow else ""
    plots.save(fig, path, title, "Two consecutive sampled frames in the centre crop, landmarks by dlib and estimated"
               f"{flow}: {told}.", synthetic)


def across(looks: Sequence[Look]) -> tuple[tuple[str, ...], list[Column], list[Column]]:
    """One clip in several runs, as in Fig. 5 and 6: names of the rows, columns of what is to be met, a column a run.

    All show one pair of frames, that of the largest motion in the first run with flow.
    """
    places = [(one.row, one.data, one.crop, one.sampling) for one in looks]
    found = [look(*place) for place in places]
    with_flow = [seen for seen in found if seen.label is not None]
    k = (with_flow or found)[0].k
    seen = [look(*place, k) for place in places]
    (first, second), truth = (seen[0].first, seen[0].second), seen[0].truth
    labels = [one.label for one in seen if one.label is not None]
    names = ("landmarks", "flow", "k+1 warped to k", "minus frame k") if labels else ("landmarks",)
    longest = max(float(np.quantile(np.hypot(*labels[0]), 0.995)), 0.1) if labels else 0.0
    most = pictures.reach(second.astype(np.float32) - first)

    def of_flow(flow: np.ndarray | None, without: str, *more: Callable) -> tuple[Callable | str, ...]:
        if not labels or flow is None:
            return (without, "", "") if labels else ()
        warped = warp(second, flow)
        return (pictures.shown(flow_colours(flow, longest), *more), pictures.shown(warped),
                lambda ax: (pictures.signed(ax, warped - first, most), pictures.frame_axes(ax, first.shape)))

    def points(where: np.ndarray, colour: str) -> Callable:
        return lambda ax: ax.plot(*where.T, ".", color=colour, markersize=1.6)

    dlib = points(truth, plots.WARM)
    start = Column("frame k; no motion", (pictures.shown(first), *of_flow(
        np.zeros_like(labels[0]) if labels else None, "", lambda ax: wheel(ax, longest))))
    wanted = Column("k+1: dlib, TV-L1", (pictures.shown(second, dlib), *of_flow(labels[0] if labels else None, "")))
    return names, [start, wanted], [Column("", (
        "no landmark task" if one.points is None else
        pictures.shown(second, dlib, points(one.points, plots.MAIN)),
        *of_flow(one.estimate, "no flow task" if alone.label is None else f"no label of pair {k}")), _errors(place[0]))
        for one, alone, place in zip(seen, found, places, strict=True)]


def _errors(row: Predictions) -> tuple[str, ...]:
    told = (("epe", "flow {:.3f} px", 1), ("nme", "landmarks {:.1f} %", 100))
    return tuple(words.format(scale * row.aux[name][0]) for name, words, scale in told if np.isfinite(row.aux[name][0]))


def own_clip(judged, folder: Path) -> list[Path]:
    """The pictures that the tasks make possible, in the order in which they are shown."""
    made = [clip_pictures.landmarks(judged, folder / "landmarks.png")]
    if "flow" in judged.kept:
        made.append(_flow(judged, folder / "flow.png"))
    return made


def _flow(judged, path: Path) -> Path:
    """TV-L1 and estimated flow of every pair, drawn over its first frame."""
    label, guess = (judged.kept[name].astype(np.float32) for name in ("flow_label", "flow"))
    longest = max(float(np.quantile(np.hypot(*label.transpose(1, 0, 2, 3)), 0.995)), 0.3)
    title = "Flow from frame to frame"
    down = -(-len(label) // clip_pictures.ACROSS)
    fig, axes = clip_pictures.grid(2 * down * clip_pictures.ACROSS, title)
    for part, (word, flows) in enumerate((("TV-L1", label), ("estimated", guess))):
        for k, ax in enumerate(axes[part * down * clip_pictures.ACROSS:(part + 1) * down * clip_pictures.ACROSS]):
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
