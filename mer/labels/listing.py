"""The frame files of a release's clips, every folder listed once for all that a stage does."""

import hashlib
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import IMAGE, Clip, numbered

Files = str | MerError  # names with \0 between them, some ten bytes a frame; or why there are none


def listed(raw_root: Path, clips: Iterable[Clip]) -> tuple[dict[str, Files], str]:
    """{clip id: its files}, and SHA-256 over name, size and time of change of every file, for a restart's key.

    Hashing the files' contents would cost more than the stage; index has done it.
    """
    by_folder: dict[str, list[Clip]] = {}
    for clip in clips:
        by_folder.setdefault(clip.frames_dir, []).append(clip)
    state, found = hashlib.sha256(), {}
    for folder, inside in by_folder.items():
        try:
            names = _scan(raw_root / folder, folder, state)
            frames: dict[int, str] | MerError = numbered(names, raw_root / folder)
        except MerError as error:
            frames = error
        numbers, files = ([], []) if isinstance(frames, MerError) else (list(frames), list(frames.values()))
        for clip in inside:
            part = files[bisect_left(numbers, clip.first):bisect_right(numbers, clip.last)]
            found[clip.clip_id] = frames if isinstance(frames, MerError) else "\0".join(part)
    return found, state.hexdigest()


def _scan(path: Path, folder: str, state) -> list[str]:
    """The names in a folder, [] of a missing one; `state` takes in what they are."""
    names = []
    try:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                state.update(f"{folder}\0{entry.name}\0{_about(entry)}\n".encode())
                names.append(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise MerError(f"{path} cannot be read: {error.strerror}") from error
    return names


def _about(entry: os.DirEntry) -> tuple[int, int]:
    try:
        found = entry.stat()
    except OSError:
        return 0, 0  # a link to nothing: who reads it tells
    return found.st_size, found.st_mtime_ns


def paths(raw_root: str | Path, clip: Clip, files: Files) -> list[tuple[int, Path]]:
    """(number, file) of a clip's frames, as `clips.frame_files` finds them.

    Raises:
        MerError: there are none.
    """
    if isinstance(files, MerError):
        raise files
    folder = Path(raw_root) / clip.frames_dir
    if not files:
        raise MerError(f"{clip.clip_id}: no frame numbered {clip.first}..{clip.last} in {folder}; run index again")
    return [(int(IMAGE(name)[1]), folder / name) for name in files.split("\0")]


def count(files: Files) -> int:
    """How many frames they are."""
    return files.count("\0") + 1 if isinstance(files, str) and files else 0
