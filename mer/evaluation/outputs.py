"""What a fold keeps of its test clips beside the predictions: data/folds/<seed>/<fold>/outputs.h5, of the last step."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mer.base import store


def read(data: Path, seed: int, fold: str, names: Iterable[str] | None = None) -> dict[str, dict[str, np.ndarray]]:
    """{clip id: {name: array}} of a fold, as the model's task keeps them (`keep` in mer/models/*/task.py).

    Args:
        data: the folder with folds/; names: only these arrays.

    Raises:
        MerError: the file is missing or damaged.
    """
    return store.read_shard(data / "folds" / str(seed) / fold.replace("/", "_") / "outputs.h5", names)[0]
