"""CASME II (200 fps): coding workbook of 2019 or 2014, frames of the raw or the cropped archive.

    CASME2-coding-20190701.xlsx, or CASME2-coding-20140508.xlsx / CASME2_label_Ver_2.xls
    CASME2-RAW/ or CASME2_RAW_selected/   sub01/EP02_01f/img46.jpg          (images: raw)
    Cropped/                              sub01/EP02_01f/reg_img46.jpg      (images: cropped)

Archives may be unpacked doubled. Numbers in file names are the table's frame numbers, without padding.
"""

from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.rules import Reading, Row, settle
from mer.datasets.tree import find_tables, frames_root, inside, newest_table, subfolders
from mer.datasets.workbook import by_header, frame, read_sheets, text

DATASETS = {"casme2": "micro"}
VARIANTS = ("auto", "2019", "2014")
SIGNS = r"casme2[-_ ]?(coding|label|raw).*"
FPS = 200.0
COLUMNS = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")
TABLES = r"casme2[-_ ]?(coding|label).*\.(xlsx?|csv)"
ONLY_2014 = ("sub24", "EP02_07")  # the row that the 2019 table dropped


def read(root: Path, *, dataset: str, images: str, variant: str) -> Reading:
    """Read CASME II; `variant` 'auto' takes the newest table, '2019' or '2014' that one.

    Raises MerError when table or frames are not found, or the table lacks a column.
    """
    notes: list[str] = []
    tables = find_tables(root, TABLES)
    years = {table: year for table in tables if (year := _year(table))}
    if variant != "auto":
        tables = [table for table in tables if years.get(table) == variant]
    # by year, because of the older tables one is called label_Ver_2, which sorts last
    tables.sort(key=lambda table: years.get(table, ""))
    table = newest_table(tables, root, f"CASME2-coding-20190701.xlsx (index.casme2 = {variant})", notes)
    sheet = next(iter(read_sheets(table).values()))
    records = by_header(sheet, COLUMNS, table)
    has_2014_row = ONLY_2014 in {(_subject(record["Subject"]), record["Filename"]) for record in records}
    release = years.get(table) or ("2014" if has_2014_row else "2019")
    if has_2014_row != (release == "2014"):
        notes.append(f"row sub24/EP02_07, which only the 2014 table has, is {'present' if has_2014_row else 'missing'} "
                     f"in {table.name}, read as the table of {release}")
    frames = frames_root(
        root, r"sub\d\d", "CASME2-RAW/sub01/EP02_01f/img1.jpg" if images == "raw" else
        "Cropped/sub01/EP02_01f/reg_img1.jpg", notes, last="selected",
        accept=lambda folder: ("crop" in inside(root, folder)) == (images == "cropped"))
    subjects = subfolders(frames)
    clips_of = {name: subfolders(folder) for name, folder in subjects.items()}
    rows = []
    for record in records:
        subject, name = _subject(record["Subject"]), text(record["Filename"])
        rows.append(Row(
            f"{subject}_{name}", subject, clips_of.get(subject, {}).get(name.lower()), frame(record["OnsetFrame"]),
            frame(record["ApexFrame"]), frame(record["OffsetFrame"]), text(record["Estimated Emotion"]),
            text(record["Action Units"]), looked_for=f"{inside(root, frames)}/{subject}/{name}"))
    clips, excluded = settle(rows, root=root, dataset=dataset, release=release, fps=FPS)
    return Reading(release, tuple(clips), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _year(table: Path) -> str | None:
    """The version that a table's name tells, None for a name without one ('CASME2-coding.xlsx')."""
    name = table.name.lower()
    if "2019" in name:
        return "2019"
    return "2014" if any(word in name for word in ("2014", "ver_2", "updated")) else None


def _subject(cell: object) -> str:
    """'sub01' from 1 (2019 table) or '01' (2014 table)."""
    number = frame(cell)
    if number is None:
        raise MerError(f"CASME II table: column Subject holds '{cell}', expected a number")
    return f"sub{number:02d}"
