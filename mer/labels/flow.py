"""Optical-flow labels: TV-L1 (OpenCV's DualTVL1, default parameters) between consecutive sampled frames.

The flow is computed once on the whole aligned crop and cut together with the frames in training.
# paper: flow of every random crop; released code: five crops of each sub-clip, TV-L1 on each; here: once on the whole
# crop, a fifth of the work and free crops in training; differs by 0.024 px EPE, 0.018 inside (measured).
"""

import functools
import sys

import cv2
import numpy as np

from mer.datasets.clips import Clip
from mer.labels import sampling
from mer.labels.records import Record, guarded, one, sets_of

BATCH = 256  # pairs at once on a GPU: of 144 x 144 pixels, about 2 GB


@functools.cache
def _opencv():
    return cv2.optflow.DualTVL1OpticalFlow_create()


def tvl1(first: np.ndarray, second: np.ndarray, solver: str = "numba") -> np.ndarray:
    """Flow from `first` to `second`, both (H, W) uint8: (2, H, W) float32 pixels, u to the right, v down.

    solver: `numba`, OpenCV's bits by tvl1.py, where this machine gives them (else, and of wider pictures, `opencv`).
    """
    if solver == "numba":
        from mer.labels import tvl1 as compiled  # here: its import takes most of a second

        if first.shape[1] <= compiled.WIDEST and compiled.agrees():
            return compiled.flow(first, second)
    # the object keeps no memory of earlier pairs (useInitialFlow is off), so one per process serves all
    return np.ascontiguousarray(_opencv().calc(first, second, None).transpose(2, 0, 1))


def tell(solver: str) -> None:
    """One line on stderr where `numba` does not give OpenCV's bits here; compiles it, once for all processes."""
    if solver == "numba":
        from mer.labels import tvl1 as compiled

        if not compiled.agrees():
            print("flow: compiled TV-L1 differs from OpenCV's in its last bits on this machine; OpenCV's is taken, "
                  "which takes ten times as long", file=sys.stderr)


def _batched(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Flow of (P, H, W) pairs at once, on the GPU where there is one."""
    import torch

    from mer.labels import tvl1_torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    one, two = (torch.from_numpy(np.ascontiguousarray(frames)).to(device) for frames in (first, second))
    return torch.cat([tvl1_torch.flow(*part) for part in zip(one.split(BATCH), two.split(BATCH), strict=True)]
                     ).cpu().numpy()


def label_clip(clip_id: str, record: Record, *, t: int, sets: int, span: str, seed: int, pairs: int,
               solver: str = "numba") -> Record:
    """Flow labels of a clip.

    Args:
        record: its aligned record: frames (T, H, W) uint8, numbers (T,), annotation (3,).
        t, sets, span, seed: see `sampling`; pairs: labelled pairs per set, 0 = all; solver: numba, opencv or torch.

    Returns:
        index (S, t) int32 positions into the aligned frames; pair (P, 2) int32 rows (set, k); flow (P, 2, H, W)
        float16 pixels of the crop from index[set, k] to index[set, k + 1]. float16 rounds a component v by at most
        |v| / 2048, that is 0.0005 px at 1 px.
    """
    index = sets_of(clip_id, record, t=t, sets=sets, span=span, seed=seed)
    pair = sampling.labelled_pairs(t, sets, pairs, (seed, clip_id))
    ends = np.stack([index[pair[:, 0], pair[:, 1]], index[pair[:, 0], pair[:, 1] + 1]], axis=1)
    each, which = np.unique(ends, axis=0, return_inverse=True)  # two sets may share a pair (t = 2, short clips)
    if solver == "torch":
        made = _batched(*record["frames"][each.T]).astype(np.float16)
    else:
        made = np.stack([tvl1(*record["frames"][two], solver).astype(np.float16) for two in each])
    return {"index": index, "pair": pair, "flow": made[which.reshape(-1)]}


def flow_clip(item: tuple[str, Record], **settings) -> Record:
    """`label_clip`, or the reason why the clip is excluded."""
    cv2.setNumThreads(1)
    return guarded(label_clip, *item, **settings)


def flow_item(clip: Clip, *, aligned: str, **settings) -> Record:
    """`flow_clip` of a work item, run in a worker process, which reads the clip from the store `aligned`."""
    return flow_clip((clip.clip_id, one(aligned, clip, ("frames", "numbers", "annotation"))), **settings)


TOLD = ("pair", "index")  # what `tell_clip` looks at


def tell_clip(record: Record) -> dict[str, int]:
    """Of a labelled clip: its pairs, and whether it has fewer frames than are sampled."""
    return {"pairs": len(record["pair"]), "short": int((np.diff(record["index"]) == 0).any())}
