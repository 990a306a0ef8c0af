import os
import time
import zipfile

import openpyxl
import pytest
import xlwt
from raw_releases.books import write_book

from mer.base.errors import MerError
from mer.datasets.workbook import CELLS, UNPACKED, by_header, frame, read_sheets, text_lines

ROWS = [["some note"], ["Sub ject", "Onset_Frame", None, "label"], [" 006 ", 12.0, 3.5, ""], [], ["7", "/", None, "x"]]


@pytest.mark.parametrize("suffix", ["xlsx", "xls"])
def test_both_kinds_of_workbook_give_the_same_cells(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    write_book(path, {"a": ROWS, "b": [["1"]]})
    sheets = read_sheets(path)
    assert list(sheets) == ["a", "b"]
    assert by_header(sheets["a"], ("Subject", "Onset Frame", "Label"), path) == [
        {"Subject": "006", "Onset Frame": 12, "Label": None}, {"Subject": "7", "Onset Frame": "/", "Label": "x"}]


def test_the_kind_is_told_from_the_content(tmp_path):
    write_book(tmp_path / "t.xlsx", {"a": ROWS})
    (tmp_path / "t.xlsx").rename(tmp_path / "t.xls")
    assert read_sheets(tmp_path / "t.xls")["a"][0][0] == "some note"
    (tmp_path / "t.csv").write_text("\ufeffSubject,Onset Frame,Label\n006,12,x\n", encoding="utf-8")
    rows = read_sheets(tmp_path / "t.csv")[""]
    assert by_header(rows, ("Subject", "Label"), tmp_path) == [{"Subject": "006", "Label": "x"}]


@pytest.mark.parametrize("content", [b"PK\x03\x04 no zip", b"\xd0\xcf\x11\xe0 no book", b"\xff\xfe\x00\x01"])
def test_a_damaged_workbook_is_named(tmp_path, content):
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(MerError, match="t.xlsx cannot be read") as error:
        read_sheets(tmp_path / "t.xlsx")
    assert "\n" not in str(error.value)
    with pytest.raises(MerError, match="none.xlsx cannot be read"):
        read_sheets(tmp_path / "none.xlsx")


@pytest.mark.parametrize("suffix", ["xlsx", "xls"])
def test_a_stray_cell_at_the_end_of_a_sheet_is_named_at_once(tmp_path, suffix):
    last = (65_535, 255) if suffix == "xls" else (1_048_575, 16_383)
    for row, column in ((last[0], 0), (2, last[1]), last):
        if suffix == "xls":
            book = xlwt.Workbook()
            sheet = book.add_sheet("codes")
            for place in ((0, 0), (row, column)):
                sheet.write(*place, "x")
        else:
            book = openpyxl.Workbook()
            book.active.title = "codes"
            for place in ((0, 0), (row, column)):
                book.active.cell(place[0] + 1, place[1] + 1, "x")
        path = tmp_path / f"t.{suffix}"
        book.save(path)
        began = time.process_time()
        if suffix == "xls" and (row + 1) * (column + 1) <= CELLS:
            assert len(read_sheets(path)["codes"]) == row + 1
        else:
            with pytest.raises(MerError, match=rf"t.{suffix}, sheet 'codes': row {row + 1}, column {column + 1} holds "
                                               r"'x'; at most 100,000 rows, 1,000 columns .*: delete what stands"):
                read_sheets(path)
        assert time.process_time() - began < 5


def test_formats_beyond_the_cells_are_passed_over(tmp_path):
    book = openpyxl.Workbook()
    book.active["A1"], book.active["C2"] = "Subject", 5
    book.active["XFD1048576"].font = openpyxl.styles.Font(bold=True)
    book.save(tmp_path / "t.xlsx")
    assert read_sheets(tmp_path / "t.xlsx") == {"Sheet": [["Subject", None, None], [None, None, 5]]}


def test_what_unpacks_to_gigabytes_and_what_has_them_are_refused_before_they_are_read(tmp_path):
    write_book(tmp_path / "t.xlsx", {"a": ROWS})
    with zipfile.ZipFile(tmp_path / "t.xlsx", "a", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/bomb.xml", b" " * (UNPACKED + 1))
    (tmp_path / "big.csv").touch()
    os.truncate(tmp_path / "big.csv", 5 * 10**9)
    for name, told in (("t.xlsx", "t.xlsx unpacks to 134,2"), ("big.csv", "big.csv has 5,000,000,000 bytes; a table")):
        with pytest.raises(MerError, match=told):
            read_sheets(tmp_path / name)
    with pytest.raises(MerError, match=r"big.csv has 5,000,000,000 bytes; a list of"):
        text_lines(tmp_path / "big.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(MerError, match=r"pipe.csv cannot be read: it is no file; expected a table"):
        read_sheets(tmp_path / "pipe.csv")


def test_missing_columns_are_named(tmp_path):
    with pytest.raises(MerError, match="missing: Apex, Offset"):
        by_header([["Subject", "Onset"]], ("Subject", "Onset", "Apex", "Offset"), tmp_path / "t.xlsx")


@pytest.mark.parametrize(("cell", "number"), [
    (46, 46), ("46", 46), ("46.0", 46), (0, 0), ("/", None), ("", None), (None, None), ("4-6", None), (2.5, None),
    (-3, None)])
def test_frame_numbers(cell, number):
    assert frame(cell) == number
