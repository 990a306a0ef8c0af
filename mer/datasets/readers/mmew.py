"""MMEW (90 fps): micro-expressions as short clips with their own frame numbers, macro-expressions as single images.

    MMEW_Micro_Exp.xlsx
    Micro_Expression/happiness/S03-01-002/1.jpg           or, as its site describes it,
    Micro_Expression/S03/happiness/S03-01-002/1.jpg
    Macro_Expression/S03/happiness/S03-01-001.jpg

The table calls `others` what the folder calls `repression`; clips are joined by their name, so that the emotion level
does not matter. Dataset mmew reads the micro clips, mmew_macro the macro images (of the same persons: no use for
pretraining a model that is tested on mmew).
"""

import os
import re
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import IMAGE_SUFFIXES, frame_number
from mer.datasets.places import find_places
from mer.datasets.rules import Reading, Row, settle
from mer.datasets.tree import find_tables, holders, inside, newest_table, subfolders, unreadable
from mer.datasets.workbook import by_header, frame, read_sheets, text

DATASETS = {"mmew": "micro", "mmew_macro": "macro"}
PEOPLE = {"mmew_macro": "mmew"}
SIGNS = r"mmew.*|(micro|macro)_expression"
FPS = 90.0
COLUMNS = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")
CLIP = r"s\d+-\d+-\d+"
LAYOUT = "Micro_Expression/happiness/S03-01-002/1.jpg"


def read(root: Path, *, dataset: str) -> Reading:
    """Read the micro-expressions, or the macro images when the dataset is mmew_macro. Raises MerError."""
    notes: list[str] = []
    if dataset == "mmew_macro":
        return _read_macro(root, dataset)
    table = newest_table(find_tables(root, r"mmew_micro_exp.*\.(xlsx?|csv)"), root, "MMEW_Micro_Exp.xlsx", notes)
    records = by_header(next(iter(read_sheets(table).values())), COLUMNS, table)
    find_places(root, CLIP, LAYOUT, [], levels=0)  # says what is missing when there is no clip at all
    folders: dict[str, Path] = {}
    for holder in holders(root, CLIP, accept=lambda folder: "macro" not in inside(root, folder)):
        for name, path in subfolders(holder).items():
            if name in folders:
                raise MerError(f"{path} and {folders[name]} are the same clip; keep one of the two layouts")
            folders[name] = path
    rows = []
    for record in records:
        name = text(record["Filename"])
        rows.append(Row(
            name, name.split("-")[0].upper(), folders.get(name.lower()), frame(record["OnsetFrame"]),
            frame(record["ApexFrame"]), frame(record["OffsetFrame"]), text(record["Estimated Emotion"]),
            text(record["Action Units"]), own_folder=True, looked_for=f"Micro_Expression/.../{name}"))
    clips, excluded = settle(rows, root=root, dataset=dataset, release="micro", fps=FPS)
    return Reading("micro", tuple(clips), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _read_macro(root: Path, dataset: str) -> Reading:
    """Every image below a folder named ..macro.. is a clip of one frame; its folder is its label."""
    rows = []
    for folder, children, names in os.walk(root, onerror=unreadable):
        children.sort()
        path = Path(folder)
        if "macro" not in inside(root, path):
            continue
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in IMAGE_SUFFIXES and re.fullmatch(CLIP, stem, re.IGNORECASE):
                number = frame_number(name)
                rows.append(Row(stem, stem.split("-")[0].upper(), path, number, None, number, path.name.lower(),
                                flags=("single_frame",)))
    if not rows:
        raise MerError(f"{root}: no images found in the layout Macro_Expression/S03/happiness/S03-01-001.jpg")
    clips, excluded = settle(rows, root=root, dataset=dataset, release="macro", fps=FPS)
    return Reading("macro", tuple(clips), tuple(excluded))
