"""CAS(ME)^2 (30 fps): long videos as frames, expressions in a workbook without headers, joined by two more sheets.

    CAS(ME)^2code_final.xlsx
        sheet 1: subject index, expression (disgust1_1), onset, apex, offset, AUs, emotion, type
        sheet 2: subject number, folder (s15), subject index
        sheet 3: video code (0101, often stored as the number 101), video (disgust1)
    rawpic/s15/15_0101disgustingteeth/img001.jpg      (images: raw; cropped: the same tree below a ..crop.. folder)

Dataset casme_sq reads the micro-expressions, casme_sq_macro the macro-expressions of the same videos, casme_sq_long
both, for those who look for expressions in a video: the clips of a video share its folder.
"""

import re
from collections import Counter
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import Clip
from mer.datasets.places import find_places, is_cropped
from mer.datasets.rules import LONGEST, Excluded, Reading, Row, settle
from mer.datasets.tree import find_tables, newest_table
from mer.datasets.workbook import Cell, frame, read_sheets, text

DATASETS = {"casme_sq": "micro", "casme_sq_macro": "macro", "casme_sq_long": "long"}
PEOPLE = {"casme_sq_macro": "casme_sq", "casme_sq_long": "casme_sq"}
SIGNS = r"cas\(me\)\^?2.*|rawpic|(casme2)?[-_ ]?code_?final.*"
TABLES = r"(cas\(me\)\^?2|casme[-_ ]?2|cas_?me_?sq)?[-_ ]?code_?final.*\.xlsx?"
SUBJECT = r"s\d\d"
FPS = 30.0
TYPES = {"casme_sq": ("micro",), "casme_sq_macro": ("macro",), "casme_sq_long": ("micro", "macro")}


def read(root: Path, *, dataset: str, images: str) -> Reading:
    """Read the expressions of one type or of both, whose labels then begin with it, as in 'micro negative'.

    Raises MerError for missing sheets and names that the naming sheets lack.
    """
    notes: list[str] = []
    table = newest_table(find_tables(root, TABLES), root, "CAS(ME)^2code_final.xlsx", notes)
    sheets = list(read_sheets(table).values())
    if len(sheets) < 3:
        raise MerError(f"{table} has {len(sheets)} sheets, expected 3: expressions, naming rule1, naming rule2")
    folder_of = {cells[2]: text(cells[1]).lower() for cells in _rows(sheets[1], 3)}
    code_of = {text(cells[1]).lower(): text(cells[0]).zfill(4) for cells in _rows(sheets[2], 2)}
    frames = find_places(
        root, SUBJECT, "rawpic/s15/15_0101disgustingteeth/img001.jpg", notes, levels=2,
        accept=lambda folder: is_cropped(root, folder, SUBJECT) == (images == "cropped"))
    videos = {(subject, match[1]): path for (subject, name), path in frames.folders.items()
              if (match := re.match(r"\d+_(\d{4})", name))}  # 15_0101disgustingteeth
    types = {f"{kind}-expression": kind for kind in TYPES[dataset]}
    wanted = [cells for cells in _rows(sheets[0], 8) if text(cells[7]).lower() in types]
    repeated = Counter((cells[0], text(cells[1])) for cells in wanted)
    rows: dict[str, list[Row]] = {kind: [] for kind in types.values()}
    for cells in wanted:
        name = text(cells[1])
        video = name.rsplit("_", 1)[0].lower()
        if cells[0] not in folder_of or video not in code_of:
            raise MerError(f"{table}: expression '{name}' of subject {cells[0]} is not in the naming sheets; expected "
                           f"the subject in the third column of sheet 2, video '{video}' in the second of sheet 3")
        subject, code = folder_of[cells[0]], code_of[video]
        clip_id = f"{subject}_{name}" + (f"_{cells[2]}" if repeated[cells[0], name] > 1 else "")
        kind = types[text(cells[7]).lower()]
        label = text(cells[6]) if len(types) == 1 else f"{kind} {text(cells[6])}"
        rows[kind].append(Row(clip_id, subject, videos.get((subject, code)), frame(cells[2]), frame(cells[3]),
                              frame(cells[4]), label, text(cells[5]),
                              looked_for=frames.looked_for(subject, f"..._{code}...")))
    clips: list[Clip] = []
    excluded: list[Excluded] = []
    for kind, of_kind in rows.items():
        kept, left = settle(of_kind, root=root, dataset=dataset, release="final", fps=FPS,
                            longest=LONGEST if kind == "micro" else None)
        clips, excluded = clips + kept, excluded + left
    return Reading("final", tuple(clips), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _rows(sheet: list[list[Cell]], width: int) -> list[list[Cell]]:
    """Rows with a first cell, filled up to `width`."""
    return [[*row, *[None] * width] for row in sheet if row and row[0] is not None]
