"""Does Grad-CAM look where the face truly moves? The folds' heat maps against the truth of the releases that have one.

The moving region of a clip: pixels of the centre crop whose true motion from onset to apex, head motion taken out, is
longer than half its 99th percentile over the valid pixels of the crop. A fraction of the clip's own motion, so that
faint and strong expressions give regions of one kind; the percentile instead of the maximum, so that no single pixel
decides. Action units that have nothing to do with the label belong to it: they move too. Eyes, whose flow the truth
does not know, do not.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer.base import store
from mer.datasets.clips import dataset_of, raw_root
from mer.evaluation import outputs, significance
from mer.evaluation.predictions import Predictions
from mer.labels import records

FRACTION, PERCENTILE = 0.5, 99
STILL = 0.05  # pixels of the crop: a clip whose percentile is below has no moving region


@dataclass(frozen=True)
class Compared:
    """A clip's heat map beside its truth. `region`: (C, C) bool, what truly moves in the centre crop of side C.

    mass: share of the heat inside the region, NaN for a map without any; area: the region's share of the crop, which
    is what a map of one value would have inside.
    """

    region: np.ndarray
    mass: float
    area: float


def compare(t: Predictions, data: Path, crop: int) -> dict[tuple[int, str, str], Compared]:
    """{(seed, subject, clip id): Compared} of the table's clips with a truth; empty for a model without heat maps.

    Args:
        t: the predictions after the last step, whose networks made the maps.
        data: the folder with raw/, aligned/ and folds/; crop: side of the centre crop the network saw, pixels.

    Raises:
        MerError: a shard is missing or damaged.
    """
    found = {}
    for seed, fold in sorted(set(zip(t.seed.tolist(), t.fold.tolist(), strict=True))):
        heats = outputs.read(data, seed, fold, ("grad_cam",))
        if not any(heats.values()):
            return {}  # the folds of a run are alike
        mine = t.rows((t.seed == seed) & (t.fold == fold))
        for subject in sorted(set(mine.subject.tolist())):
            for clip_id, region in regions(subject, mine.clip_id[mine.subject == subject], data, crop).items():
                found[seed, subject, clip_id] = Compared(region, share_inside(heats[clip_id]["grad_cam"], region),
                                                         float(region.mean()))
    return found


def summary(compared: dict[tuple[int, str, str], Compared], resamples: int, seed: int) -> dict[str, float]:
    """cam_mass and cam_area, means over the same clips (and seeds), and cam_clips, how many; {} without any.

    cam_excess_low and _high: 95 % interval of cam_mass - cam_area, `resamples` of subjects (absent with one subject).
    Clips whose map has no heat at all count for neither.
    """
    seen = {key: one for key, one in compared.items() if np.isfinite(one.mass)}
    if not seen:
        return {}
    mass, area = (np.array([getattr(one, name) for one in seen.values()]) for name in ("mass", "area"))
    people, index = np.unique([subject for _, subject, _ in seen], return_inverse=True)
    sums = np.zeros((len(people), 2))  # of each subject: excess, clips
    np.add.at(sums, index, np.stack([mass - area, np.ones(len(mass))], axis=1))
    found = {"cam_mass": float(mass.mean()), "cam_area": float(area.mean()), "cam_clips": len(seen)}
    interval = significance.bootstrap(sums, lambda total: total[..., 0] / total[..., 1], resamples, seed)
    return found | ({"cam_excess_low": interval[0], "cam_excess_high": interval[1]} if interval else {})


def regions(subject: str, clip_ids: np.ndarray, data: Path, crop: int) -> dict[str, np.ndarray]:
    """{clip id: moving region (crop, crop) bool} of one subject's clips that have a truth, an apex and motion."""
    dataset, shard = dataset_of(subject), records.shard_name(subject)
    path = raw_root(dataset, data / "raw") / "truth" / shard
    if not path.is_file():
        return {}
    truth = store.read_shard(path, ("flow", "eye_mask"))[0]
    aligned = store.read_shard(data / "aligned" / dataset / shard, ("frames", "matrix", "numbers", "annotation"))[0]
    found = {}
    for clip_id in clip_ids.tolist():
        record = aligned[clip_id]
        if clip_id not in truth or record["annotation"][1] < 0:
            continue
        onset = int(np.abs(record["numbers"] - record["annotation"][0]).argmin())
        matrix = record["matrix"] if record["matrix"].ndim == 2 else record["matrix"][onset]
        region = moving_region(truth[clip_id]["flow"], truth[clip_id]["eye_mask"], matrix,
                               record["frames"].shape[-1], crop)
        if region is not None:
            found[clip_id] = region
    return found


def moving_region(flow: np.ndarray, unsure: np.ndarray, matrix: np.ndarray, size: int, crop: int) -> np.ndarray | None:
    """The moving region (crop, crop) bool in the centre crop of the onset frame, None where nothing moves.

    Args:
        flow: (2, H, W) true, raw pixels, onset to apex; unsure: (H, W), 1 where it is not valid.
        matrix: (2, 3), raw -> crop, of the onset frame; size: side of the aligned crop, pixels.
    """
    # here: cv2 and dlib, which a run without a truth never needs
    from mer.labels.head_motion import without_head_motion
    from mer.labels.truth import flow_in_crop

    # the head's motion is out already, so that both ends are seen through the onset's matrix
    motion, valid = flow_in_crop(without_head_motion(flow), unsure, matrix, matrix, size)
    inset = (size - crop) // 2
    inside = slice(inset, inset + crop)
    length, valid = np.hypot(*motion)[inside, inside], valid[inside, inside]
    top = float(np.percentile(length[valid], PERCENTILE)) if valid.any() else 0.0
    return (length > FRACTION * top) & valid if top > STILL else None


def share_inside(heat: np.ndarray, region: np.ndarray) -> float:
    """Share of the heat (S, S) >= 0 inside a region (C, C) bool of the same field of view; NaN without any heat.

    A map of another side (MA2MI with keep_reconstruction sees the crop resized) is brought to the region's.
    """
    heat = heat.astype(np.float64)
    if heat.shape != region.shape:
        import cv2

        heat = cv2.resize(heat, region.shape[::-1], interpolation=cv2.INTER_LINEAR)
    total = heat.sum()
    return float(heat[region].sum() / total) if total > 0 else float("nan")
