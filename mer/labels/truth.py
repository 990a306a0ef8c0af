"""The truth of a release that brings one, and how far labels are from it.

A release with truth has `truth/<subject>.h5` in its raw folder (the synthetic one has): numbers (T,) of its frames,
points (T, 68, 2) in raw pixels, flow (2, H, W) in raw pixels from onset to apex, eye_mask (H, W) 1 where not valid.
"""

from pathlib import Path

import cv2
import numpy as np

from mer.base import store
from mer.base.errors import MerError
from mer.datasets.clips import Clip
from mer.labels.align import move
from mer.labels.points68 import inter_ocular
from mer.labels.records import Record, shard_name

ACTIVE = 0.5  # pixels of the crop: what truly moves farther than this from onset to apex


def true_record(raw_root: Path, clip: Clip, names: tuple[str, ...]) -> Record | None:
    """The arrays `names` of a clip's truth; None if its release brings none."""
    path = raw_root / "truth" / shard_name(clip.subject)
    if not path.is_file():
        return None
    with store.Shard(path) as shard:
        return shard.read(clip.clip_id, names) if clip.clip_id in shard else None


def true_points(clip_id: str, truth: Record, numbers: np.ndarray) -> np.ndarray:
    """The true points (T, 68, 2) of the frames with these numbers.

    Raises:
        MerError: a frame without true points.
    """
    place = {number: k for k, number in enumerate(truth["numbers"].tolist())}
    if missing := [number for number in numbers.tolist() if number not in place]:
        raise MerError(f"{clip_id}: frame {missing[0]} has no true points; delete the raw folder and run `dvc repro`, "
                       "which makes frames and truth anew")
    return truth["points"][[place[number] for number in numbers.tolist()]]


def landmark_errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances to the true points (T, 68, 2) as fractions of the true inter-ocular distance: (T, 68)."""
    return np.linalg.norm(points - truth, axis=-1) / inter_ocular(truth)[:, None]


def flow_in_crop(flow: np.ndarray, unsure: np.ndarray, onset: np.ndarray, apex: np.ndarray, size: int):
    """True flow, raw pixels at the onset frame's pixels, as seen between the aligned onset and apex crops.

    A crop pixel q shows raw p = onset^-1(q), which moves to p + flow(p); the apex crop shows that at
    apex(p + flow(p)).

    Args:
        flow: (2, H, W); unsure: (H, W), 1 where it is not valid; onset, apex: (2, 3) raw -> crop.

    Returns:
        (2, size, size) float64 crop pixels and (size, size) bool, where it is valid.
    """
    planes = [cv2.warpAffine(f.astype(np.float32), onset, (size, size), flags=cv2.INTER_LINEAR,
                             borderMode=cv2.BORDER_REPLICATE) for f in flow]
    valid = cv2.warpAffine((1 - unsure).astype(np.uint8), onset, (size, size), flags=cv2.INTER_NEAREST) > 0
    q = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(np.float64)
    p = (q - onset[:, 2]) @ np.linalg.inv(onset[:, :2]).T
    return (move(apex, p + np.stack(planes, -1)) - q).transpose(2, 0, 1), valid


def flow_errors(flow: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> dict[str, float]:
    """Mean end-point error in pixels over valid pixels, that of zero flow, and the share of the true flow recovered.

    `slope` is the regression of estimated on true flow through zero; 1 = nothing lost, TV-L1 flattens small bumps.
    `epe_active` and `epe_zero_active`, if any pixel truly moves by more than ACTIVE, are means over those alone.
    """
    est, true = flow[:, valid].astype(np.float64), truth[:, valid]
    error, length = np.hypot(*(est - true)), np.hypot(*true)
    found = {"epe": float(error.mean()), "epe_zero": float(length.mean()),
             "slope": float((est * true).sum() / max((true**2).sum(), 1e-12))}
    if (active := length > ACTIVE).any():
        found |= {"epe_active": float(error[active].mean()), "epe_zero_active": float(length[active].mean())}
    return found
