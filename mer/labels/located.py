"""Where the arrays of clips lie in the stores, for those who read a clip, or a frame of it, at a time."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from mer.base.columns import Column, Files, column, places
from mer.base.errors import MerError
from mer.datasets.clips import Clip
from mer.labels.records import refuse_other, shard_name

# a row of an array: so many of its last dimensions
ROW = {"frames": 2, "points": 2, "numbers": 0, "annotation": 1, "index": 0, "pair": 1, "flow": 3, "mean": 3,
       "logvar": 3}


def columns(stage: str | Path, clips: Iterable[Clip], names: Iterable[str]) -> dict[str, Column]:
    """Where the arrays `names` of `clips`, of any datasets, lie in the stores <stage>/<dataset>.

    Raises:
        MerError: a clip is in no shard; a shard is missing, damaged, or another than its store's summary.json tells of;
            an array is missing or of another shape.
    """
    names, keys = list(names), [(_shard(Path(stage), clip), clip.clip_id) for clip in clips]
    wanted: dict[Path, list[str]] = defaultdict(list)
    for path, clip_id in keys:
        wanted[path].append(clip_id)
    found = {(path, clip_id): each for path, clip_ids in wanted.items()
             for clip_id, each in places(path, clip_ids, names).items()}
    for path, clip_id in keys:
        if (path, clip_id) not in found:
            raise MerError(f"{path.parent.as_posix()}: clip {clip_id} is neither labelled nor excluded; the store is "
                           "older than the index, delete it and run `dvc repro`")
    for path in wanted:  # a run's key, and DVC's, go by what the summaries tell
        refuse_other(path)
    files, number = Files(wanted), {path: i for i, path in enumerate(wanted)}
    return {name: column(name, ROW[name], tuple(clip_id for _, clip_id in keys), files,
                         [number[path] for path, _ in keys], [found[key][name] for key in keys]) for name in names}


def _shard(stage: Path, clip: Clip) -> Path:
    return stage / clip.dataset / shard_name(clip.subject)
