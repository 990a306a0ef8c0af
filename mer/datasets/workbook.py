"""Annotation workbooks: rows of cells, columns found by their header's name wherever the header stands; text files."""

import csv
import io
import re
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import DIGITS, whole

Cell = int | float | str | None


def read_sheets(path: Path) -> dict[str, list[list[Cell]]]:
    """Every sheet of an .xlsx, .xls or .csv file, by name in order, as rows of cells.

    Whole numbers come as int, text stripped, empty cells as None; a .csv is one sheet '' of text cells. The kind is
    told from the content, since renamed files are common. Raises MerError when the file is none of the three or
    holds no sheet.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MerError(f"{path} cannot be read: {error.strerror}") from error
    try:
        if data[:2] == b"PK":
            sheets = _xlsx(data)
        elif data[:4] == b"\xd0\xcf\x11\xe0":
            sheets = _xls(data)
        else:
            sheets = {"": list(csv.reader(io.StringIO(data.decode("utf-8-sig")), strict=True))}
    except MerError:
        raise
    except Exception as error:  # openpyxl and xlrd raise many kinds for a damaged file, from KeyError to struct.error
        raise MerError(f"{path} cannot be read as .xlsx, .xls or UTF-8 .csv: {' '.join(str(error).split())}") from error
    if not sheets:
        raise MerError(f"{path} holds no sheet of cells; expected the release's table")
    return {name: [[_clean(cell) for cell in row] for row in rows] for name, rows in sheets.items()}


def _xlsx(data: bytes) -> dict[str, list[list]]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), data_only=True)
    return {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}


def _xls(data: bytes) -> dict[str, list[list]]:
    try:
        import xlrd
    except ImportError:
        raise MerError("an old .xls table needs the package xlrd (pip install xlrd), or save it as .xlsx") from None
    book = xlrd.open_workbook(file_contents=data)
    return {sheet.name: [sheet.row_values(row) for row in range(sheet.nrows)] for sheet in book.sheets()}


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
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MerError(f"{path} cannot be read as UTF-8 text: {error}") from error
