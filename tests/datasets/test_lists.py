"""Lists of clips: the same bytes whoever makes them, differences by clip, other people's tables."""

import sys
from dataclasses import replace

import pytest
from raw_releases import micro
from raw_releases.plain import row, write_plain

from mer.base.errors import MerError
from mer.datasets import __main__ as command
from mer.datasets import lists, releases
from mer.datasets.class_sets import label_set
from mer.datasets.lists import Listed

ROWS = [Listed("casme2", "sub01_EP02_01f", "sub01", "positive", 46, 59, 86),
        Listed("casme2", "sub02_EP01_11f", "sub02", "negative", 10, None, 30),
        Listed("samm", "006_1_2", "006", "surprise", 1, 5, 9)]


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["mer.datasets", *map(str, words)])
    command.run()
    return capsys.readouterr()


@pytest.fixture
def casme2(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    micro.write_casme2(tmp_path / "data/raw/casme2")
    return tmp_path


def test_the_order_of_clips_is_no_part_of_a_list():
    assert lists.digest(ROWS) == lists.digest(ROWS[::-1]) and len(lists.digest(ROWS)) == 64
    assert lists.digest(ROWS) != lists.digest(ROWS[1:]) != lists.digest([replace(ROWS[1], label="x"), ROWS[2]])
    assert lists.text(ROWS).splitlines()[:2] == ["dataset,clip_id,subject,class,onset,apex,offset",
                                                 "casme2,sub01_EP02_01f,sub01,positive,46,59,86"]


def test_a_manifest_read_back_is_the_list(tmp_path):
    (tmp_path / "a.csv").write_text(lists.text(ROWS))
    assert lists.digest(lists.read(tmp_path / "a.csv")) == lists.digest(ROWS)


def test_the_command_writes_the_clips_of_a_label_set(casme2, monkeypatch, capsys):
    found = call(monkeypatch, capsys, "list", "casme2", "3-megc")
    clips = releases.read("casme2", casme2 / "data/raw/casme2").clips
    rows = lists.listed(clips, label_set("casme2", "3-megc"))
    assert 0 < len(rows) < len(clips) and found.out == lists.text(rows)
    assert found.err == (f"{len(rows)} clips of {len({row.subject for row in rows})} subjects, "
                         f"list {lists.digest(rows)}\n")
    call(monkeypatch, capsys, "list", "casme2", "3-megc", "--out", "kept.csv")
    assert lists.digest(lists.read("kept.csv")) == lists.digest(rows)


@pytest.mark.parametrize("place", [".", "data/raw/casme2", "nothing.csv/kept.csv"])
def test_a_list_that_cannot_be_written_is_told_in_a_line(casme2, monkeypatch, capsys, place):
    (casme2 / "nothing.csv").touch()
    with pytest.raises(MerError, match=rf"^--out {place}: .*expected the name of a file that can be written$"):
        call(monkeypatch, capsys, "list", "casme2", "3-megc", "--out", place)


def test_one_s_own_dataset_has_lists_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_plain(tmp_path / "data/raw/mine", [row("joy_1", "ann", label="joy"), row("fear_1", "bob", label="fear")])
    assert call(monkeypatch, capsys, "list", "mine", "all").out.count("\n") == 3


def test_differences_are_named_clip_by_clip(casme2, monkeypatch, capsys):
    rows = lists.listed(releases.read("casme2", casme2 / "data/raw/casme2").clips, label_set("casme2", "3-megc"))
    changed = [replace(rows[0], label="negative" if rows[0].label != "negative" else "positive"),
               replace(rows[1], offset=rows[1].offset + 1), *rows[3:]]
    (casme2 / "b.csv").write_text(lists.text([*changed, replace(rows[2], clip_id="other", subject="sub99")]))
    told = call(monkeypatch, capsys, "diff", "casme2:3-megc", "b.csv").out
    assert f"only in casme2:3-megc: casme2 {rows[2].clip_id}" in told and "only in b.csv: casme2 other" in told
    assert f"class: casme2 {rows[0].clip_id}: {rows[0].label} | {changed[0].label}" in told
    assert f"frames: casme2 {rows[1].clip_id}: " in told
    assert told.splitlines()[-1] == "1 and 1 clips in one only, 1 with another class, 1 with other frames"
    assert "the same clips" in call(monkeypatch, capsys, "diff", "casme2:3-megc", "casme2:3-megc").out


@pytest.mark.parametrize("table", [
    "casme2,sub01,EP02_01f,1\n\ncasme2,sub02,EP01_11f,0\n\nsamm,006,006_1_2,2\n",
    "database,sub,filename_o,label,apex\ncasme2,sub01,EP02_01f,1,59\ncasme2,sub02,EP01_11f,0,\nsamm,006,006_1_2,2,5\n",
    "Dataset,Subject,Clip,Class\ncasme2,sub01,EP02_01f,Positive\ncasme2,sub02,EP01_11f,negative\n"
    "samm,006,006_1_2,surprise\n"])
def test_other_people_s_tables_are_the_same_clips(table, tmp_path):
    (tmp_path / "theirs.csv").write_text(table)
    found = lists.difference(ROWS, lists.read(tmp_path / "theirs.csv"))
    assert found == lists.Difference((), (), (), ())


@pytest.mark.parametrize(("table", "words"), [
    ("", "empty; expected a row a clip"), ("a,b\n1,2\n", "no column for the dataset; found a, b"),
    ("casme2,sub01,,1\n", "row 1: the clip_id is empty"),
    ("casme2,sub01,x,1\ncasme2,sub01,x,1\n", "row 2: clip x of casme2 stands twice"),
    ("dataset,subject,clip,label,apex\ncasme2,sub01,x,1,n/a\n", "row 1, column apex: 'n/a'; expected a frame number")])
def test_a_table_that_is_no_list_is_refused(table, words, tmp_path):
    (tmp_path / "theirs.csv").write_text(table)
    with pytest.raises(MerError, match=words):
        lists.read(tmp_path / "theirs.csv")


def test_a_name_that_is_no_list_is_refused(casme2, monkeypatch, capsys):
    for words, told in ((("diff", "a.csv", "b.csv"), "no such list"),
                        (("list", "casme2", "3-mgec"), "did you mean 3-megc"),
                        (("list", "casme_2", "3"), "did you mean '")):
        with pytest.raises(MerError, match=told):
            call(monkeypatch, capsys, *words)
