"""Pictures of pretraining: losses by step, and MA2MI's reconstruction of a later frame."""

import importlib
from pathlib import Path

from mer.base import store
from mer.reporting import gradient_plots

RANKS = {1: "Best", 2: "Median", 3: "Worst"}


def draw(folders: list[Path], out: Path, synthetic: bool, model: str) -> None:
    """Write curves.png and losses.csv of the networks of all seeds, gradients.png and .csv where tasks share a trunk,
    and reconstruction_<n>.png of the first.

    Args:
        folders: one per seed, with log.csv and, if there is something to show, examples.h5 (mer/training/pretrain.py).
        model: whose pictures.py draws the examples (`pretrained`).
    """
    gradient_plots.curves(folders, out, synthetic, what="Pretraining", each="seed")
    path = folders[0] / "examples.h5"
    if path.exists():
        for number, made in store.read_shard(path)[0].items():
            importlib.import_module(f"mer.models.{model}.pictures").pretrained(
                made, RANKS[int(number)], out / f"reconstruction_{number}.png", synthetic)


