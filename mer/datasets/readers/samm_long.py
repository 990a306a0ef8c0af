"""SAMM Long Videos (200 fps): whole videos as frames, a workbook of micro- and macro-expressions below some notes.

    SAMM_LongVideos_V3_Release.xlsx                  sheet FACS_Movement_Only; the newest of V1, V2, V3 is read
    SAMM_longvideos/020_6/020_6_0001.jpg             four or five digits, counted from 1
    SAMM_Micro_FACS_Codes_v2.xlsx                    optional, SAMM's own table: the emotions of the micro-expressions

Expression 020_6_5 lies in video 020_6, whose clips share its folder. Onset 0 and apex -1 mean: not seen. Labels are
macro and micro, or, with SAMM's own table, which names the expressions the same, such as 'micro anger'.
"""

from collections import Counter
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import Clip
from mer.datasets.places import Places, find_places
from mer.datasets.rules import LONGEST, Excluded, Reading, Row, settle
from mer.datasets.tree import find_tables, newest_table
from mer.datasets.workbook import Cell, by_header, frame, read_sheets, text

DATASETS = {"samm_long": "long"}
PEOPLE = {"samm_long": "samm"}
SIGNS = r"samm[-_ ]?long[-_ ]?videos?.*"
FPS = 200.0
COLUMNS = ("Subject", "Filename", "Onset", "Apex", "Offset", "Type", "Action Units")
SHORT_COLUMNS = ("Filename", "Onset Frame", "Estimated Emotion")
TABLES, SHORT_TABLES = r"samm[-_ ]?long[-_ ]?videos?.*\.(xlsx?|csv)", r"samm(.*micro_facs.*)?\.(xlsx?|csv)"
TABLE = "SAMM_LongVideos_V3_Release.xlsx"
VIDEO = r"\d{3}_\d+"
KINDS = {"micro": LONGEST, "macro": None}  # what the type's first word may be; seconds an expression lasts at most


def read(root: Path, *, dataset: str) -> Reading:
    """Read the micro- and macro-expressions.

    Raises MerError when table or frames are not found, SAMM's own table stands in the place of the long videos' one, a
    column is missing, or a row's subject or type is none.
    """
    notes: list[str] = []
    shorts, longs = find_tables(root, SHORT_TABLES), find_tables(root, TABLES)
    table = newest_table(longs or shorts, root, TABLE, notes)
    records = _records(table)
    short = newest_table(shorts, root, "", notes) if shorts and table not in shorts else None
    emotions = _emotions(short) if short else {}
    frames = find_places(root, VIDEO, "SAMM_longvideos/020_6/020_6_0001.jpg", notes, levels=1, last=("crop",))
    rows: dict[str, list[Row]] = {kind: [] for kind in KINDS}
    repeated = Counter(text(record["Filename"]) for record in records)
    for record in records:
        name = text(record["Filename"])
        kind = _kind(record["Type"], table, name)
        label = f"{kind} {emotions.get(name, '')}".strip() if kind == "micro" else kind
        rows[kind].append(_row(record, table, frames, label, f"_{record['Onset']}" if repeated[name] > 1 else ""))
    if short:
        joined = sum(" " in row.label for row in rows["micro"])
        notes.append(f"{short.name} tells the emotions of {joined} of {len(rows['micro'])} micro-expressions")
    clips: list[Clip] = []
    excluded: list[Excluded] = []
    for kind, longest in KINDS.items():
        kept, left = settle(rows[kind], root=root, dataset=dataset, release="long", fps=FPS, longest=longest)
        clips, excluded = clips + kept, excluded + left
    tables = tuple(path.relative_to(root).as_posix() for path in (table, short) if path)
    return Reading("long", tuple(clips), tuple(excluded), tables, tuple(notes))


def _records(table: Path) -> list[dict[str, Cell]]:
    sheets = read_sheets(table)
    sheet = sheets.get("FACS_Movement_Only", next(iter(sheets.values())))
    if any("estimated emotion" in (text(cell).lower() for cell in row) for row in sheet):
        raise MerError(f"{table} is SAMM's own table, of its short clips (dataset samm); expected that of the long "
                       f"videos, {TABLE}")
    return [record for record in by_header(sheet, COLUMNS, table) if record["Filename"] is not None]


def _emotions(table: Path) -> dict[str, str]:
    """Expression -> emotion, lower case, of SAMM's own table."""
    sheets = read_sheets(table)
    records = by_header(sheets.get("MICRO_ONLY", next(iter(sheets.values()))), SHORT_COLUMNS, table)
    return {text(record["Filename"]): text(record["Estimated Emotion"]).lower() for record in records}


def _kind(cell: Cell, table: Path, name: str) -> str:
    kind = next((kind for kind in KINDS if text(cell).lower().startswith(kind)), None)
    if kind is None:
        raise MerError(f"{table}: expression '{name}', column Type holds '{text(cell)}'; expected Macro or Micro - 1/2")
    return kind


def _row(record: dict[str, Cell], table: Path, frames: Places, label: str, suffix: str) -> Row:
    name, number = text(record["Filename"]), frame(record["Subject"])
    if number is None:
        raise MerError(f"{table}: expression '{name}', column Subject holds '{text(record['Subject'])}'; expected a "
                       "number")
    video = name.rpartition("_")[0]
    return Row(name + suffix, f"{number:03d}", frames.find(video), frame(record["Onset"]) or None,
               frame(record["Apex"]), frame(record["Offset"]), label, text(record["Action Units"]),
               looked_for=frames.looked_for(video))
