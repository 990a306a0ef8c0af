"""What happens to releases between their authors and us, at random: tables edited and cut, files renamed and lost.

Copies of a miniature share its files by hard links, so nothing is written in place: a file is removed and made anew.
"""

import datetime
import os
import shutil
from pathlib import Path
from random import Random

from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from raw_releases.books import write_book

from mer.datasets.workbook import read_sheets

BOOKS, TEXTS = (".xlsx", ".xls"), (".csv", ".txt", ".yaml")
ODD = (None, "/", "word", 1e30, -1, 0, 0.5, datetime.date(2019, 7, 1), "n" * 300, 10**30, "9" * 400, "9" * 5000,
       "微表情", "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT THREE}", "two\nlines", True, "nan", "inf", 
       "..", "../..", "a/b", ".", "é ö.x", "1,2", '"')
NAMES = ("with space", "Müller", "微表情", "._hidden", "Thumbs.db", "1", "\N{SUPERSCRIPT TWO}",
         "\N{SUPERSCRIPT TWO}.jpg", "img1.jpg", "n" * 250, "latin\udcfc1.jpg", "s9", "sub99", "cropped", "~$table.xlsx",
         "line\nbreak1.jpg")


def mutate(root: Path, chance: Random) -> str:
    """Change one thing below `root`; what, for the message. Some changes find nothing to do."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    tables = [path for path in files if path.suffix in (*BOOKS, *TEXTS)]
    change = chance.choice([cells, cells, cells, damage, places] if tables else [places])
    chosen = tables if change is not places else sorted(path for path in root.rglob("*") if path not in tables)
    if not chosen:
        return "nothing left to change"
    path = chance.choice(chosen)
    return f"{path.relative_to(root)}: {change(path, chance)}"


def cells(path: Path, chance: Random) -> str:
    """Change a cell, a row or a column of one sheet of a table that is readable."""
    sheets = _sheets(path)
    rows = chance.choice([*sheets.values()] or [[]])
    if not rows:
        return "no rows"
    row = chance.randrange(len(rows))
    column = chance.randrange(max(len(rows[row]), 1))
    what = chance.choice(["cell"] * 5 + ["row removed", "row doubled", "rows swapped", "column removed",
                                         "column doubled", "columns swapped"])
    if what == "cell":
        value = chance.choice(ODD)
        rows[row][column:column + 1] = [value]
        what = f"cell {row}, {column} = {str(value)[:40]!r}"
    elif what == "row removed":
        del rows[row]
    elif what == "row doubled":
        rows.insert(row, list(rows[row]))
    elif what == "rows swapped":
        rows[row], rows[0] = rows[0], rows[row]
    for cells_ in rows if "column" in what else ():
        part = cells_[column:column + 1]
        if what == "column removed":
            cells_[column:column + 1] = []
        elif what == "column doubled":
            cells_[column:column] = part
        elif part:
            cells_[column], cells_[0] = cells_[0], cells_[column]
    path.unlink()
    if path.suffix in BOOKS:
        write_book(path, sheets)
    else:
        lines = (",".join("" if cell is None else str(cell) for cell in cells_) for cells_ in rows)
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return f"{what} (row {row}, column {column})"


def _sheets(path: Path) -> dict[str, list[list]]:
    if path.suffix in BOOKS:
        try:
            sheets = read_sheets(path)
        except Exception:  # damaged before
            return {}
        return {name: [[ILLEGAL_CHARACTERS_RE.sub("", cell) if isinstance(cell, str) else cell for cell in cells_]
                       for cells_ in rows] for name, rows in sheets.items()}
    return {"": [line.split(",") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]}


def damage(path: Path, chance: Random) -> str:
    """Cut a table, overwrite some of its bytes, empty it, or put a folder in its place."""
    data = bytearray(path.read_bytes())
    what = chance.choice(["cut", "bytes", "bytes", "empty", "folder", "removed", "doubled"])
    if what == "doubled":
        shutil.copy(path, path.with_name(f"{path.stem}_copy{path.suffix}"))
        return what
    path.unlink()
    if what == "cut":
        data = data[:chance.randrange(len(data) + 1)]
    elif what == "bytes":
        for _ in range(chance.randint(1, 20) if data else 0):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif what == "empty":
        data = bytearray()
    if what == "folder":
        path.mkdir()
    elif what != "removed":
        path.write_bytes(data)
    return what


def places(path: Path, chance: Random) -> str:
    """Rename, remove, empty or replace a folder or a file, or put something beside it."""
    what = chance.choice(["renamed", "moved up", "removed", "emptied", "replaced", "link", "loop", "file added",
                          "folder added", "doubled"])
    other = path.with_name(chance.choice(NAMES))
    if what in ("renamed", "file added", "folder added", "doubled") and os.path.lexists(other):
        return "the name is taken"
    if what == "renamed":
        path.rename(other)
    elif what == "moved up":
        if not os.path.lexists(path.parent.parent / path.name):
            path.rename(path.parent.parent / path.name)
    elif what == "file added":
        other.touch()
    elif what == "folder added":
        other.mkdir()
    elif what == "doubled":
        if path.is_dir():
            shutil.copytree(path, other, symlinks=True)
        else:
            shutil.copy(path, other, follow_symlinks=False)
    else:
        folder = path.is_dir() and not path.is_symlink()
        _remove(path)
        if what == "link":
            path.symlink_to("nowhere")
        elif what == "loop":
            path.symlink_to(path.name)
        elif what == "emptied":
            path.mkdir() if folder else path.touch()
        elif what == "replaced":
            path.touch() if folder else path.mkdir()
    return f"{what} ({other.name[:20]!r})"


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
