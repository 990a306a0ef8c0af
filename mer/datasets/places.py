"""The frame folders of a release over all the places where its archives, or the parts of one, were unpacked."""

import filecmp
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import DIGITS, IMAGE_SUFFIXES
from mer.datasets.tree import entries, holders, inside, instead, subfolders
from mer.datasets.workbook import Cell, text


@dataclass(frozen=True)
class Places:
    """`folders`: the frame folders of all `places` by their lower-case names below a place, ('sub01', 'ep02_01f')."""

    root: Path
    places: tuple[Path, ...] = ()
    folders: dict[tuple[str, ...], Path] = field(default_factory=dict)

    def find(self, *names: str) -> Path | None:
        """The folder of these names, case ignored, None where there is none."""
        return self.folders.get(tuple(name.lower() for name in names))

    def looked_for(self, *names: str) -> str:
        """The path that `find` looks for, for a message: in the first place, and how many more there are."""
        more = f" (nor in {len(self.places) - 1} more folders)" if len(self.places) > 1 else ""
        return "/".join((*(_shown(self.root, place) for place in self.places[:1]), *names)) + more


def find_places(root: Path, child: str, layout: str, notes: list[str], *, levels: int,
                accept: Callable[[Path], bool] = lambda folder: True, last: tuple[str, ...] = ()) -> Places:
    """The frame folders `levels` below every folder that holds one named `child`, see `holders`, as one release; with
    no levels, the places alone.

    A folder whose path contains a word of `last` is another version of the frames: it is read only when nothing comes
    before it, and named in `notes` otherwise. Raises MerError when there is none, saying `layout` and what is there
    instead, or when a clip lies in two places with different frames, see `merged`.
    """
    every = [folder for folder in holders(root, child) if _holds_frames(folder, child)]
    found: dict[int, list[Path]] = {}
    for folder in every:
        if accept(folder):
            rank = next((i for i, word in enumerate(last, 1) if word in inside(root, folder)), 0)
            found.setdefault(rank, []).append(folder)
    if not found:
        hint = instead(root, "into this layout")
        if every:
            names = ", ".join(inside(root, folder) or "." for folder in every[:3])
            hint = f"; {names} looks alike but is not what index.images or the variant asks for"
        raise MerError(f"{root}: no frames found in the layout {layout}{hint}")
    chosen = found.pop(min(found))
    if found:
        others = ", ".join(inside(root, folder) or "." for rank in sorted(found) for folder in found[rank])
        notes.append(f"frames were read from {inside(root, chosen[0]) or '.'}, not from {others}")
    pairs = (pair for place in chosen for pair in below(place, levels)) if levels else ()
    return Places(root, tuple(chosen), merged(root, pairs, notes))


def clips_and_videos(root: Path, notes: list[str], *, clip: str, own: Callable[[str], bool], subject: str,
                     layout: str) -> tuple[Places, Places]:
    """The folders of one expression each, and those of whole videos (subject, video, color); one may be empty.

    `clip`, `subject`: patterns of their names; `own`: whether a path below the root may hold the former. Raises
    MerError as `find_places` does for the videos, when there are no clips either.
    """
    places = tuple(holders(root, clip, accept=lambda folder: own(inside(root, folder))))
    clips = Places(root, places, merged(root, (pair for place in places for pair in below(place, 1)), notes))
    if places and not holders(root, subject, accept=in_color):
        return clips, Places(root)
    return clips, find_places(root, subject, layout, notes, levels=3, accept=in_color)


def in_color(folder: Path) -> bool:
    """Whether a folder holds videos as CAS(ME)^3's are kept: subject, video, color."""
    return any(names[-1] == "color" for names, _ in below(folder, 3))


def spno(cell: Cell, where: str) -> str:
    """'spNO.1' from a cell of CAS(ME)^3's tables: spNO.1, spNo.1 or 1. Raises MerError saying `where`."""
    match = re.fullmatch(rf"(spno\.)?(\d{{1,{DIGITS}}})", text(cell), re.IGNORECASE)
    if match is None:
        raise MerError(f"{where} is '{cell}'; expected a name such as spNO.1")
    return f"spNO.{match[2]}"


def below(place: Path, levels: int) -> Iterator[tuple[tuple[str, ...], Path]]:
    """(lower-case names, folder) of the folders `levels` below a place; sub01/sub01 is sub01, unpacked doubled."""
    if levels == 0:
        yield (), place
        return
    for name, folder in subfolders(place).items():
        for names, leaf in below(undoubled(folder), levels - 1):
            yield (name, *names), leaf


def undoubled(folder: Path) -> Path:
    """The innermost of folders of one name in each other."""
    while (folder / folder.name).is_dir():
        folder /= folder.name
    return folder


def merged(root: Path, found: Iterable[tuple[tuple[str, ...], Path]], notes: list[str]) -> dict[tuple[str, ...], Path]:
    """(names, folder) pairs of several places as one map; names with two folders are noted, the first one is read.

    An empty folder counts as none. Raises MerError naming a clip whose two folders hold different images.
    """
    folders: dict[tuple[str, ...], Path] = {}
    twice: list[str] = []
    for names, folder in found:
        other = folders.setdefault(names, folder)
        if other == folder or not (images := _images(folder)):
            continue
        before = _images(other)
        if before:
            _refuse_different(root, names, other, before, folder, images)
            twice.append(f"{'/'.join(names)} in {_shown(root, other)} and {_shown(root, folder)}")
        else:
            folders[names] = folder
    if twice:
        notes.append(f"{len(twice)} frame folders lie in two places, with the same images: {'; '.join(twice[:3])}")
    return folders


def _refuse_different(root: Path, names: tuple[str, ...], first: Path, before: dict[str, int], second: Path,
                      after: dict[str, int]) -> None:
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)) or \
        filecmp.cmpfiles(first, second, sorted(before), shallow=False)[1]
    if differing:
        raise MerError(
            f"{root}: {'/'.join(names)} lies in {_shown(root, first)} and in {_shown(root, second)} with different "
            f"images ({len(before)} and {len(after)}; {differing[0]}); keep one of the two, or, if they are parts of "
            "one archive, unpack them into one folder")


def _images(folder: Path) -> dict[str, int]:
    """Path below the folder -> bytes of every image in it, at any depth."""
    return {os.path.relpath(os.path.join(where, name), folder): os.path.getsize(os.path.join(where, name))
            for where, _, names in os.walk(folder) for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
            and os.path.exists(os.path.join(where, name))}  # not a link that leads nowhere


def _shown(root: Path, folder: Path) -> str:
    return folder.relative_to(root).as_posix()


def is_cropped(root: Path, folder: Path, child: str) -> bool:
    """Whether a folder holds crops: a ..crop.. in its path, or images named reg_img1.jpg in its first `child`."""
    if "crop" in inside(root, folder):
        return True
    matching = (path for name, path in subfolders(folder).items() if re.fullmatch(child, name, re.IGNORECASE))
    return next((name.startswith("reg_") for path in matching for name in _first_image(path)), False)


def _first_image(folder: Path) -> Iterator[str]:
    """The name of one image in or below a folder, lower case; none when there is none."""
    for _, children, names in os.walk(folder):
        children.sort()
        found = sorted(name.lower() for name in names if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
                       and not name.startswith("."))
        if found:
            yield found[0]
            return


def _holds_frames(folder: Path, child: str) -> bool:
    """Whether a folder that matches `child` holds folders or images, and not only videos."""
    matching = (path for name, path in subfolders(folder).items() if re.fullmatch(child, name, re.IGNORECASE))
    return any(entry.is_dir() or Path(entry.name).suffix.lower() in IMAGE_SUFFIXES
               for path in matching for entry in entries(path))
