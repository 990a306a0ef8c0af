"""From per-clip label records to a stage's shards and back, with every clip accounted for.

A record is a dict of arrays. A clip that cannot be labelled gets a record of its reason instead; `finish` puts these
into `summary.json`, and `each` refuses a store in which a clip is neither labelled nor excluded.
"""

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer.base import store
from mer.base.errors import MerError
from mer.datasets.clips import Clip, write_clips
from mer.labels import sampling

Record = dict[str, np.ndarray]
SHOWN = 10  # exclusions printed one by one; all of them stand in summary.json


class Excluded(Exception):
    """A clip that cannot be labelled; the message is the reason that is recorded."""


def guarded(label: Callable[..., Record], *args, **kwargs) -> Record:
    """`label(...)`, or the record of the reason why the clip is excluded (as bytes, so that scratch can hold it)."""
    try:
        return label(*args, **kwargs)
    except Excluded as reason:
        return {"excluded": np.frombuffer(str(reason).encode(), np.uint8)}


def reason(record: Record) -> str:
    """Why the clip of a record left by `guarded` is excluded."""
    return record["excluded"].tobytes().decode()


def sets_of(clip_id: str, record: Record, *, t: int, sets: int, span: str, seed: int) -> np.ndarray:
    """`sampling.clip_sets` of a clip's aligned record: (sets, t) positions into its frames.

    Raises:
        Excluded: no frame lies in the span.
    """
    try:
        return sampling.clip_sets(record["numbers"], record["annotation"], t=t, sets=sets, span=span,
                                  seed_words=(seed, clip_id))
    except ValueError as error:
        raise Excluded(str(error)) from None


def shard_name(subject: str) -> str:
    """'synthetic/s01' -> 's01.h5'."""
    return f"{subject.split('/', 1)[1]}.h5"


@dataclass(frozen=True)
class Made:
    """What a label stage has made of its clips; the records are on the disk.

    Attributes:
        folder: where the shards lie; digests: {shard's name: `Shard.digest`}, of those that hold a clip.
        told: {clip id: what the stage's summary needs to know of it}, of the labelled clips.
        excluded: {clip id: reason}.
    """

    folder: Path
    digests: dict[str, str]
    told: dict[str, dict]
    excluded: dict[str, str]


def write(folder: str | Path, stage: str, clips: Iterable[Clip], records: dict[str, Record], *, attrs: dict,
          summary: dict, before: dict) -> dict:
    """Write the store of a few records that are in memory, as `finish` does that of what a stage has made.

    Args:
        records: clip id -> record, or the reason left by `guarded`.
        attrs: units and parameters, stored in every shard.
    """
    folder, clips, excluded = Path(folder), list(clips), {}
    shards: dict[str, dict[str, Record]] = defaultdict(dict)
    for clip in clips:
        record = records.get(clip.clip_id)
        if record is not None and "excluded" in record:
            excluded[clip.clip_id] = reason(record)
        elif record is not None:
            shards[shard_name(clip.subject)][clip.clip_id] = record
    for name, shard in shards.items():
        store.write_shard(folder / name, shard, {**attrs, "made_with": before.get("made_with", {})})
    made = Made(folder, {name: store.digest(folder / name) for name in shards},
                {clip_id: {} for shard in shards.values() for clip_id in shard}, excluded)
    return finish(folder, stage, clips, made, summary=summary, before=before)


def finish(folder: str | Path, stage: str, clips: Iterable[Clip], made: Made, *, summary: dict, before: dict) -> dict:
    """Put the shards in their place, write clips.csv and summary.json; return the summary. Prints new exclusions.

    A store explains itself: its clips, what the index counted and every exclusion so far go on from stage to stage, and
    summary.json tells of each shard by its digest.

    Args:
        clips: the dataset's clips.
        summary: the stage's own numbers, put between the counts and the list of exclusions.
        before: summary of the stage before, whose `index` and `excluded` are carried on; its `made_with`
            (`mer.environment`) holds this stage too.

    Raises:
        MerError: no clip at all could be labelled.
    """
    folder, clips = Path(folder), list(clips)
    excluded = [{"clip_id": clip.clip_id, "stage": stage, "reason": made.excluded[clip.clip_id]} for clip in clips
                if clip.clip_id in made.excluded]
    if excluded and not made.digests:
        raise MerError(f"{folder.as_posix()}: every clip is excluded, the first ({excluded[0]['clip_id']}) because: "
                       f"{excluded[0]['reason']}")
    for entry in excluded[:SHOWN]:
        print(f"{stage}: {entry['clip_id']} is excluded: {entry['reason']}")
    if len(excluded) > SHOWN:
        print(f"{stage}: {len(excluded) - SHOWN} more clips are excluded, see {(folder / 'summary.json').as_posix()}")
    for old in folder.glob("*.h5"):  # by hand, without DVC, a subject that is gone would stay
        if old.name not in made.digests:
            old.unlink()
    for name in made.digests if made.folder != folder else ():
        store.link(made.folder / name, folder / name)
    write_clips(folder / "clips.csv", clips)
    summary = {"clips": len(made.told), **summary, "excluded": before["excluded"] + excluded, "index": before["index"],
               "made_with": before.get("made_with", {}), "shards": dict(sorted(made.digests.items()))}
    store.write_json(folder / "summary.json", summary)
    return summary


def each(folder: str | Path, clips: Iterable[Clip],
         names: Iterable[str] | None = None) -> Iterator[tuple[Clip, Record]]:
    """Each labelled clip of `clips` and its record, in their order, one at a time; with `names`, only those arrays.

    Raises:
        MerError: a clip is neither labelled nor excluded with a reason; a shard is missing, damaged, or another than
            its store's summary.json tells of.
    """
    folder = Path(folder)
    reasons, _ = _accounts(folder)
    names = None if names is None else tuple(names)
    wanted = (clip for clip in clips if clip.clip_id not in reasons)
    for name, group in itertools.groupby(wanted, lambda clip: shard_name(clip.subject)):
        with store.Shard(folder / name) as shard:
            refuse_other(folder / name)
            for clip in group:
                if clip.clip_id not in shard:
                    raise MerError(f"{folder.as_posix()}: clip {clip.clip_id} is neither labelled nor excluded; the "
                                   "store is older than the index, delete it and run `dvc repro`")
                yield clip, shard.read(clip.clip_id, names, every=True)


def labelled(folder: str | Path, clips: Iterable[Clip]) -> list[Clip]:
    """The clips that a store does not exclude; whether it holds them is found out when they are read."""
    reasons = {entry["clip_id"] for entry in store.read_json(Path(folder) / "summary.json")["excluded"]}
    return [clip for clip in clips if clip.clip_id not in reasons]


def one(folder: str | Path, clip: Clip, names: Iterable[str] | None = None) -> Record:
    """The record of a labelled clip, as `each` reads it."""
    return next(each(folder, [clip], names))[1]


def refuse_other(path: Path) -> None:
    """Refuse a shard that is another than its store's summary.json tells of.

    Raises:
        MerError: names it, or the summary that is missing.
    """
    store.refuse_other(path, _accounts(path.parent)[1].get(path.name))


def _accounts(folder: Path) -> tuple[set[str], dict[str, str]]:
    """The ids of a store's excluded clips, and its shards' digests, which stores of before do not tell."""
    told = folder / "summary.json"
    return _read_accounts(folder, told.stat().st_mtime_ns if told.is_file() else 0)


@functools.lru_cache(maxsize=8)
def _read_accounts(folder: Path, changed: int) -> tuple[set[str], dict[str, str]]:
    summary = store.read_json(folder / "summary.json")
    return {entry["clip_id"] for entry in summary["excluded"]}, summary.get("shards", {})


def read(folder: str | Path, clips: Iterable[Clip],
         names: Iterable[str] | None = None) -> tuple[dict[str, Record], dict]:
    """What `each` gives, all at once, and the store's summary: ({clip id: record} in the order of `clips`, summary)."""
    return ({clip.clip_id: record for clip, record in each(folder, clips, names)},
            store.read_json(Path(folder) / "summary.json"))


def exclusions(data: str | Path, dataset: str) -> list[dict]:
    """Every clip that no model can use: clip_id, stage and reason, from the last stores of the label stages."""
    found = {}
    for stage in ("aligned", "flow", "dynamic"):
        for entry in store.read_json(Path(data) / stage / dataset / "summary.json")["excluded"]:
            found[entry["clip_id"]] = entry
    return list(found.values())


def read_labelled(folder: str | Path, names: Iterable[str] | None = None) -> Iterator[tuple[str, Record]]:
    """Whatever a store holds, which may be nothing: (clip id, record), one at a time, shard by shard."""
    for path in sorted(Path(folder).glob("*.h5")):
        with store.Shard(path) as shard:
            for clip_id in shard.clips:
                yield clip_id, shard.read(clip_id, names)
