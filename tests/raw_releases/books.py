"""Writes annotation workbooks for the miniature releases."""

from pathlib import Path

import openpyxl
import xlwt


def write_book(path: Path, sheets: dict[str, list[list]]) -> None:
    """An .xlsx or an old .xls, by the file's suffix; None leaves a cell empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".xls":
        book = xlwt.Workbook()
        for name, rows in sheets.items():
            sheet = book.add_sheet(name)
            for i, row in enumerate(rows):
                for j, cell in enumerate(row):
                    if cell is not None:
                        sheet.write(i, j, cell)
        book.save(str(path))
        return
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
