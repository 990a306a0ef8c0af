"""What the drawings of the three models share: which clips are drawn, their frames, axes for pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from mer.evaluation.predictions import Predictions
from mer.reporting import plots

GRAY = {"cmap": "gray", "vmin": 0, "vmax": 255}
SIGNED = LinearSegmentedColormap.from_list("signed", [plots.MAIN, "#ffffff", plots.WARM])  # darker, equal, brighter


@dataclass(frozen=True)
class Look:
    """A tested clip of a run: its one row of the predictions, and what `outputs.sampled` wants beside it."""

    row: Predictions
    data: Path
    crop: int
    sampling: dict


@dataclass(frozen=True)
class Column:
    """A column of pictures. `cells` from above: each draws into axes, or is words that stand there instead; `below`:
    lines under the lowest."""

    title: str
    cells: tuple[Callable | str, ...]
    below: tuple[str, ...] = ()


def ranked(t: Predictions, badness: np.ndarray, count: int) -> Iterator[tuple[int, Predictions, str]]:
    """`count` rows evenly spread from the least to the most `badness` (N,): number from 1, the row, its rank in words.

    Ties are broken by subject and clip. With three the ranks are Best, Median and Worst.
    """
    order = np.lexsort((t.clip_id, t.subject, badness))
    places = sorted({round(x) for x in np.linspace(0, len(t) - 1, count)})
    for number, place in enumerate(places, 1):
        rank = {0: "Best", len(t) - 1: "Worst"}.get(place, f"Rank {place + 1} of {len(t)}")
        if count == 3 and number == 2:
            rank = "Median"
        yield number, t.rows(order[place:place + 1]), rank


def frame_axes(ax, shape: tuple[int, ...]) -> None:
    """Axes of a picture (H, W): no ticks, a thin frame, the picture's own limits."""
    plots.style(ax)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))
    ax.spines[:].set(visible=True, color=plots.GRID)


def shown(image: np.ndarray, *more: Callable, **how) -> Callable:
    """What draws a picture (H, W) or (H, W, channels) into axes, `how` as imshow takes it, then `more` over it."""
    def draw(ax) -> None:
        ax.imshow(image, **(how or ({} if image.ndim > 2 else GRAY)))
        for one in more:
            one(ax)
        frame_axes(ax, image.shape)
    return draw


def signed(ax, difference: np.ndarray, longest: float) -> None:
    """A difference (H, W) in grey levels: blue is darker, brown brighter, full colour `longest`."""
    ax.imshow(difference, cmap=SIGNED, vmin=-longest, vmax=longest)
    note(ax, f"full colour ±{longest:.0f}")


def reach(*differences: np.ndarray, least: float = 8.0) -> float:
    """What `signed` draws in full colour: the 99.5th percentile of the differences (H, W), grey levels."""
    return max(*(float(np.quantile(np.abs(difference), 0.995)) for difference in differences), least)


def note(ax, text: str) -> None:
    """A small line in the lower right corner of a picture, readable on any ground."""
    ax.text(0.985, 0.02, text, transform=ax.transAxes, fontsize=6, color=plots.INK, ha="right", va="bottom",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.2})


def name_of(row: Predictions) -> str:
    """Subject and clip of the first row."""
    return f"{row.subject[0]}, clip {row.clip_id[0]}"
