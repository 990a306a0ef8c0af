"""Annotation workbooks: rows of cells, columns found by their header's name wherever the header stands; text files."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from mer.base import reading
from mer.base.errors import MerError
from mer.datasets.clips import DIGITS, whole

Cell = int | float | str | None
ROWS, COLUMNS = 100_000, 1_000  # of a sheet, in which a value may stand; the largest known table has 39 000 rows
CELLS = 10**7  # rows times columns that are held
UNPACKED = 128 * 2**20  # bytes of XML in a workbook


def read_sheets(path: Path) -> dict[str, list[list[Cell]]]:
    """Every sheet of an .xlsx, .xls or .csv file, by name in order, as rows of cells.

    Whole numbers come as int, text stripped, empty cells as None; a .csv is one sheet '' of text cells. The kind is
    told from the content, since renamed files are common. Raises MerError when the file is none of the three or
    holds no sheet.
    """
    try:
        data = reading.content(path)
    except FileNotFoundError as error:
        raise MerError(f"{path} cannot be read: {error.strerror}") from error
    try:
        if data[:2] == b"PK":
            sheets = _xlsx(data, path)
        elif data[:4] == b"\xd0\xcf\x11\xe0":
            sheets = _xls(data, path)
        else:
            lines = csv.reader(io.StringIO(data.decode("utf-8-sig")), strict=True)
            sheets = {"": _bounded(enumerate(lines, 1), path, "")}
    except MerError:
        raise
    except Exception as error:  # openpyxl and xlrd raise many kinds for a damaged file, from KeyError to struct.error
        raise MerError(f"{path} cannot be read as .xlsx, .xls or UTF-8 .csv: {' '.join(str(error).split())}") from error
    if not sheets:
        raise MerError(f"{path} holds no sheet of cells; expected the release's table")
    return sheets


def _xlsx(data: bytes, path: Path) -> dict[str, list[list[Cell]]]:
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        size = sum(entry.file_size for entry in packed.infolist() if entry.filename.endswith((".xml", ".rels")))
    if size > UNPACKED:
        raise MerError(f"{path} unpacks to {size:,} bytes; a table of at most {UNPACKED:,} is read, is it this one?")
    book = openpyxl.load_workbook(io.BytesIO(data), data_only=True, read_only=True)
    sheets = {}
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what a file says of its own size is not always so
        sheets[sheet.title] = _bounded(enumerate(sheet.iter_rows(values_only=True), 1), path, sheet.title)
    return sheets


def _xls(data: bytes, path: Path) -> dict[str, list[list[Cell]]]:
    try:
        import xlrd
    except ImportError:
        raise MerError("an old .xls table needs the package xlrd (pip install xlrd), or save it as .xlsx") from None
    book = xlrd.open_workbook(file_contents=data, ragged_rows=True, logfile=io.StringIO())
    return {sheet.name: _bounded(((row + 1, sheet.row_values(row)) for row in range(sheet.nrows)), path, sheet.name)
            for sheet in book.sheets()}


def _bounded(numbered: Iterable[tuple[int, Iterable]], path: Path, sheet: str) -> list[list[Cell]]:
    """(number, row) pairs, one by one, as rows of one length: that of the widest, up to its last value.

    Raises MerError naming the first value that stands outside of ROWS and COLUMNS.
    """
    rows: list[list[Cell]] = []
    width = end = 0
    for number, cells in numbered:
        row = [_clean(cell) for cell in cells]
        while row and row[-1] is None:
            del row[-1]
        width = max(width, len(row))
        end = number if row else end
        if end > ROWS or width > COLUMNS or end * width > CELLS:
            where = f", sheet '{sheet}'" if sheet else ""
            raise MerError(f"{path}{where}: row {number}, column {len(row)} holds {_shown(row[-1])}; at most {ROWS:,} "
                           f"rows, {COLUMNS:,} columns and {CELLS:,} cells are read: delete what stands there")
        if number <= ROWS:
            rows.append(row)
    return [row + [None] * (width - len(row)) for row in rows[:end]]


def _shown(cell: Cell) -> str:
    return repr(cell if not isinstance(cell, str) or len(cell) < 40 else f"{cell[:40]}...")


def _clean(cell: object) -> Cell:
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell if cell is None or isinstance(cell, int | float) else str(cell)


def by_header(rows: list[list[Cell]], columns: tuple[str, ...], path: Path, *,
              optional: str = "") -> list[dict[str, Cell]]:
    """The rows below the header, see `find_header`, as dicts with just the keys `columns`; blank rows passed over.

    The `optional` column is a key too where the header has it.
    """
    start, places = find_header(rows, columns, path)
    keys = [_key(cell) for cell in rows[start]]
    if optional and _key(optional) in keys:
        columns, places = (*columns, optional), [*places, keys.index(_key(optional))]
    below = [[*row, *[None] * (max(places) + 1)] for row in rows[start + 1:]]
    picked = [{name: row[place] for name, place in zip(columns, places, strict=True)} for row in below]
    return [row for row in picked if any(cell is not None for cell in row.values())]


def find_header(rows: list[list[Cell]], columns: tuple[str, ...], path: Path) -> tuple[int, list[int]]:
    """(index of the first row that holds all `columns`, the place of each in it).

    Names are compared without case, blanks and underscores ('Onset Frame' = 'OnsetFrame'). Raises MerError naming the
    columns that the best row lacks.
    """
    wanted = [_key(name) for name in columns]
    best: set[str] = set()
    for index, row in enumerate(rows):
        keys = [_key(cell) for cell in row]
        if set(wanted) <= set(keys):
            return index, [keys.index(key) for key in wanted]
        best = max(best, set(wanted) & set(keys), key=len)
    missing = ", ".join(name for name in columns if _key(name) not in best)
    raise MerError(f"{path}: no row holds the columns {', '.join(columns)}; missing: {missing}")


def _key(cell: Cell) -> str:
    return re.sub(r"[\s_]+", "", str(cell)).lower()


def frame(cell: Cell) -> int | None:
    """A frame number from a cell (46, 46.0, '46', '46.0'); None for anything else, such as '/' or an empty cell."""
    if isinstance(cell, str):
        cell = whole(cell)
    return cell if isinstance(cell, int) and 0 <= cell < 10**DIGITS else None


def text(cell: Cell) -> str:
    """A cell as text, '' for an empty one."""
    return "" if cell is None else str(cell)


def text_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends. Raises MerError when it cannot be read or is not UTF-8 text."""
    try:
        return reading.text(path, what="list").splitlines()
    except FileNotFoundError as error:
        raise MerError(f"{path} cannot be read as UTF-8 text: {error}") from error
