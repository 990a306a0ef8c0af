"""Finding things in a raw release however its archives were unpacked: by what folders hold, not by their path."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from mer.base.errors import MerError

DEPTH = 6  # levels below the raw root that are searched
CROWD = 300  # folders; more in one place are clips
VIDEOS = {".avi", ".mp4", ".mov", ".mkv"}
ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz"}
SYSTEM = ("lost+found", "$recycle.bin", "system volume information", "__macosx")  # of disks, no part of a release


def entries(folder: Path) -> list[os.DirEntry]:
    """What is in a folder, without what operating systems put there and links that lead nowhere.

    Raises MerError when it cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if not entry.name.lower().startswith(SYSTEM)
                    and not (entry.is_symlink() and not os.path.exists(entry.path))]
    except OSError as error:
        unreadable(error)


def unreadable(error: OSError) -> NoReturn:
    """Raise MerError naming the folder."""
    raise MerError(f"{error.filename} cannot be read: {error.strerror}; allow it, or move it elsewhere") from error


def subfolders(folder: Path) -> dict[str, Path]:
    """Lower-case name -> path of the folders in a folder, sorted; hidden ones passed over."""
    found = sorted((entry.name, Path(entry.path)) for entry in entries(folder)
                   if not entry.name.startswith(".") and entry.is_dir())
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


def video_files(root: Path) -> Iterator[Path]:
    """Every video below a folder, in no particular order."""
    for folder, _, names in os.walk(root, onerror=unreadable):
        yield from (Path(folder) / name for name in names if Path(name).suffix.lower() in VIDEOS)


def instead(root: Path, layout: str = "as frames") -> str:
    """'; ...' on what lies below a folder in place of what was looked for: packed archives, videos; '' on nothing."""
    first: dict[str, str] = {}
    for _, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            first.setdefault(Path(name).suffix.lower() if not name.startswith(".") else "", name)
    packed = [first[suffix] for suffix in sorted(ARCHIVES & first.keys())]
    videos = [first[suffix] for suffix in sorted(VIDEOS & first.keys())]
    return (f"; it holds packed archives ({packed[0]}): unpack them" if packed else "") + (
        f"; it holds videos ({videos[0]}): extract their frames {layout}" if videos else "")


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
            found += [Path(entry.path) for entry in entries(folder)
                      if pattern.fullmatch(entry.name) and entry.is_file()]
            children = list(subfolders(folder).values())
            below += children if len(children) <= CROWD else []
        level = below
    return sorted(found, key=lambda path: (path.name.lower(), path.as_posix()))


def newest_table(tables: list[Path], root: Path, what: str, notes: list[str], *, never: str = "(?!)") -> Path:
    """The last of the tables by name (versions are part of the names); the others are named in `notes`.

    Raises MerError when there is none, saying `what` is expected, and what might be it under another name: not a table
    with the pattern `never` (case ignored) in its name, which is the release's for something else.
    """
    if not tables:
        there = [path.name for path in find_tables(root, r"[^.~].*\.(xlsx?|csv)")]
        others = [name for name in there if not re.search(never, name, re.IGNORECASE)]
        named = f"; if it is {others[0]}, give it that name" if others else (
            f"; {there[0]} is another table of the release" if there else "")
        raise MerError(f"{root}: annotation table not found; expected {what} here or up to three levels below"
                       f"{named}{instead(root)}")
    if len(tables) > 1:
        notes.append(f"{tables[-1].name} was read, not {', '.join(path.name for path in tables[:-1])}")
    return tables[-1]
