"""CASME, the first (60 fps): a table of 189 rows, a folder a clip that holds little more than the expression.

    casme.xlsx      Subject, Filename, -, OnsetF, ApexF1, ApexF2, OffsetF, -, action units, Emotion
    CASME_raw_selected/   sub01/EP01_5/EP01_5-108.jpg             (images: raw)
    Cropped/              sub01/EP01_5/reg_EP01_5-108.jpg         (images: cropped)

Numbers in file names are the table's, padded or not. A second apex tells until when the first one lasts; it is not
read. A few rows name frames that their folder does not have: the folder is taken whole.
"""

import re
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.places import find_places, is_cropped
from mer.datasets.rules import Reading, Row, settle
from mer.datasets.tree import find_tables, newest_table
from mer.datasets.workbook import Cell, find_header, frame, read_sheets, text

DATASETS = {"casme": "micro"}
SIGNS = r"casme1?\.(xlsx?|csv)|casme1?[-_ ]?raw[-_ ]?selected"
FPS = 60.0
TABLES = r"casme1?([-_ ]?(coding|label).*)?\.(xlsx?|csv)"
SUBJECT = r"sub\d\d"
COLUMNS = ("Subject", "Filename", "OnsetF", "ApexF1", "OffsetF", "Emotion")


def read(root: Path, *, dataset: str, images: str) -> Reading:
    """Read CASME. Raises MerError when table or frames are not found, or the table lacks a column."""
    notes: list[str] = []
    table = newest_table(find_tables(root, TABLES), root, "casme.xlsx", notes)
    frames = find_places(
        root, SUBJECT, "CASME_raw_selected/sub01/EP01_5/EP01_5-108.jpg" if images == "raw" else
        "Cropped/sub01/EP01_5/reg_EP01_5-108.jpg", notes, levels=2,
        accept=lambda folder: is_cropped(root, folder, SUBJECT) == (images == "cropped"))
    sheet = next(iter(read_sheets(table).values()))
    start, places = find_header(sheet, COLUMNS, table)
    units = next((i for i, cell in enumerate(sheet[start]) if re.match("au|action", text(cell), re.IGNORECASE)), None)
    rows = []
    for line, cells in enumerate(sheet[start + 1:], start + 2):
        full = [*cells, *[None] * len(sheet[start])]
        number, name, onset, apex, offset, emotion = (full[place] for place in places)
        if number is None and name is None:
            continue
        subject = _subject(number, table, line)
        rows.append(Row(
            f"{subject}_{text(name)}", subject, frames.find(subject, text(name)), frame(onset), frame(apex),
            frame(offset), text(emotion), "" if units is None else text(full[units]), own_folder=True,
            looked_for=frames.looked_for(subject, text(name))))
    clips, excluded = settle(rows, root=root, dataset=dataset, release="2013", fps=FPS)
    return Reading("2013", tuple(clips), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _subject(cell: Cell, table: Path, line: int) -> str:
    number = frame(cell)
    if number is None:
        raise MerError(f"{table}: row {line}, column Subject holds '{text(cell)}', expected a number")
    return f"sub{number:02d}"
