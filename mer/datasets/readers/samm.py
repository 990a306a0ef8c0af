"""SAMM (200 fps, gray): FACS workbook below notes of any length, frames named with four or five digits.

    SAMM_Micro_FACS_Codes_v2.xlsx
    SAMM/       006/006_1_2/006_05562.jpg     (images: raw)
    SAMM_CROP/  006/006_1_2/...               (images: cropped)
"""

from pathlib import Path

from mer.datasets.places import find_places, is_cropped
from mer.datasets.rules import Reading, Row, settle
from mer.datasets.tree import find_tables, newest_table
from mer.datasets.workbook import by_header, frame, read_sheets, text

DATASETS = {"samm": "micro"}
SIGNS = r"samm.*micro_facs.*|samm_crop|samm\.xlsx?"
FPS = 200.0
COLUMNS = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion")
OBJECTIVE = "Objective Classes"
TABLES = r"samm(.*micro_facs.*)?\.(xlsx?|csv)"
SUBJECT = r"\d{3}"


def read(root: Path, *, dataset: str, images: str) -> Reading:
    """Read SAMM's micro-expressions (not SAMM Long Videos, another product). Raises MerError, see the modules used."""
    notes: list[str] = []
    table = newest_table(find_tables(root, TABLES), root, "SAMM_Micro_FACS_Codes_v2.xlsx", notes, never="long")
    sheets = read_sheets(table)
    records = by_header(sheets.get("MICRO_ONLY", next(iter(sheets.values()))), COLUMNS, table, optional=OBJECTIVE)
    frames = find_places(
        root, SUBJECT, "006/006_1_2/006_05562.jpg" + (" in a folder named ..crop.." if images == "cropped" else ""),
        notes, levels=2, last=("clip",),
        accept=lambda folder: is_cropped(root, folder, SUBJECT) == (images == "cropped"))
    rows = []
    for record in records:
        subject, name = text(record["Subject"]).zfill(3), text(record["Filename"])
        rows.append(Row(
            name, subject, frames.find(subject, name), frame(record["Onset Frame"]),
            frame(record["Apex Frame"]), frame(record["Offset Frame"]), text(record["Estimated Emotion"]),
            text(record["Action Units"]), looked_for=frames.looked_for(subject, name),
            objective=text(record.get(OBJECTIVE))))
    clips, excluded = settle(rows, root=root, dataset=dataset, release="v2", fps=FPS)
    return Reading("v2", tuple(clips), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))
