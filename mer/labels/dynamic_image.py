"""Dynamic images: the frames of a clip in one picture, by approximate rank pooling (Bilen et al., CVPR 2016).

Used by FDP alone, as the target of its reconstruction task (FDP, Eq. 6).
"""

import numpy as np

from mer.datasets.clips import Clip
from mer.labels.records import Record, guarded, one, sets_of


def coefficients(t: int, kind: str = "exact") -> np.ndarray:
    """The (t,) float64 weights of the frames; both kinds sum to 0 (t = 1: a single 1, as in Bilen's code).

    'exact': alpha_s = sum_{i=s}^{t} (2 i - t - 1) / i, which is 2 i - t - 1 applied to the running means of the frames;
    'simple': alpha_s = 2 s - t - 1 on the frames themselves. They correlate by .68 at t = 8: not interchangeable.
    """
    if t == 1:
        return np.ones(1)
    rank = np.arange(1, t + 1)
    weights = (2 * rank - t - 1).astype(np.float64)
    return np.cumsum((weights / rank)[::-1])[::-1] if kind == "exact" else weights


def dynamic_image(frames: np.ndarray, kind: str = "exact", stretch: str = "minmax") -> np.ndarray:
    """The dynamic image of (T, H, W) uint8 frames: (H, W) float32 stretched to [0, 1]; of a static clip 0.5 everywhere.

    'minmax': its least value becomes 0, its largest 1, so that what did not move has another gray level in every
    picture. 'symmetric' (ours): its largest magnitude becomes 0 or 1, so that what did not move is 0.5 in all.
    # paper: min-max stretch; released code: same, then rounded to uint8; here: not rounded, and where the range is
    # below 1e-6 of the gray scale (no motion at all) 0.5, because the stretch would divide by zero.
    """
    raw = np.tensordot(coefficients(len(frames), kind), np.asarray(frames, np.float64) / 255, 1)
    low, high = raw.min(), raw.max()
    if stretch == "symmetric":
        high = max(-low, high)
        low = -high
    if high - low < 1e-6:
        return np.full(raw.shape, 0.5, np.float32)
    return ((raw - low) / (high - low)).astype(np.float32)


def label_clip(clip_id: str, record: Record, *, t: int, sets: int, span: str, seed: int, coeffs: str,
               stretch: str) -> Record:
    """Dynamic images of a clip: index (S, t) int32 positions into its aligned frames, dynamic (S, H, W) float16.

    They are of the whole aligned crop. A training that crops at random must build its own from the cropped frames
    (`coefficients`), because the stretch depends on what lies inside the crop.
    """
    index = sets_of(clip_id, record, t=t, sets=sets, span=span, seed=seed)
    images = np.stack([dynamic_image(record["frames"][row], coeffs, stretch) for row in index])
    return {"index": index, "dynamic": images.astype(np.float16)}


def dynamic_clip(item: tuple[str, Record], **settings) -> Record:
    """`label_clip`, or the reason why the clip is excluded."""
    return guarded(label_clip, *item, **settings)


def dynamic_item(clip: Clip, *, aligned: str, **settings) -> Record:
    """`dynamic_clip` of a work item, run in a worker process, which reads the clip from the store `aligned`."""
    return dynamic_clip((clip.clip_id, one(aligned, clip, ("frames", "numbers", "annotation"))), **settings)
