"""4DME's micro-expressions in its gray videos (60 fps): a table of 267 rows, a folder a clip of the expression alone.

    4DME_Labelling_Micro_release v1.xlsx    sub_ID, fold_name, Emotion, Onset, Apex, Offset, AUs, then 0 or 1 in
                                            Positive, Negative, Surprise, Repression, Others and in a column a unit
    gray_micro/          S13_1st/001_01_1/..00482.jpg       (images: raw)
    gray_micro_crop/     the same tree                      (images: cropped)

Numbers in file names are the table's. An expression may show several emotions (`Surprise+Positive`): it is labelled
`multiple`, which no set of single emotions takes. Weak units keep their mark, `4(k)`. Sessions of one person (S13_1st,
S13_2nd) are one subject.

In two rows the cells from AUs on stand in each other's row. Where the emotions' columns are among those cells, this
shows: they contradict both rows' Emotion and agree with the neighbour's. Such a pair's units are put back.
"""

import re
from pathlib import Path
from typing import NamedTuple

from mer.base.errors import MerError
from mer.datasets.places import find_places, is_cropped
from mer.datasets.rules import Excluded, Reading, Row, settle
from mer.datasets.tree import find_tables, inside, newest_table
from mer.datasets.workbook import find_header, frame, read_sheets, text

DATASETS = {"fourdme": "micro"}
SIGNS = r"4dme.*|4d[-_ ]?micro.*|gray_micro.*"
FPS = 60.0
TABLES = r"4dme[-_ ]labelling[-_ ]micro(?!.*extra).*\.(xlsx?|csv)"  # the extras have self-reports, no frames
COLUMNS = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")
EMOTIONS = ("positive", "negative", "surprise", "repression", "others")
OTHERS = ("long", "macro", "depth", "color", "colour", "kinect", "rgb")  # the release's other videos of these people
SESSION = r"_\d+(st|nd|rd|th)$"


class _Record(NamedTuple):
    """A row that names a clip. `told`: the emotions of its Emotion; `marked`: those whose own column is set; `beyond`:
    whether these columns stand right of the action units."""

    sub: str
    fold: str
    emotion: str
    onset: int | None
    apex: int | None
    offset: int | None
    aus: str
    told: frozenset[str]
    marked: frozenset[str]
    beyond: bool


def read(root: Path, *, dataset: str, images: str) -> Reading:
    """Read 4DME's micro-expressions.

    Raises MerError when table or frames are not found, or the table lacks a column or names no clip.
    """
    notes: list[str] = []
    table = newest_table(find_tables(root, TABLES), root, "4DME_Labelling_Micro_release v1.xlsx", notes)
    records = _records(table)
    if not records:
        raise MerError(f"{table}: no row names a clip; expected sub_ID and fold_name in the rows below the header")
    people = "|".join(sorted({re.escape(record.sub) for record in records}))
    frames = find_places(
        root, people, "gray_micro/<sub_ID>/<fold_name>/..00482.jpg"
        + (" in a folder named ..crop.." if images == "cropped" else ""), notes, levels=2,
        accept=lambda folder: not any(word in inside(root, folder) for word in OTHERS)
        and is_cropped(root, folder, people) == (images == "cropped"))
    exchanged = _exchanged(records)
    rows = []
    for i, record in enumerate(records):
        rows.append(Row(
            f"{record.sub}_{record.fold}", re.sub(SESSION, "", record.sub, flags=re.IGNORECASE),
            frames.find(record.sub, record.fold), record.onset, record.apex, record.offset, _label(record),
            records[exchanged.get(i, i)].aus, ("aus_exchanged",) if i in exchanged else (), own_folder=True,
            looked_for=frames.looked_for(record.sub, record.fold)))
    differing = [rows[i].clip_id for i in _differing(records) if i not in exchanged]
    if differing:
        notes.append(f"{len(differing)} rows of {table.name} have another emotion in the emotions' own columns than in "
                     f"the column Emotion, which was read: {', '.join(differing[:3])}")
    kept, excluded = settle([row for row in rows if row.label], root=root, dataset=dataset, release="v1", fps=FPS)
    excluded += [Excluded(row.clip_id, "", "its table has no emotion") for row in rows if not row.label]
    return Reading("v1", tuple(kept), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _records(table: Path) -> list[_Record]:
    sheet = next(iter(read_sheets(table).values()))
    start, places = find_header(sheet, COLUMNS, table)
    header = [text(cell).lower() for cell in sheet[start]]
    columns = {name: header.index(name) for name in EMOTIONS if name in header}
    beyond = len(columns) == len(EMOTIONS) and min(columns.values()) > places[-1]
    records = []
    for cells in sheet[start + 1:]:
        full = [*cells, *[None] * len(header)]
        sub, fold, emotion, onset, apex, offset, aus = (full[place] for place in places)
        if sub is not None and fold is not None:
            words = re.findall(r"\w+", text(emotion).lower())
            records.append(_Record(
                text(sub), text(fold), text(emotion), frame(onset), frame(apex), frame(offset), text(aus),
                frozenset("others" if word == "other" else word for word in words),
                frozenset(name for name, place in columns.items() if frame(full[place])), beyond))
    return records


def _label(record: _Record) -> str:
    """The one emotion, `multiple` for several, '' for none; words that are no emotion stay, to be named."""
    emotions = record.told or record.marked
    if not emotions <= set(EMOTIONS):
        return record.emotion
    return "multiple" if len(emotions) > 1 else next(iter(emotions), "")


def _differing(records: list[_Record]) -> list[int]:
    return [i for i, record in enumerate(records) if record.told and record.marked and record.told != record.marked]


def _exchanged(records: list[_Record]) -> dict[int, int]:
    """Row -> the neighbouring row in which its action units stand."""
    found: dict[int, int] = {}
    differing = set(_differing(records))
    for i in sorted(differing):
        one, other = records[i], records[i + 1] if i + 1 in differing else None
        if other and one.beyond and i not in found and one.told == other.marked and other.told == one.marked:
            found |= {i: i + 1, i + 1: i}
    return found
