"""Pictures of single tested clips, after what the folds keep of them, drawn by the model's pictures.py (`tested`)."""

import importlib
from pathlib import Path

from mer.evaluation import outputs
from mer.evaluation.grad_cam import Compared
from mer.evaluation.predictions import Predictions


def draw(model: str, t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, crop: int,
         sampling: dict, names: tuple[str, ...] = (), compared: dict[tuple[int, str, str], Compared] | None = None,
         cfg=None) -> int:
    """Draw `count` clips, evenly spread from the best to the worst, and what the model shows of all of them.

    Args:
        t: the predictions after the last step; clips are drawn of the first seed's folds, from their outputs.h5.
        data: the folder with folds/ and aligned/.
        crop: side of the centre crop the network saw, pixels; sampling: t, span and seed of params.yaml's section.
        names: the classes; compared: heat maps beside the truth, as far as there is one; cfg: the model's own section.

    Returns:
        The number of clips drawn, `clip_1.png` the best; 0 when the folds keep nothing that can be drawn.

    Raises:
        MerError: a shard is missing or damaged.
    """
    first = t.where(seed=int(t.seed.min()))
    kept = {name for clip in outputs.read(data, int(first.seed[0]), str(first.fold[0])).values() for name in clip}
    return importlib.import_module(f"mer.models.{model}.pictures").tested(
        t, data, folder, count, synthetic, kept=kept, crop=crop, sampling=sampling, names=names, compared=compared,
        cfg=cfg)
