import pytest
from raw_releases.books import write_book

from mer.base.errors import MerError
from mer.datasets.workbook import by_header, frame, read_sheets

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


def test_missing_columns_are_named(tmp_path):
    with pytest.raises(MerError, match="missing: Apex, Offset"):
        by_header([["Subject", "Onset"]], ("Subject", "Onset", "Apex", "Offset"), tmp_path / "t.xlsx")


@pytest.mark.parametrize(("cell", "number"), [
    (46, 46), ("46", 46), ("46.0", 46), (0, 0), ("/", None), ("", None), (None, None), ("4-6", None), (2.5, None),
    (-3, None)])
def test_frame_numbers(cell, number):
    assert frame(cell) == number
