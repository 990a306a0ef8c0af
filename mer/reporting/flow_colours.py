"""The one way in which every picture shows a flow field: hue is its direction, depth of colour its length."""

import numpy as np
from matplotlib.colors import hsv_to_rgb

INK = "#1c2733"  # of all words and lines in pictures


def flow_colours(flow: np.ndarray, longest: float) -> np.ndarray:
    """A flow (2, H, W) in pixels as (H, W, 3) RGB in [0, 1]: white is 0, full colour `longest` pixels or more."""
    flow = np.asarray(flow, np.float64)
    length = np.clip(np.hypot(flow[0], flow[1]) / longest, 0, 1)
    hue = np.arctan2(flow[1], flow[0]) / (2 * np.pi) % 1
    return hsv_to_rgb(np.stack([hue, length, np.ones_like(length)], axis=-1))


def wheel(ax, longest: float) -> None:
    """The legend in a corner of a picture: a disc whose rim is `longest` pixels."""
    side = np.linspace(-1, 1, 81)
    field = np.stack(np.meshgrid(side, side)) * longest
    disc = np.concatenate([flow_colours(field, longest), (np.hypot(*field) <= longest)[..., None]], axis=-1)
    inset = ax.inset_axes([0.74, 0.02, 0.24, 0.24])
    inset.imshow(disc)
    inset.axis("off")
    ax.text(0.73, 0.04, f"rim {longest:.2g} px", transform=ax.transAxes, fontsize=6, color=INK, ha="right")
