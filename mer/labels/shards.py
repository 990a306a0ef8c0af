"""From the files of single clips that a label stage keeps in its scratch folder to one shard a subject.

A shard is joined by the process that is handed its subject, a piece of an array at a time. It stays in the scratch
folder, and the files of its clips go, so that the disk holds a release once and a restart finds all that was done. A
file of a subject's only clip is the shard as it is.
"""

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from mer.base import scratch, store
from mer.datasets.clips import Clip
from mer.labels.records import Record, reason, shard_name

FOLDER = "shards"  # in the scratch folder


def subjects(clips: Iterable[Clip], ids: Collection[str]) -> dict[str, list[str]]:
    """{shard's name: the ids of its clips}, of the clips `ids`."""
    found: dict[str, list[str]] = {}
    for clip in clips:
        if clip.clip_id in ids:
            found.setdefault(shard_name(clip.subject), []).append(clip.clip_id)
    return found


def joined(folder: Path, wanted: dict[str, list[str]]) -> set[str]:
    """The ids of the clips, of the shards `wanted`, whose shard an earlier run has joined."""
    return {clip_id for name, ids in wanted.items() if (folder / FOLDER / name).exists() for clip_id in ids}


def nothing(record: Record) -> dict:
    """What a summary needs to know of a clip that it only counts."""
    return {}


class Join:
    """Makes the shards of subjects, a work item each, of the files in the scratch folder.

    attrs: of the shard; tell, names: what the summary needs to know of a clip, by its arrays `names`.
    """

    def __init__(self, folder: Path, attrs: dict, tell: Callable[[Record], dict], names: tuple[str, ...]):
        self.folder, self.attrs, self.tell, self.names = folder, attrs, tell, names

    def __call__(self, item: tuple[str, list[str]]) -> tuple[str, dict[str, dict], dict[str, str]]:
        """Of (shard's name, its clips' ids) the shard's digest, {clip id: what `tell` says}, {clip id: reason}.

        The digest is '' where every clip is excluded, and there is no shard.

        Raises:
            MerError: a clip's file is missing or damaged.
        """
        name, ids = item
        shard, parts, excluded = self.folder / FOLDER / name, {}, {}
        for clip_id, path in ((clip_id, scratch.kept(self.folder, clip_id)) for clip_id in ids):
            if shard.exists() and not path.exists():
                continue  # it is in the shard
            with store.Shard(path) as part:
                record = part.read(clip_id, ("excluded",))
            if record:
                excluded[clip_id] = reason(record)
            else:
                parts[clip_id] = path
        self._write(shard, parts)
        if not shard.exists():
            return "", {}, excluded
        with store.Shard(shard) as made:
            told = {clip_id: self.tell(made.read(clip_id, self.names)) for clip_id in made.clips}
            return made.digest(), told, excluded

    def _write(self, shard: Path, parts: dict[str, Path]) -> None:
        if parts and not shard.exists():
            shard.parent.mkdir(exist_ok=True)
            if len(parts) == 1:
                os.replace(*parts.values(), shard)
            else:
                store.join_shards(shard, parts, self.attrs)
        for path in parts.values():  # only now, so that a kill loses nothing
            path.unlink(missing_ok=True)
