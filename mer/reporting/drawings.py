"""Pictures of what the auxiliary tasks see: frames, TV-L1 and estimated flow, the warp of MOL Eq. (11), landmarks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import hsv_to_rgb

from mer import store
from mer.evaluation.predictions import Predictions
from mer.evaluation.protocols import dataset_of
from mer.labels import records
from mer.reporting import plots


@dataclass(frozen=True)
class Seen:
    """One clip's pair of frames with labels and estimates, all in pixels of the centre crop of side C.

    first, second: (C, C) uint8, frames I_k and I_{k+1}; truth (68, 2): dlib's points of I_{k+1}. `label`, `estimate`:
    (2, C, C) flow I_k -> I_{k+1}, or None without that task; `points`: (68, 2) estimated, or None.
    """

    first: np.ndarray
    second: np.ndarray
    truth: np.ndarray
    label: np.ndarray | None
    estimate: np.ndarray | None
    points: np.ndarray | None


def draw(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, crop: int, sampling: dict) -> int:
    """Draw `count` clips, evenly spread from the best to the worst by flow error (by landmark error without flow).

    Args:
        t: the predictions after the last step; pictures show the first seed's folds, from their outputs.h5.
        data: the folder with folds/ and aligned/.
        crop: side of the centre crop the network saw, pixels; sampling: t, span and seed of params.yaml's section.

    Returns:
        The number of pictures written, `clip_1.png` the best; 0 when the model has neither auxiliary task.
    """
    t = t.where(seed=int(t.seed.min()))
    key = next((name for name in ("epe", "nme") if np.isfinite(t.aux[name]).all()), None)
    if key is None or not count:
        return 0
    order = np.lexsort((t.clip_id, t.subject, t.aux[key]))
    places = sorted({round(x) for x in np.linspace(0, len(t) - 1, count)})
    for number, place in enumerate(places, 1):
        rank = {0: "Best", len(t) - 1: "Worst"}.get(place, f"Rank {place + 1} of {len(t)}")
        if count == 3 and number == 2:
            rank = "Median"
        row = t.rows(order[place:place + 1])
        _draw_clip(look(row, data, crop, sampling), row, rank, {"epe": "flow", "nme": "landmarks"}[key],
                   folder / f"clip_{number}.png", synthetic)
    return len(places)


def look(row: Predictions, data: Path, crop: int, sampling: dict) -> Seen:
    """The pair of frames with the largest labelled motion (without flow: the middle pair) of a table's one row.

    Raises:
        MerError: a shard is missing.
    """
    clip, dataset = str(row.clip_id[0]), dataset_of(str(row.subject[0]))
    shard = records.shard_name(str(row.subject[0]))
    fold = data / "folds" / str(row.seed[0]) / str(row.fold[0]).replace("/", "_") / "outputs.h5"
    made = store.read_shard(fold)[0][clip]
    aligned = store.read_shard(data / "aligned" / dataset / shard)[0][clip]
    index = records.sets_of(clip, aligned, sets=1, **sampling)[0]  # set 0, the one that is tested
    inset = (aligned["frames"].shape[-1] - crop) // 2
    inside = slice(inset, inset + crop)
    k, label, estimate = (len(index) - 1) // 2, None, None
    if "flow" in made:
        motion = np.hypot(*made["flow_label"].astype(np.float32).transpose(1, 0, 2, 3)).mean((1, 2))
        most = int(motion.argmax())
        k = int(made["pair"][most])
        label, estimate = (made[name][most].astype(np.float32) for name in ("flow_label", "flow"))
    first, second = aligned["frames"][index[k:k + 2], inside, inside]
    return Seen(first, second, aligned["points"][index[k + 1]] - inset, label, estimate,
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


def flow_colours(flow: np.ndarray, longest: float) -> np.ndarray:
    """(H, W, 3) RGB in [0, 1]: hue is the direction, saturation the length; white is 0, full colour `longest` px."""
    length = np.clip(np.hypot(flow[0], flow[1]) / longest, 0, 1)
    hue = np.arctan2(flow[1], flow[0]) / (2 * np.pi) % 1
    return hsv_to_rgb(np.stack([hue, length, np.ones_like(length)], axis=-1))


def _draw_clip(seen: Seen, row: Predictions, rank: str, by: str, path: Path, synthetic: bool) -> None:
    name = f"{row.subject[0]}, clip {row.clip_id[0]}"
    title = f"{rank} clip by {by}: {name}"
    with_flow = seen.estimate is not None
    fig = plots.figure(3.75 if with_flow else 2.2, f"{rank} by {by}: {row.clip_id[0]}", synthetic)
    axes = fig.subplots(2 if with_flow else 1, 3, squeeze=False)
    gray = {"cmap": "gray", "vmin": 0, "vmax": 255}
    axes[0, 0].imshow(seen.first, **gray)
    axes[0, 0].set_title("frame k")
    axes[0, 1].imshow(seen.second, **gray)
    axes[0, 1].set_title("frame k+1")
    axes[0, 2].imshow(seen.second, **gray, alpha=0.55)
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
        axes[1, 2].imshow(warp(seen.second, seen.estimate), **gray)
        axes[1, 2].set_title("k+1 warped to k")
        _wheel(axes[1, 0], longest)
        words.append(f"end-point error {row.aux['epe'][0]:.3f} px (zero flow {row.aux['epe_zero'][0]:.3f} px)")
    if seen.points is not None:
        words.append(f"landmark error {100 * row.aux['nme'][0]:.1f} % of the inter-ocular distance "
                     f"(constant mean face {100 * row.aux['nme_mean_face'][0]:.1f} %)")
    for ax in axes.flat:
        plots.style(ax)
        ax.set(xticks=[], yticks=[], xlim=(-0.5, seen.first.shape[1] - 0.5), ylim=(seen.first.shape[0] - 0.5, -0.5))
        ax.spines[:].set(visible=True, color=plots.GRID)
    told = "; ".join(words)
    fig.supxlabel(told.replace("; ", "\n"), fontsize=7.5, color=plots.MUTED)
    flow = ", flow by TV-L1 and estimated, and frame k+1 warped back by Eq. (11)" if with_flow else ""
    plots.save(fig, path, title, "Two consecutive sampled frames in the centre crop, landmarks by dlib and estimated"
               f"{flow}: {told}.", synthetic)


def _wheel(ax, longest: float) -> None:
    """The legend of the flow colours: a disc whose rim is `longest` pixels."""
    side = np.linspace(-1, 1, 81)
    field = np.stack(np.meshgrid(side, side)) * longest
    disc = np.concatenate([flow_colours(field, longest), (np.hypot(*field) <= longest)[..., None]], axis=-1)
    inset = ax.inset_axes([0.74, 0.02, 0.24, 0.24])
    inset.imshow(disc)
    inset.axis("off")
    ax.text(0.73, 0.04, f"rim {longest:.2g} px", transform=ax.transAxes, fontsize=6, color=plots.INK, ha="right")
