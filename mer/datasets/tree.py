"""Finding things in a raw release however its archives were unpacked: by what folders hold, not by their path."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import IMAGE_SUFFIXES

DEPTH = 6  # levels below the raw root that are searched
CROWD = 300  # folders; more in one place are clips
VIDEOS = {".avi", ".mp4", ".mov", ".mkv"}


def subfolders(folder: Path) -> dict[str, Path]:
    """Lower-case name -> path of the folders in a folder, sorted; hidden ones and macOS's __MACOSX passed over."""
    found = sorted((entry.name, Path(entry.path)) for entry in os.scandir(folder)
                   if entry.is_dir() and not entry.name.startswith((".", "__MACOSX")))
    return {name.lower(): path for name, path in found}


def holders(root: Path, child: str, accept: Callable[[Path], bool] = lambda folder: True,
            skip: str = "") -> list[Path]:
    """Folders that hold a folder whose whole name matches the pattern `child` (case ignored), shallow ones first.

    This finds the frames of CASME2-RAW/sub01 and of CASME2-RAW/CASME2-RAW/sub01 alike. Folders that match `child` are
    not searched themselves, nor are those that match `skip`; of what is found, only what `accept`s is returned.
    """
    pattern = re.compile(child, re.IGNORECASE)
    found, level = [], [root]
    for _ in range(DEPTH):
        below = []
        for folder in level:
            children = subfolders(folder)
            matching = [name for name in children if pattern.fullmatch(name)]
            if matching:
                found.append(folder)
            below += [path for name, path in children.items()
                      if name not in matching and not re.fullmatch(skip, name)]
        level = below
    return [folder for folder in found if accept(folder)]


def inside(root: Path, folder: Path) -> str:
    """The path of a folder below the root, lower case, for tests such as 'crop' in it."""
    return folder.relative_to(root).as_posix().lower()


def frames_root(root: Path, child: str, layout: str, notes: list[str], *,
                accept: Callable[[Path], bool] = lambda folder: True, last: str = "") -> Path:
    """The one folder that holds the frame folders, see `holders`; folders whose path contains `last` come last.

    When there are several, the others are named in `notes`. Raises MerError when there is none, saying `layout`, and
    that videos must be turned into frames when there are only videos.
    """
    found = [folder for folder in holders(root, child, accept) if _holds_frames(folder, child)]
    if last:
        found.sort(key=lambda folder: last in inside(root, folder))
    if not found:
        videos = next(video_files(root), None)
        hint = f"; it holds videos ({videos.name}): extract their frames into this layout" if videos else ""
        refused = [inside(root, folder) or "." for folder in holders(root, child) if _holds_frames(folder, child)]
        if refused:
            hint = f"; {', '.join(refused[:3])} looks alike but is not what index.images or the variant asks for"
        raise MerError(f"{root}: no frames found in the layout {layout}{hint}")
    if len(found) > 1:
        others = ", ".join(inside(root, folder) or "." for folder in found[1:])
        notes.append(f"frames were read from {inside(root, found[0]) or '.'}, not from {others}")
    return found[0]


def _holds_frames(folder: Path, child: str) -> bool:
    """Whether a folder that matches `child` holds folders or images, and not only videos."""
    matching = (path for name, path in subfolders(folder).items() if re.fullmatch(child, name, re.IGNORECASE))
    return any(entry.is_dir() or Path(entry.name).suffix.lower() in IMAGE_SUFFIXES
               for path in matching for entry in os.scandir(path))


def video_files(root: Path) -> Iterator[Path]:
    """Every video below a folder, in no particular order."""
    for folder, _, names in os.walk(root):
        yield from (Path(folder) / name for name in names if Path(name).suffix.lower() in VIDEOS)


def find_tables(root: Path, name: str) -> list[Path]:
    """Files whose whole name matches the pattern `name` (case ignored), down to four levels, sorted by name.

    The whole name: lock files of open workbooks ('~$...') do not match. Folders with very many folders hold frames and
    are not searched.
    """
    pattern = re.compile(name, re.IGNORECASE)
    found, level = [], [root]
    for _ in range(4):
        below = []
        for folder in level:
            found += [Path(entry.path) for entry in os.scandir(folder)
                      if pattern.fullmatch(entry.name) and entry.is_file()]
            children = list(subfolders(folder).values())
            below += children if len(children) <= CROWD else []
        level = below
    return sorted(found, key=lambda path: (path.name.lower(), path.as_posix()))


def newest_table(tables: list[Path], root: Path, what: str, notes: list[str]) -> Path:
    """The last of the tables by name (versions are part of the names); the others are named in `notes`.

    Raises MerError when there is none, saying `what` is expected.
    """
    if not tables:
        raise MerError(f"{root}: annotation table not found; expected {what} here or up to three levels below")
    if len(tables) > 1:
        notes.append(f"{tables[-1].name} was read, not {', '.join(path.name for path in tables[:-1])}")
    return tables[-1]
