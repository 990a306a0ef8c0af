"""One person under two names would be trained on and tested: refused where folders, or the first frames, show it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mer.base.errors import MerError
from mer.datasets.clips import Clip, frame_files

UNKNOWN = "subject_unknown"  # the flag of clips whose `subject` is only a group


def refuse_shared(dataset: str, raw_root: Path, clips: Iterable[Clip]) -> None:
    """Refuse frames that two subjects share: one folder, the same first frame, or a folder of the other's clips.

    Raises:
        MerError: naming both clips and subjects, and what to do.
    """
    known = [clip for clip in clips if UNKNOWN not in clip.flags.split(";")]
    mend = "give both one subject in the annotation, or take one out of it"
    folders: dict[str, Clip] = {}
    frames: dict[str, Clip] = {}
    for clip in known:
        other = folders.setdefault(clip.frames_dir, clip)
        if other.subject != clip.subject:
            raise MerError(f"{dataset}: clips {other.clip_id} of {other.subject} and {clip.clip_id} of {clip.subject} "
                           f"have one folder, {clip.frames_dir}: one person under two names would be trained on and "
                           f"tested; {mend}")
    _refuse_strangers(dataset, known)
    for clip in known:
        try:
            other = frames.setdefault(_content(frame_files(raw_root, clip)[0][1]), clip)
            same = other.subject != clip.subject and _same(raw_root, other, clip)
        except OSError:
            continue  # a link to nothing, or a file that nobody may read: the stage that needs it excludes the clip
        if same:
            raise MerError(f"{dataset}: clips {other.clip_id} of {other.subject} and {clip.clip_id} of {clip.subject} "
                           f"are the same images ({other.frames_dir}, {clip.frames_dir}): one person under two names "
                           f"would be trained on and tested; {mend}")


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _same(raw_root: Path, *clips: Clip) -> bool:
    """Whether clips that begin with the same image are the same to the end of the shorter. Of one whose images are all
    one, such as a black one, nothing can be said."""
    one, other = ([_content(path) for _, path in frame_files(raw_root, clip)] for clip in clips)
    count = min(len(one), len(other))
    return one[:count] == other[:count] and (count == 1 or len(set(one[:count])) > 1)


def _refuse_strangers(dataset: str, clips: list[Clip]) -> None:
    """Refuse a clip below a folder that is called after another subject, whose clips lie there too."""
    names = {clip.subject.partition("/")[2]: clip.subject for clip in clips}
    at_home = {(clip.subject, parent) for clip in clips for parent in _above(clip)}
    for clip in clips:
        above = _above(clip)
        if clip.subject in {names.get(parent.name) for parent in above}:
            continue
        for parent in above:
            owner = names.get(parent.name)
            if owner is not None and (owner, parent) in at_home:
                raise MerError(f"{dataset}: clip {clip.clip_id} of {clip.subject} lies in {parent}, among the clips of "
                               f"{owner}: whose is it? One person under two names would be trained on and tested")


def _above(clip: Clip) -> list[PurePosixPath]:
    """The folders that the clip's own lies in."""
    return list(PurePosixPath(clip.frames_dir).parents)[:-1]
