"""Named lists of clips: which clips a number was computed on, written down, hashed and compared.

Two papers' "145 clips" may be two lists. A manifest is a CSV table of the clips of one label set of a release (columns
`COLUMNS`, sorted) and its hash the SHA-256 of these bytes, so that whoever has the release can make it and compare.
Other people's tables are read as well, see `read`.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from mer.base import reading
from mer.base.errors import MerError
from mer.datasets.class_sets import LabelSet, class_index
from mer.datasets.clips import Clip, whole

SHORT = 12  # digits of the hash that are shown
MEGC = {"0": "negative", "1": "positive", "2": "surprise"}  # what MEGC2019's table and those made from it say
OTHERS = {"database": "dataset", "sub": "subject", "clip": "clip_id", "filename_o": "clip_id", "filename": "clip_id",
          "label": "class"}  # names of columns in other people's tables


@dataclass(frozen=True)
class Listed:
    """A clip of a list: `clip_id` and `subject` as in data/index; `label` the class; frame numbers, None = not told."""

    dataset: str
    clip_id: str
    subject: str
    label: str
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None


COLUMNS = tuple({"label": "class"}.get(field.name, field.name) for field in fields(Listed))


def listed(clips: Iterable[Clip], labels: LabelSet) -> list[Listed]:
    """The clips that are in a label set."""
    found = [(clip, class_index(clip, labels)) for clip in clips]
    return [of_clip(clip, labels.names[index]) for clip, index in found if index is not None]


def of_clip(clip: Clip, label: str) -> Listed:
    """A clip of data/index with its class."""
    return Listed(clip.dataset, clip.clip_id, clip.subject.partition("/")[2], label, clip.onset, clip.apex, clip.offset)


def text(rows: Iterable[Listed]) -> str:
    """The manifest: a header and a line a clip, sorted by dataset and clip."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(["" if value is None else value for value in astuple(row)] for row in sorted(
        rows, key=lambda row: (row.dataset, row.clip_id)))
    return buffer.getvalue()


def digest(rows: Iterable[Listed]) -> str:
    """SHA-256 of the manifest, in hexadecimal digits."""
    return hashlib.sha256(text(rows).encode()).hexdigest()


def read(path: str | Path) -> list[Listed]:
    """A list from a file: a manifest; MEGC2019's table (no header: database, subject, clip, label); a table whose
    header names dataset or database, subject or sub, clip or filename, label or class, and perhaps onset, apex, offset.

    Labels 0, 1, 2 are MEGC2019's negative, positive, surprise.

    Raises:
        MerError: no such file, no table, a column or a cell that is missing, a clip that stands twice.
    """
    path = Path(path)
    try:
        lines = [line for line in csv.reader(reading.text(path, what="list").splitlines()) if any(line)]
    except FileNotFoundError:
        raise MerError(f"{path}: no such list; expected a file, or release and label set as casme2:3-megc") from None
    except csv.Error as error:
        raise MerError(f"{path}: not a CSV table ({error})") from None
    if not lines:
        raise MerError(f"{path}: empty; expected a row a clip")
    header = lines[0]
    names = [OTHERS.get(name.strip().lower(), name.strip().lower()) for name in header]
    if "clip_id" in names:
        lines = lines[1:]
    elif len(lines[0]) == 4:
        names = ["dataset", "subject", "clip_id", "class"]  # MEGC2019's, which has no header
    for name in ("dataset", "subject", "clip_id", "class"):
        if name not in names:
            raise MerError(f"{path}: no column for the {name}; found {', '.join(header)}")
    found: dict[tuple[str, str], Listed] = {}
    for number, line in enumerate(lines, 1):
        cells = dict(zip(names, (cell.strip() for cell in line), strict=False))
        row = _row(cells, f"{path}: row {number}")
        if found.setdefault((row.dataset, row.clip_id), row) is not row:
            raise MerError(f"{path}: row {number}: clip {row.clip_id} of {row.dataset} stands twice")
    return list(found.values())


def _row(cells: dict[str, str], where: str) -> Listed:
    for name in ("dataset", "subject", "clip_id", "class"):
        if not cells.get(name):
            raise MerError(f"{where}: the {name} is empty")
    numbers = {}
    for name in ("onset", "apex", "offset"):
        value = cells.get(name, "")
        number = whole(value)
        if value and (number is None or number < 0):
            raise MerError(f"{where}, column {name}: {value!r}; expected a frame number or nothing")
        numbers[name] = number
    dataset, subject, clip = cells["dataset"].lower(), cells["subject"], cells["clip_id"]
    return Listed(dataset, clip, subject, MEGC.get(cells["class"], cells["class"].lower()), **numbers)


@dataclass(frozen=True)
class Difference:
    """Of lists A and B: the clips in one only, and those in both with another class or with other frames, as pairs."""

    only_a: tuple[Listed, ...]
    only_b: tuple[Listed, ...]
    labels: tuple[tuple[Listed, Listed], ...]
    frames: tuple[tuple[Listed, Listed], ...]


def difference(a: Sequence[Listed], b: Sequence[Listed]) -> Difference:
    """What differs. A clip is the same under `sub01_EP02_01f` and, where the subject stands beside it, `EP02_01f`.

    A frame number that one of the lists does not tell is no difference.
    """
    ours, theirs = ({_key(row): row for row in rows} for rows in (a, b))
    both = [(ours[key], theirs[key]) for key in sorted(ours.keys() & theirs.keys())]
    frames = tuple(pair for pair in both if any(
        None not in (x, y) and x != y for x, y in zip(_frames(pair[0]), _frames(pair[1]), strict=True)))
    return Difference(tuple(ours[key] for key in sorted(ours.keys() - theirs.keys())),
                      tuple(theirs[key] for key in sorted(theirs.keys() - ours.keys())),
                      tuple(pair for pair in both if pair[0].label != pair[1].label), frames)


def _key(row: Listed) -> tuple[str, str]:
    name = row.clip_id.lower()
    return row.dataset, name if name.startswith(row.subject.lower()) else f"{row.subject.lower()}_{name}"


def _frames(row: Listed) -> tuple[int | None, int | None, int | None]:
    return row.onset, row.apex, row.offset


def told(a: Sequence[Listed], b: Sequence[Listed], names: tuple[str, str]) -> str:
    """The difference in lines, as `mer datasets diff` prints it."""
    found = difference(a, b)
    lines = [f"{name}: {len(rows)} clips of {len({(row.dataset, row.subject) for row in rows})} subjects, list "
             f"{digest(rows)[:SHORT]}" for name, rows in zip(names, (a, b), strict=True)]
    for name, rows in zip(names, (found.only_a, found.only_b), strict=True):
        lines += [f"only in {name}: {row.dataset} {row.clip_id} ({row.label})" for row in rows]
    lines += [f"class: {x.dataset} {x.clip_id}: {x.label} | {y.label}" for x, y in found.labels]
    lines += [f"frames: {x.dataset} {x.clip_id}: {_shown(x)} | {_shown(y)}" for x, y in found.frames]
    same = len(lines) == 2
    return "\n".join([*lines, "the same clips, classes and frames" if same else
                      f"{len(found.only_a)} and {len(found.only_b)} clips in one only, {len(found.labels)} with "
                      f"another class, {len(found.frames)} with other frames"])


def _shown(row: Listed) -> str:
    return "-".join("?" if number is None else str(number) for number in _frames(row))
