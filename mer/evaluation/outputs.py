"""What a fold keeps of its test clips beside the predictions: data/folds/<seed>/<fold>/outputs.h5, of the last step."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mer.base import store
from mer.datasets.clips import dataset_of
from mer.evaluation.predictions import Predictions
from mer.labels import records


def read(data: Path, seed: int, fold: str, names: Iterable[str] | None = None) -> dict[str, dict[str, np.ndarray]]:
    """{clip id: {name: array}} of a fold, as the model's task keeps them (`keep` in mer/models/*/task.py).

    Args:
        data: the folder with folds/; names: only these arrays.

    Raises:
        MerError: the file is missing or damaged.
    """
    return store.read_shard(data / place(seed, fold), names)[0]


def place(seed: int, fold: str) -> str:
    """Where the data folder has a fold's file."""
    return f"folds/{seed}/{fold.replace('/', '_')}/outputs.h5"


def frames_place(subject: str) -> str:
    """Where the data folder has the aligned frames of a subject's clips."""
    return f"aligned/{dataset_of(subject)}/{records.shard_name(subject)}"


def sampled(row: Predictions, data: Path, crop: int, sampling: dict) -> tuple[np.ndarray, np.ndarray]:
    """The tested frames (t, C, C) uint8 in the centre crop of a table's one row, and dlib's points in it (t, 68, 2).

    Args:
        data: the folder with aligned/; crop: C, pixels; sampling: t, span and seed of params.yaml's section.

    Raises:
        MerError: a shard is missing.
    """
    clip, subject = str(row.clip_id[0]), str(row.subject[0])
    aligned = store.read_shard(data / frames_place(subject))[0][clip]
    index = records.sets_of(clip, aligned, sets=1, **sampling)[0]  # set 0, the one that is tested
    inset = (aligned["frames"].shape[-1] - crop) // 2
    inside = slice(inset, inset + crop)
    return aligned["frames"][index][:, inside, inside], aligned["points"][index] - inset
