"""MMME's micro-expressions (about 150 fps, measured film by film): a table, and films as folders of frames.

    coding_file.xlsx    Subject, Filename (.avi), Marker, OnsetTime .. (seconds), OnsetFrame .., Action Units,
                        Estimated Emotion
    frames/Micro/video_happy_s0120230718_129_49.60_49.85_50.10_147/00001.png     a film an expression, preferred
    frames/s01_20230718/00001.png                                                a film the table's Filename names

`mer datasets frames` makes them of the .avi files; where they lie below the root does not matter. The name of an
expression's film is emotion, subject and day, marker, times of onset, apex and offset, and mostly its frames a second;
it begins at the onset and ends at the offset, so that its apex lies where the times put it. In the longer films the
frame is the last number of 16-00-31-433-685 (hours, minutes, seconds, milliseconds, frame); a cell of four numbers
tells none.

The table also holds macro-expressions: told by its column Macro/Micro, by the film's folder, else by how long they
last. They are not read.
"""

import math
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import frame_names
from mer.datasets.places import find_places
from mer.datasets.rules import BRIEF, Reading, Row, settle
from mer.datasets.tree import find_tables, holders, newest_table, video_files
from mer.datasets.workbook import Cell, find_header, frame, read_sheets, text

DATASETS = {"mmme": "micro"}
SIGNS = r"mmme.*|(mmme[-_ ]?)?coding[-_ ]?file.*\.(xlsx?|csv)"
FPS = 150.0  # the camera's; the films have 98 to 150
TABLES = r"(mmme[-_ ]?)?coding[-_ ]?file.*\.(xlsx?|csv)"
COLUMNS = ("Subject", "Filename", "Marker", "OnsetTime", "ApexTime", "OffsetTime", "OnsetFrame", "ApexFrame",
           "OffsetFrame", "Action Units", "Estimated Emotion")
FILM = r"(?:video_)?[a-z]+_(.+_\d+\.\d\d_\d+\.\d\d_\d+\.\d\d)(?:_(\d{2,3}))?"
KINDS = ("macro/micro", "micro/macro", "expressiontype", "type")
STAMP = re.compile(r"\d{1,2}-\d{1,2}-\d{1,2}-\d{1,3}-(\d+)")
LONGEST_TIME = 1e6  # seconds


@dataclass(frozen=True)
class _Record:
    """A row of the table. `key`: its film's name from the subject on; `times`: onset, apex, offset in seconds."""

    key: str
    subject: str
    film: str
    times: tuple[float | None, ...]
    frames: tuple[int | None, ...]
    aus: str
    emotion: str
    kind: str


def read(root: Path, *, dataset: str) -> Reading:
    """Read MMME's micro-expressions.

    Raises MerError when table or frames are not found (and how to make them of the films), or the table lacks a column.
    """
    notes: list[str] = []
    table = newest_table(find_tables(root, TABLES), root, "coding_file.xlsx", notes)
    records = list(_records(table))
    if not records:
        raise MerError(f"{table}: no row names a film; expected Subject and Filename in the rows below the header")
    single = bool(holders(root, FILM))
    names = FILM if single else "|".join(sorted({re.escape(record.film) for record in records}))
    if not single and not holders(root, names) and any(video_files(root)):
        raise MerError(f"{root}: the films are there, their frames are not; make them with: "
                       f"mer datasets frames {shlex.quote(str(root))} {shlex.quote(str(root / 'frames'))}")
    places = find_places(root, names, "frames/Micro/video_happy_s0120230718_129_49.60_49.85_50.10_147/00001.png", notes,
                         levels=1)
    films = {match[1]: (folder, match[2]) for (name,), folder in places.folders.items()
             if (match := re.fullmatch(FILM, name))}
    rows: dict[float, list[Row]] = {}
    passed = 0
    for record in records:
        folder, rate = films.get(record.key, (None, None)) if single else (places.find(record.film), None)
        if not _is_micro(record, folder, root):
            passed += 1
            continue
        fps = float(rate or 0) or FPS
        onset, apex, offset = _of_own_film(record, folder) if single else record.frames
        rows.setdefault(fps, []).append(Row(
            record.key, record.subject, folder, onset, apex, offset, record.emotion, record.aus,
            () if fps == float(rate or 0) else ("fps_nominal",), own_folder=single,
            looked_for=places.looked_for(f"video_{record.emotion}_{record.key}" if single else record.film)))
    if passed:
        notes.append(f"{passed} of the {len(records)} rows of {table.name} are macro-expressions and were not read")
    clips, excluded = [], []
    for fps, of_rate in sorted(rows.items()):
        kept, left = settle(of_rate, root=root, dataset=dataset, release="2025", fps=fps)
        clips += kept
        excluded += left
    return Reading("2025", tuple(clips), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _records(table: Path) -> Iterator[_Record]:
    sheet = next(iter(read_sheets(table).values()))
    start, places = find_header(sheet, COLUMNS, table)
    header = [re.sub(r"[\s_]+", "", text(cell)).lower() for cell in sheet[start]]
    kind = next((header.index(name) for name in KINDS if name in header), None)
    for cells in sheet[start + 1:]:
        full = [*cells, *[None] * len(header)]
        subject, film, marker, *numbers, aus, emotion = (full[place] for place in places)
        if subject is None or film is None:
            continue
        stem = re.sub(r"\.(avi|mp4)$", "", text(film), flags=re.IGNORECASE)
        day = re.match(r"\d{8}", stem.rsplit("_", 1)[-1])
        times = tuple(_seconds(cell) for cell in numbers[:3])
        told = "_".join("-" if time is None else f"{time:.2f}" for time in times)
        yield _Record(f"{text(subject)}{day[0] if day else ''}_{text(marker)}_{told}".lower(), text(subject), stem,
                      times, tuple(_stamped(cell) for cell in numbers[3:]), text(aus), text(emotion),
                      "" if kind is None else text(full[kind]).lower())


def _seconds(cell: Cell) -> float | None:
    try:
        time = float(text(cell))
    except ValueError:
        return None
    return time if math.isfinite(time) and 0 <= time < LONGEST_TIME else None


def _stamped(cell: Cell) -> int | None:
    """The frame of 16-00-31-433-685, or of a plain number."""
    match = STAMP.fullmatch(text(cell))
    return frame(match[1] if match else cell)


def _is_micro(record: _Record, folder: Path | None, root: Path) -> bool:
    """By the table's column, the names of the folders above the film's, or at most BRIEF seconds; else yes."""
    above = folder.relative_to(root).as_posix().lower().split("/")[:-1] if folder else []
    for told in (record.kind, *reversed(above)):
        if told.startswith(("micro", "macro")):
            return told.startswith("micro")
    onset, _, offset = record.times
    return onset is None or offset is None or round(offset - onset, 2) <= BRIEF


def _of_own_film(record: _Record, folder: Path | None) -> tuple[int | None, int | None, int | None]:
    """Onset, apex and offset in a film of the expression alone: first frame, where the times put the apex, last."""
    numbers = list(frame_names(folder)) if folder else []
    if not numbers:
        return None, None, None
    onset, apex, offset = record.times
    if onset is None or apex is None or offset is None or not onset < offset or not onset <= apex <= offset:
        return numbers[0], None, numbers[-1]
    return numbers[0], numbers[0] + round((apex - onset) / (offset - onset) * (numbers[-1] - numbers[0])), numbers[-1]
