"""One row per clip: the table every stage after `index` starts from, and the frame files a row stands for."""

import csv
import functools
import io
import os
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mer.base import reading
from mer.base.errors import MerError
from mer.datasets import action_units

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
IMAGE = re.compile(r"(\d+)\D*(?:" + "|".join(map(re.escape, sorted(IMAGE_SUFFIXES))) + r")\Z", re.IGNORECASE).search
SETTLED = 2_000_000_000  # nanoseconds, the coarsest clock of a file system in use
DIGITS = 18  # of the longest number in a name or a cell; a time stamp in nanoseconds has one more
LARGEST = 2**31 - 1  # frame number that the label stores hold
SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Clip:
    """One expression in one video.

    `onset`, `apex`, `offset` are frame numbers of the annotation; `first`, `last` the outermost frames of
    onset..offset that are on disk (inclusive). Readers guarantee: first <= last, both are files, and `apex` is None or
    a file's number within first..last.
    """

    clip_id: str  # unique in its dataset, letters, digits and _.- only
    dataset: str
    release: str  # version of the release or of its table, e.g. '2019'
    subject: str  # prefixed by the dataset, 'casme2/sub01', because numbers repeat between datasets
    frames_dir: str  # posix path relative to the dataset's raw root
    first: int
    last: int
    onset: int
    apex: int | None
    offset: int
    fps: float  # frames per second
    label_raw: str  # the release's own word
    aus_raw: str  # the release's own notation
    flags: str  # words joined by ';', see rules.FLAGS
    objective: str = ""  # the release's own number of the objective class, '' where none is told

    @property
    def aus(self) -> str:
        """The action units in the one notation of `action_units`."""
        return action_units.written(action_units.parse(self.aus_raw))


FIELDS = tuple(field.name for field in fields(Clip))
LATER = ("objective",)  # columns that older tables lack
COLUMNS = tuple(name for field in FIELDS for name in ((field, "aus") if field == "aus_raw" else (field,)))


def safe_name(text: str) -> str:
    """`text` with everything that is unsafe in a file name turned into '_'."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text.strip())


def write_clips(path: str | Path, clips: list[Clip]) -> None:
    r"""Write clips as CSV in the order given (atomic, '\n' line ends, an empty cell for a missing apex)."""
    from mer.base.store import write_csv  # here, so that reading clips needs no h5py

    write_csv(path, COLUMNS, ([_cell(getattr(clip, name)) for name in COLUMNS] for clip in clips))


def _cell(value: object) -> object:
    return "" if value is None else value


def read_clips(path: str | Path) -> list[Clip]:
    """Read what `write_clips` wrote, also before it wrote `aus`, which follows from `aus_raw`, and `objective`.

    Raises MerError naming file, row and column for a missing file or column, an unparsable cell or a repeated clip_id.
    """
    path = Path(path)
    rows = read_csv(path, required=tuple(name for name in FIELDS if name not in LATER))
    clips, seen = [], set()
    for line, row in rows:
        values: dict[str, Any] = {name: row[name] for name in FIELDS if name in row}
        for name in ("first", "last", "onset", "offset"):
            values[name] = whole_number(row[name], path, line, name)
        values["apex"] = whole_number(row["apex"], path, line, "apex") if row["apex"] else None
        values["fps"] = positive(row["fps"], path, line, "fps")
        if row["clip_id"] in seen:
            raise MerError(f"{path}: row {line}, column 'clip_id': '{row['clip_id']}' stands twice, ids must be unique")
        seen.add(row["clip_id"])
        clips.append(Clip(**values))
    return clips


def read_csv(path: Path, required: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """(line number, row as a dict of stripped cells) for every row of a CSV file with a header line.

    Raises MerError when the file is missing or not UTF-8 text, when a required column is missing, or when a row has
    another number of cells than the header.
    """
    try:
        reader = csv.reader(io.StringIO(reading.text(path), newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except FileNotFoundError:
        raise MerError(f"{path.as_posix()} does not exist; expected a CSV file with columns "
                       + ", ".join(required)) from None
    except csv.Error as error:
        raise MerError(f"{path} cannot be read as a UTF-8 CSV file: {error}") from error
    missing = [name for name in required if name not in header]
    if missing:
        raise MerError(f"{path}: column {', '.join(repr(name) for name in missing)} is missing; the header is {header}"
                       + _other_separator(header))
    for line, cells in rows:
        if len(cells) != len(header):
            raise MerError(f"{path}: row {line} has {len(cells)} cells, the header has {len(header)}")
    return [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]


def _other_separator(header: list[str]) -> str:
    """What to do about a header in which another separator than the comma stands; else nothing."""
    found = next((name for name, mark in (("semicolons", ";"), ("tabs", "\t")) if any(mark in cell for cell in header)),
                 "")
    return f"; its cells are parted by {found}: save it with commas" if found else ""


def whole_number(text: str, path: Path, line: int, column: str) -> int:
    """A frame number from a cell; '12.0', which spreadsheets write, is 12. Raises MerError naming the cell."""
    number = whole(text)
    if number is None:
        raise MerError(f"{path}: row {line}, column '{column}': '{text}' is not a whole number")
    return number


def whole(text: str) -> int | None:
    """A whole number of at most DIGITS digits, '12' or '12.0'; None for any other text."""
    match = re.fullmatch(rf"(-?\d{{1,{DIGITS}}})(\.0*)?", text)
    return int(match[1]) if match else None


def too_large(number: int) -> str:
    """What to say of a frame number above LARGEST."""
    return f"frame {number}; numbers go to {LARGEST}, time stamps do not fit: number the frames, and its rows, from 1"


def positive(text: str, path: Path, line: int, column: str) -> float:
    """A finite number above zero from a cell. Raises MerError naming the cell."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise MerError(f"{path}: row {line}, column '{column}': '{text}' is not a number above zero")
    return value


def frame_number(name: str) -> int | None:
    """The last whole number in a file name without its suffix: 'reg_img46.jpg' -> 46; None when there is none."""
    digits = re.findall(r"\d+", name.rsplit(".", 1)[0])
    return int(digits[-1]) if digits else None


def frame_names(folder: str | Path) -> dict[int, str]:
    """Number -> name of every image in a folder, see `numbered`; a missing folder gives an empty dict."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise MerError(f"{folder} cannot be read: {error.strerror}") from error
    return numbered(names, folder)


def numbered(names: Iterable[str], folder: str | Path) -> dict[int, str]:
    """Number -> name of the images among the names in a folder, sorted by number: padding differs within one release.

    Files that are no images (Thumbs.db, shortcuts, '._img1.jpg' of macOS) and images without a number are passed over.
    Raises MerError when two images have the same number.
    """
    found: dict[int, str] = {}
    for name in names:
        match = IMAGE(name)
        if match is None or name[0] == ".":
            continue
        number = int(match[1])
        if number in found:
            raise MerError(f"{folder}: '{found[number]}' and '{name}' are both frame {number}; keep one of them")
        found[number] = name
    return dict(sorted(found.items()))


def numbered_frames(folder: str | Path) -> list[tuple[int, Path]]:
    """(number, file) of every image in a folder, see `frame_names`."""
    return [(number, Path(folder) / name) for number, name in frame_names(folder).items()]


def frame_files(raw_root: str | Path, clip: Clip) -> list[tuple[int, Path]]:
    """(number, file) of the frames first..last of a clip, sorted by number. Raises MerError when there are none.

    The folder is listed once for all clips of a video that one process reads.
    """
    folder = Path(raw_root) / clip.frames_dir
    try:
        changed = folder.stat().st_mtime_ns
    except OSError:
        changed = 0  # missing
    # a folder changed just now could change again within one tick of the file system's clock
    listed = _listed if time.time_ns() - changed > SETTLED else _listed.__wrapped__
    numbers, names = listed(str(folder), changed)
    part = slice(bisect_left(numbers, clip.first), bisect_right(numbers, clip.last))
    if not numbers[part]:
        raise MerError(f"{clip.clip_id}: no frame numbered {clip.first}..{clip.last} in {folder}; run index again")
    return [(number, folder / name) for number, name in zip(numbers[part], names[part], strict=True)]


@functools.lru_cache(maxsize=8)  # clips come video by video
def _listed(folder: str, changed: int) -> tuple[list[int], list[str]]:
    found = frame_names(folder)
    return list(found), list(found.values())


def dataset_of(subject: str) -> str:
    """`casme2` of `casme2/sub01`."""
    dataset, slash, rest = subject.partition("/")
    if not (dataset and slash and rest):
        raise MerError(f"subject {subject!r}; expected <dataset>/<subject>, so that subjects of two datasets differ")
    return dataset


def raw_root(name: str, raw: str | Path = "data/raw") -> Path:
    """The folder of a dataset's raw release, data/raw/<name>."""
    return Path(raw) / name
