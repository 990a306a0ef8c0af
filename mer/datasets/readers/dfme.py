"""DFME (200, 300 or 500 fps, told row by row): the part released for CCAC 2024, training and test sets A and B.

    training_full_with_AU.xlsx, testA_full_with_AU.xlsx, testB_full_with_AU.xlsx      (also DFME_test_A_full_with_AU)
    DFME_train/sub0003_01/00109.png, test_data_A/sub0096_03/00000.png, test_data_B/...

Numbers in file names are the tables' frame numbers, from 0. Faces are not cropped. The sets show different people; a
clip is flagged train, test1 (set A) or test2 (set B), which `protocol: official` takes. A set whose table is not there,
or has no emotions, as for those who took part, gives no clip.
"""

import re
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.places import Places, find_places
from mer.datasets.rules import Excluded, Reading, Row, settle
from mer.datasets.tree import find_tables, newest_table
from mer.datasets.workbook import Cell, find_header, frame, read_sheets, text

DATASETS = {"dfme": "micro"}
SIGNS = r"dfme.*|(training|test_?[ab])_full_with_au.*"
SETS = {"train": ("train", r"train(ing)?"), "a": ("test1", r"test[-_ ]?a"), "b": ("test2", r"test[-_ ]?b")}
TABLE = r"(dfme[-_ ]?)?{}[-_ ]?full[-_ ]?with[-_ ]?au.*\.(xlsx?|csv)"
CLIP = r"sub\d+_\d+"
COLUMNS = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "Fps")


def read(root: Path, *, dataset: str) -> Reading:
    """Read the sets whose tables are there; the release is named after them, such as train-a-b.

    Raises MerError when there is no table or no frame, or a table lacks a column or a row its frame rate.
    """
    notes: list[str] = []
    found = {name: find_tables(root, TABLE.format(pattern)) for name, (_, pattern) in SETS.items()}
    if not any(found.values()):
        newest_table([], root, "training_full_with_AU.xlsx", notes)
    tables = {name: newest_table(paths, root, "", notes) for name, paths in found.items() if paths}
    frames = find_places(root, CLIP, "DFME_train/sub0003_01/00109.png", notes, levels=1)
    rows: dict[float, list[Row]] = {}
    people: dict[str, set[str]] = {}
    for name, table in tables.items():
        of_set = _rows(table, SETS[name][0], frames)
        people[name] = {row.subject for _, row in of_set}
        notes.append(f"{table.name} holds {len(of_set)} clips of {len(people[name])} subjects")
        for fps, row in of_set:
            rows.setdefault(fps, []).append(row)
    both = sorted(people.get("train", set()) & (people.get("a", set()) | people.get("b", set())))
    if both:
        notes.append(f"{len(both)} subjects are in the training set and in a test set: {', '.join(both[:3])}")
    release = "-".join(tables)
    clips, excluded = [], []
    for fps, of_rate in sorted(rows.items()):
        kept, left = settle([row for row in of_rate if row.label], root=root, dataset=dataset, release=release, fps=fps)
        clips += kept
        excluded += left + [Excluded(row.clip_id, "", "its table has no emotion") for row in of_rate if not row.label]
    files = tuple(path.relative_to(root).as_posix() for path in tables.values())
    return Reading(release, tuple(clips), tuple(excluded), files, tuple(notes))


def _rows(table: Path, flag: str, frames: Places) -> list[tuple[float, Row]]:
    """(frames per second, row) of every clip of a table; the action units stand in the columns from AU on."""
    sheet = next(iter(read_sheets(table).values()))
    start, places = find_header(sheet, COLUMNS, table)
    units = next((i for i, cell in enumerate(sheet[start]) if re.match("au", text(cell), re.IGNORECASE)), None)
    found = []
    for line, cells in enumerate(sheet[start + 1:], start + 2):
        full = [*cells, *[None] * len(sheet[start])]
        subject, name, onset, apex, offset, emotion, fps = (full[place] for place in places)
        if name is None:
            continue
        aus = "" if units is None else "+".join(text(cell) for cell in cells[units:] if cell is not None)
        found.append((_fps(fps, table, line), Row(
            text(name), text(subject), frames.find(text(name)), frame(onset), frame(apex), frame(offset), text(emotion),
            aus, flags=(flag,), looked_for=frames.looked_for(text(name)))))
    return found


def _fps(cell: Cell, table: Path, line: int) -> float:
    found = frame(cell)
    if not found:
        raise MerError(f"{table}: row {line}, column Fps holds '{text(cell)}'; expected frames per second, such as 200")
    return float(found)
