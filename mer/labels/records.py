"""From per-clip label records to a stage's shards and back, with every clip accounted for.

A record is a dict of arrays. A clip that cannot be labelled gets a record of its reason instead; `write` puts these
into `summary.json`, and `read` refuses a store in which a clip is neither labelled nor excluded.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
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


def write(folder: str | Path, stage: str, clips: Iterable[Clip], records: dict[str, Record], *, attrs: dict,
          summary: dict, before: dict) -> dict:
    """Write clips.csv, one shard per subject and summary.json; return the summary. Prints each new exclusion.

    A store explains itself: its clips, what the index counted and every exclusion so far go on from stage to stage.

    Args:
        clips: the dataset's clips; they say which subject a record belongs to.
        records: clip id -> record, or the reason left by `guarded`.
        attrs: units and parameters, stored in every shard.
        summary: the stage's own numbers, put between the counts and the list of exclusions.
        before: summary of the stage before, whose `index` and `excluded` are carried on; its `made_with`
            (`mer.environment`) holds this stage too.

    Raises:
        MerError: no clip at all could be labelled.
    """
    folder, clips, excluded = Path(folder), list(clips), []
    subjects: dict[str, dict[str, Record]] = defaultdict(dict)
    for clip in clips:
        record = records.get(clip.clip_id)
        if record is None:
            continue
        if "excluded" in record:
            excluded.append({"clip_id": clip.clip_id, "stage": stage, "reason": record["excluded"].tobytes().decode()})
        else:
            subjects[clip.subject][clip.clip_id] = record
    if records and not subjects:
        raise MerError(f"{folder.as_posix()}: every clip is excluded, the first ({excluded[0]['clip_id']}) because: "
                       f"{excluded[0]['reason']}")
    for entry in excluded[:SHOWN]:
        print(f"{stage}: {entry['clip_id']} is excluded: {entry['reason']}")
    if len(excluded) > SHOWN:
        print(f"{stage}: {len(excluded) - SHOWN} more clips are excluded, see {(folder / 'summary.json').as_posix()}")
    made_with = before.get("made_with", {})
    wanted = {shard_name(subject) for subject in subjects}
    for old in folder.glob("*.h5"):  # by hand, without DVC, a subject that is gone would stay
        if old.name not in wanted:
            old.unlink()
    for subject, shard in subjects.items():
        store.write_shard(folder / shard_name(subject), shard, {**attrs, "made_with": made_with})
    write_clips(folder / "clips.csv", clips)
    summary = {"clips": sum(map(len, subjects.values())), **summary, "excluded": before["excluded"] + excluded,
               "index": before["index"], "made_with": made_with}
    store.write_json(folder / "summary.json", summary)
    return summary


def read(folder: str | Path, clips: Iterable[Clip],
         names: Iterable[str] | None = None) -> tuple[dict[str, Record], dict]:
    """Read a store: ({clip id: record} in the order of `clips`, summary); with `names`, only those arrays.

    Raises:
        MerError: a clip is neither labelled nor excluded with a reason, or a shard is missing or damaged.
    """
    folder, clips = Path(folder), list(clips)
    summary = store.read_json(folder / "summary.json")
    reasons = {entry["clip_id"] for entry in summary["excluded"]}
    found: dict[str, Record] = {}
    for subject in dict.fromkeys(clip.subject for clip in clips if clip.clip_id not in reasons):
        found |= store.read_shard(folder / shard_name(subject), names, every=True)[0]
    for clip in clips:
        if clip.clip_id not in found and clip.clip_id not in reasons:
            raise MerError(f"{folder.as_posix()}: clip {clip.clip_id} is neither labelled nor excluded; the store is "
                           "older than the index, delete it and run `dvc repro`")
    return {clip.clip_id: found[clip.clip_id] for clip in clips if clip.clip_id in found}, summary


def exclusions(data: str | Path, dataset: str) -> list[dict]:
    """Every clip that no model can use: clip_id, stage and reason, from the last stores of the label stages."""
    found = {}
    for stage in ("aligned", "flow", "dynamic"):
        for entry in store.read_json(Path(data) / stage / dataset / "summary.json")["excluded"]:
            found[entry["clip_id"]] = entry
    return list(found.values())


def read_labelled(folder: str | Path, names: Iterable[str] | None = None) -> tuple[dict[str, Record], dict]:
    """Read whatever a store holds, which may be nothing: ({clip id: record}, summary)."""
    found: dict[str, Record] = {}
    for path in sorted(Path(folder).glob("*.h5")):
        found |= store.read_shard(path, names)[0]
    return found, store.read_json(Path(folder) / "summary.json")
