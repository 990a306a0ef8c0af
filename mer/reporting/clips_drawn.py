"""Pictures of single tested clips, after what the folds keep of them: MOL's, FDP's or MA2MI's."""

from pathlib import Path

from mer.evaluation import outputs
from mer.evaluation.grad_cam import Compared
from mer.evaluation.predictions import Predictions
from mer.models.fdp import pictures as fdp_drawings
from mer.models.ma2mi import pictures as ma2mi_drawings
from mer.models.mol import pictures as mol_drawings


def draw(t: Predictions, data: Path, folder: Path, count: int, synthetic: bool, *, crop: int, sampling: dict,
         names: tuple[str, ...] = (), slope: float = 1.0,
         compared: dict[tuple[int, str, str], Compared] | None = None) -> int:
    """Draw `count` clips, evenly spread from the best to the worst, and what the model shows of all of them.

    Args:
        t: the predictions after the last step; clips are drawn of the first seed's folds, from their outputs.h5.
        data: the folder with folds/ and aligned/.
        crop: side of the centre crop the network saw, pixels; sampling: t, span and seed of params.yaml's section.
        names: the classes; slope: of FDP's K(k); compared: MA2MI's heat maps beside the truth, as far as there is one.

    Returns:
        The number of clips drawn, `clip_1.png` the best; 0 when the folds keep nothing that can be drawn.

    Raises:
        MerError: a shard is missing or damaged.
    """
    first = t.where(seed=int(t.seed.min()))
    kept = {name for clip in outputs.read(data, int(first.seed[0]), str(first.fold[0])).values() for name in clip}
    where = {"crop": crop, "sampling": sampling}
    if "grad_cam" in kept:
        return ma2mi_drawings.draw(first, data, folder, count, synthetic, names=names, compared=compared or {}, **where)
    if "scores" in kept:
        fdp_drawings.rank_scores(t, data, folder, slope, synthetic)
    if "dynamic" in kept:
        return fdp_drawings.draw(first, data, folder, count, synthetic, slope=slope, **where)
    if kept & {"flow", "landmarks"}:
        return mol_drawings.draw(first, data, folder, count, synthetic, **where)
    return 0
