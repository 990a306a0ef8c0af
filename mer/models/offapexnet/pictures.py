"""OFF-ApexNet's pictures: onset, apex, and the two flow maps that the streams see."""

from pathlib import Path

import numpy as np

from mer.evaluation import outputs
from mer.evaluation.predictions import Predictions
from mer.reporting import clip_pictures, pictures, plots
from mer.reporting.flow_colours import flow_colours, wheel

TITLE = "What the streams see"  # of the pictures of a clip of one's own


def tested(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, crop: int, sampling: dict,
           names: tuple[str, ...], **more) -> int:
    """The pictures of `count` tested clips, from the surest right to the surest wrong; as in `clips_drawn.draw`."""
    first, number = t.where(seed=int(t.seed.min())), 0
    if not count:
        return 0
    for number, row, rank in pictures.ranked(first, -first.p[np.arange(len(first)), first.label], count):
        made = outputs.read(data, int(row.seed[0]), str(row.fold[0]))[str(row.clip_id[0])]
        frames = outputs.sampled(row, data, crop, sampling)[0]
        said, right = names[int(row.predicted[0])], names[int(row.label[0])]
        told = f"{right}, called {said} with {row.p[0, row.predicted[0]]:.2f}"
        _draw(frames, made["maps"].astype(np.float32), f"{rank} clip: {pictures.name_of(row)}", told,
              folder / f"clip_{number}.png", synthetic)
    return number


def own_clip(judged, folder: Path) -> list[Path]:
    """The landmarks, and what the streams see of a clip of one's own."""
    return [clip_pictures.landmarks(judged, folder / "landmarks.png"),
            _draw(judged.frames, judged.kept["maps"].astype(np.float32), TITLE, "flow by TV-L1 from onset to apex",
                  folder / "maps.png", False)]


def _draw(frames: np.ndarray, maps: np.ndarray, title: str, told: str, path: Path, synthetic: bool) -> Path:
    fig = plots.figure(3.9, title, synthetic)
    axes = fig.subplots(2, 2)
    longest = max(float(np.quantile(np.abs(maps), 0.995)), 0.05)
    for ax, frame, words in zip(axes[0], (frames[0], frames[-1]), ("onset", "apex"), strict=True):
        ax.imshow(frame, **pictures.GRAY)
        ax.set_title(words)
        pictures.frame_axes(ax, frame.shape)
    for ax, k, words in zip(axes[1], (0, 1), ("u: to the right", "v: down"), strict=True):
        alone = np.zeros_like(maps)
        alone[k] = maps[k]
        ax.imshow(flow_colours(alone, longest))
        ax.set_title(words)
        pictures.frame_axes(ax, maps.shape[1:])
        wheel(ax, longest)
    fig.supxlabel(told, fontsize=7.5, color=plots.MUTED)
    plots.save(fig, path, title, "Onset and apex frame in the centre crop, horizontal and vertical flow between them, "
               f"{maps.shape[-1]} x {maps.shape[-1]}, full colour {longest:.2f} pixels: {told}.", synthetic)
    return path
