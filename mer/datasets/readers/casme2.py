"""CASME II (200 fps): coding workbook of 2019 or 2014, frames of the raw or the cropped archive.

    CASME2-coding-20190701.xlsx, or CASME2-coding-20140508.xlsx / CASME2_label_Ver_2.xls
    CASME2-ObjectiveClasses.xlsx (optional: Subject, Filename, Objective Class)
    CASME2-RAW/ or CASME2_RAW_selected/   sub01/EP02_01f/img46.jpg          (images: raw)
    Cropped/                              sub01/EP02_01f/reg_img46.jpg      (images: cropped)

Archives may be unpacked doubled. Numbers in file names are the table's frame numbers, without padding. The tables of
2019 and 2014 have 255 rows each, a third, `updated`, which few people have, that of 2014 and sub24/EP02_07. Files are
renamed and re-sent, so what tells them apart is what they hold.
"""

from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.places import find_places, is_cropped
from mer.datasets.rules import Reading, Row, settle
from mer.datasets.tree import find_tables, newest_table
from mer.datasets.workbook import Cell, by_header, frame, read_sheets, text

DATASETS = {"casme2": "micro"}
VARIANTS = ("auto", "2019", "2014", "updated")
SIGNS = r"casme[-_ ]?(2|ii)[-_ ]?(coding|label|raw|objective).*"
FPS = 200.0
SUBJECT = r"sub\d\d"
COLUMNS = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")
TABLES = r"casme[-_ ]?(2|ii)[-_ ]?(coding|label).*\.(xlsx?|csv)"
OBJECTIVE = r"casme[-_ ]?(2|ii)[-_ ]?objective.*\.(xlsx?|csv)"
RELABELLED = {("sub24", name) for name in ("EP07_01", "EP07_04f", "EP10_03")}  # sadness in 2014, surprise in 2019
ADDED = ("sub24", "EP02_07")  # disgust, in the updated table alone
AGES = ("updated", "2014", "2019")  # the last one found is read


def read(root: Path, *, dataset: str, images: str, variant: str) -> Reading:
    """Read CASME II; `variant` 'auto' takes the newest table, '2019', '2014' or 'updated' that one.

    Raises MerError when table or frames are not found, or the table lacks a column.
    """
    notes: list[str] = []
    table, release, records = _newest(root, variant, notes)
    objective, classes = _objective(root, notes)
    frames = find_places(
        root, SUBJECT, "CASME2-RAW/sub01/EP02_01f/img1.jpg" if images == "raw" else
        "Cropped/sub01/EP02_01f/reg_img1.jpg", notes, levels=2, last=("selected", "updated"),
        accept=lambda folder: is_cropped(root, folder, SUBJECT) == (images == "cropped"))
    rows = []
    for record in records:
        subject, name = _subject(record["Subject"]), text(record["Filename"])
        rows.append(Row(
            f"{subject}_{name}", subject, frames.find(subject, name), frame(record["OnsetFrame"]),
            frame(record["ApexFrame"]), frame(record["OffsetFrame"]), text(record["Estimated Emotion"]),
            text(record["Action Units"]), looked_for=frames.looked_for(subject, name),
            objective=classes.get((subject, name), "")))
    if classes and (without := sum(not row.objective for row in rows)):
        notes.append(f"{without} rows have no objective class in {', '.join(path.name for path in objective)}")
    clips, excluded = settle(rows, root=root, dataset=dataset, release=release, fps=FPS)
    tables = tuple(path.relative_to(root).as_posix() for path in (table, *objective))
    return Reading(release, tuple(clips), tuple(excluded), tables, tuple(notes))


def _objective(root: Path, notes: list[str]) -> tuple[list[Path], dict[tuple[str, str], str]]:
    """(the table, (subject, file) -> objective class); empty where there is none, or, as `notes` say, no such table."""
    tables = find_tables(root, OBJECTIVE)
    try:
        table = newest_table(tables, root, "", notes) if tables else None
        records = by_header(next(iter(read_sheets(table).values())), ("Subject", "Filename", "Objective Class"),
                            table) if table else []
        return tables[-1:], {(_subject(record["Subject"]), text(record["Filename"])): text(record["Objective Class"])
                             for record in records}
    except MerError as error:
        notes.append(f"not read: {error}")
        return [], {}


def _newest(root: Path, variant: str, notes: list[str]) -> tuple[Path, str, list[dict[str, Cell]]]:
    """(table, version, its rows) of the newest table, or of the newest of the version `variant`."""
    found, unread = [], []
    for table in find_tables(root, TABLES):
        try:
            records = by_header(next(iter(read_sheets(table).values())), COLUMNS, table)
            found.append((AGES.index(version := _version(records, table)), table, version, records))
        except MerError as error:
            unread.append(error)
    wanted = [entry for entry in found if variant in ("auto", entry[2])]
    if not wanted and unread:
        raise unread[0]
    notes += [str(error) for error in unread]
    wanted.sort(key=lambda entry: entry[0])
    newest_table([table for _, table, *_ in wanted], root,
                         f"CASME2-coding-20190701.xlsx (index.casme2 = {variant})", notes, never=OBJECTIVE)
    return wanted[-1][1:]


def _version(records: list[dict[str, Cell]], table: Path) -> str:
    """The version that a table's rows tell, or, when the rows that differ are not there, its name."""
    emotions = {(_subject(record["Subject"]), text(record["Filename"])): text(record["Estimated Emotion"]).lower()
                for record in records}
    told = {emotions[key] for key in RELABELLED if key in emotions}
    if told == {"surprise"} or (told != {"sadness"} and "2014" not in table.name and ADDED not in emotions):
        return "2019"
    return "updated" if ADDED in emotions else "2014"


def _subject(cell: object) -> str:
    """'sub01' from 1 (2019 table) or '01' (2014 table)."""
    number = frame(cell)
    if number is None:
        raise MerError(f"CASME II table: column Subject holds '{cell}', expected a number")
    return f"sub{number:02d}"
