"""How good the labels are: detection, landmarks and flow, against the truth where a release brings one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from mer.datasets.clips import Clip
from mer.labels import sampling
from mer.labels.flow import tvl1
from mer.labels.points68 import INNER, PARTS, inter_ocular
from mer.labels.records import Record, one
from mer.labels.tracks import NEIGHBOUR
from mer.labels.truth import flow_errors, flow_in_crop, landmark_errors, true_points, true_record

FAILURE = 0.10  # a frame whose inner error is above this fraction of the inter-ocular distance (MOL, section 4)


@dataclass
class Quality:
    """Numbers of one dataset (flat, finite) and the arrays its pictures are drawn from."""

    numbers: dict[str, float] = field(default_factory=dict)
    scores: np.ndarray | None = None  # (frames,) the detector's confidence
    jitter: np.ndarray | None = None  # (clips,) raw pixels
    errors: np.ndarray | None = None  # (frames, 68) fraction of the inter-ocular distance
    magnitude: dict[str, list[float]] = field(default_factory=dict)  # class -> mean |flow| of each clip, crop pixels
    examples: list[dict] = field(default_factory=list)  # see `onset_apex`


def jitter(points: np.ndarray) -> float:
    """Frame-to-frame noise of a clip's inner points, pixels (standard deviation per coordinate); NaN below 3 frames.

    From second differences, in which steady motion cancels and white noise of variance s^2 has variance 6 s^2.
    """
    second = np.diff(points[:, INNER].astype(np.float64), n=2, axis=0)
    return float(np.sqrt((second**2).mean() / 6)) if len(second) else float("nan")


def onset_apex(item: tuple[Clip, Record, Record | None]) -> dict:
    """TV-L1 from onset to apex crop of an aligned record, beside the truth if there is one.

    Returns:
        clip_id, label, onset and apex (H, W) uint8, flow (2, H, W) float32; with truth also truth (2, H, W), valid
        (H, W) and the numbers of `flow_errors`.
    """
    cv2.setNumThreads(1)
    clip, record, truth = item
    first, last = sampling.ends(record["numbers"], record["annotation"])
    onset, apex = record["frames"][first], record["frames"][last]
    found = {"clip_id": clip.clip_id, "label": clip.label_raw, "onset": onset, "apex": apex, "flow": tvl1(onset, apex)}
    if truth is None or clip.apex is None:
        return found
    matrix = record["matrix"]
    ends = (matrix, matrix) if matrix.ndim == 2 else (matrix[first], matrix[last])
    true, valid = flow_in_crop(truth["flow"], truth["eye_mask"], *ends, len(onset))
    return found | {"truth": true, "valid": valid} | flow_errors(found["flow"], true, valid)


def onset_apex_item(clip: Clip, *, aligned: str, raw_root: Path) -> dict:
    """`onset_apex` of a work item, run in a worker process, which reads the clip from the store `aligned`."""
    record = one(aligned, clip, ("frames", "matrix", "numbers", "annotation"))
    return onset_apex((clip, record, true_record(raw_root, clip, ("flow", "eye_mask"))))


def chosen(clips: list[Clip], count: int) -> list[Clip]:
    """At most `count` clips, spread evenly over the list: the same ones in every run."""
    picks = np.unique(np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int)) if clips else ()
    return [clips[i] for i in picks]


def measure_landmarks(quality: Quality, marks: Iterable[tuple[Clip, Record]], truth: Callable[[Clip], Record | None],
                      excluded: int) -> None:
    """Fill in detection (share of the labelled clips' frames), jitter, and errors against the truth if there is one.

    marks: clip by clip, the labelled ones.

    Errors are means over a frame's points; their mean, 95th percentile and failure rate are over frames.
    """
    how, scores, pixels, relative, errors = [], [], [], [], []
    for clip, mark in marks:
        how.append(mark["how"])
        scores.append(mark["score"][mark["how"] != NEIGHBOUR])
        pixels.append(jitter(mark["points"]))
        relative.append(pixels[-1] / np.median(inter_ocular(mark["points"])))
        if (known := truth(clip)) is not None:
            true = true_points(clip.clip_id, known, mark["numbers"])
            errors.append(landmark_errors(mark["points"], true))
    how, quality.scores, quality.jitter = np.concatenate(how), np.concatenate(scores), np.array(pixels)
    quality.numbers |= {
        "clips": len(pixels), "clips_excluded": excluded, "frames": int(how.size),
        "detection_rate": float((how != NEIGHBOUR).mean()), "upsampled_rate": float((how == 1).mean()),
        "score_min": float(quality.scores.min()), "score_median": float(np.median(quality.scores))}
    if np.isfinite(pixels).any():
        quality.numbers |= {"landmark_jitter_px": float(np.nanmean(pixels)),
                            "landmark_jitter_iod": float(np.nanmean(relative))}
    if errors:
        quality.errors = np.concatenate(errors)
        frames = quality.errors[:, INNER].mean(1)
        quality.numbers |= {"landmark_error_mean": float(frames.mean()),
                            "landmark_error_p95": float(np.percentile(frames, 95)),
                            "landmark_error_max": float(frames.max()),
                            "landmark_failure_rate": float((frames > FAILURE).mean())}
        quality.numbers |= {f"landmark_error_{part}": float(quality.errors[:, points].mean())
                            for part, points in PARTS.items()}


def measure_magnitude(quality: Quality, flows: Iterable[tuple[str, Record]], class_of: dict[str, str]) -> None:
    """Fill in the mean length of the labelled flow, crop pixels, over all clips and by class."""
    for clip_id, record in flows:
        if clip_id in class_of:
            length = np.hypot(*record["flow"].astype(np.float32).transpose(1, 0, 2, 3)).mean()
            quality.magnitude.setdefault(class_of[clip_id], []).append(float(length))
    if quality.magnitude:
        quality.numbers["flow_magnitude"] = float(np.mean([v for values in quality.magnitude.values() for v in values]))
        quality.numbers |= {f"flow_magnitude_{name}": float(np.mean(values))
                            for name, values in sorted(quality.magnitude.items())}


def measure_flow(quality: Quality, examples: list[dict]) -> None:
    """Fill in the errors of TV-L1 from onset to apex, averaged over the examples that have a truth."""
    quality.examples = examples
    known = [example for example in examples if "epe" in example]
    if known:
        quality.numbers["flow_truth_clips"] = len(known)
        for name in ("epe", "epe_zero", "slope", "epe_active", "epe_zero_active"):
            if values := [example[name] for example in known if name in example]:
                quality.numbers[f"flow_{name}"] = float(np.mean(values))
