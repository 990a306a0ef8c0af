import itertools
import random

import numpy as np
import pytest
from raw_releases import micro
from raw_releases.plain import row, write_plain

from mer.datasets.action_units import Unit, parse, units, unread, written
from mer.datasets.clips import read_clips, write_clips
from mer.datasets.index import survey
from mer.datasets.releases import read
from mer.datasets.synthetic.expressions import MACRO, MICRO, draw_units, units_text

READ = [  # a cell of a release, what it says
    ("", ""), ("/", ""), (" - ", ""), ("12", "12"), ("04", "4"), ("4+7+L10", "4+7+10L"), ("R2+15", "2R+15"),
    ("r12", "12R"), ("L 10 + 4", "10L+4"), ("1 2 4", "1+2+4"), ("(R6 or R12)+R15", "6R/12R+15R"),
    ("L12 or L14", "12L/14L"), ("6or12", "6/12"), ("R14A or 17A or 24A", "14R/17/24"), ("20C+25+26", "20+25+26"),
    ("A12+A7", "12+7"), ("U12B", "12"), ("T10+B17", "10+17"), ("4,7", "4+7"), ("6\N{FULLWIDTH COMMA}12", "6+12"),
    ("4\N{IDEOGRAPHIC COMMA}7", "4+7"), ("\N{FULLWIDTH LEFT PARENTHESIS}4\N{FULLWIDTH RIGHT PARENTHESIS}", "(4)"),
    ("4+(12)", "4+(12)"), ("(4+7)", "(4)+(7)"), ("((6 or 12)+15)", "(6)/(12)+(15)"), ("AU4 + AU12 and AU7", "4+12+7"),
    ("4+7L+(12)", "4+7L+(12)"), ("12L/14L+4", "12L/14L+4"), ("(12L)/14", "(12L)/14")]
PASSED = [  # a cell that is read in part only: what is read, what is not
    ("?", "", ("?",)), ("ref(5)+20C", "(5)+20", ("REF",)), ("4?", "4", ("?",)), ("123", "", ("123",)),
    ("0", "", ("0",)), ("4.5", "4+5", (".",)), ("LR12", "12", ("LR",)), ("12LR", "12", ("LR",)), ("(4", "4", ("(",)),
    ("4)", "4", (")",)), ("12 or", "12", ("OR",)), ("/12", "12", ("/",)), ("4 or + 7", "4+7", ("OR",)),
    ("12 or ?", "12", ("?", "OR")), ("(4+7) or 9", "(4)+(7)/9", ("OR",)), ("9 or (4+7)", "9/(4)+(7)", ("OR",))]


@pytest.mark.parametrize(("cell", "aus"), READ)
def test_every_notation_is_read(cell, aus):
    assert (written(parse(cell)), unread(cell)) == (aus, ())


@pytest.mark.parametrize(("cell", "aus", "words"), PASSED)
def test_what_is_not_read_is_told(cell, aus, words):
    assert (written(parse(cell)), unread(cell)) == (aus, words)


def test_the_one_notation_is_read_back():
    draw = random.Random(0)
    every = [Unit(number, side, weak) for number, side, weak in itertools.product(
        range(1, 100), ("", "L", "R"), (False, True))]
    for _ in range(2000):
        coded = tuple(tuple(draw.choices(every, k=draw.choice((1, 1, 1, 2, 3)))) for _ in range(draw.randint(0, 6)))
        assert parse(written(coded)) == coded and unread(written(coded)) == ()


@pytest.mark.parametrize("alphabet", ["0123456789LRABor+/(), ", "".join(map(chr, range(0x3000))), "\ud800\x00\n½²ß"])
def test_any_text_is_read_and_reading_it_again_changes_nothing(alphabet):
    draw = random.Random(1)
    for _ in range(2000):
        text = "".join(draw.choices(alphabet, k=draw.randint(0, 14)))
        aus = written(parse(text))
        assert parse(aus) == parse(text) and unread(aus) == ()


def test_the_synthetic_releases_are_read_whole():
    for name, words in (("micro", MICRO), ("macro", MACRO)):
        for word, k in itertools.product(words, range(100)):
            drawn = draw_units(name, word, np.random.default_rng([5, k]))
            side = {(1,): "L", (-1,): "R"}
            assert parse(units_text(drawn)) == tuple((Unit(au, side.get(sides, "")),) for au, sides in drawn)
            assert unread(units_text(drawn)) == ()


def test_a_unit_that_only_may_be_there_is_kept_apart():
    assert units("6R/12R+15R+(4)") == {15, 4}
    assert units("6R/12R+15R+(4)", alternatives=True) == {4, 6, 12, 15}
    assert units("") == frozenset()


def test_clips_are_written_with_both_notations_and_flagged(tmp_path):
    micro.write_samm(tmp_path / "samm")
    reading = read("samm", tmp_path / "samm")
    clips = {clip.clip_id: clip for clip in reading.clips}
    assert clips["006_1_2"].aus == "6R/12R+15R" and "units_unread" not in clips["006_1_2"].flags
    assert clips["030_1_1"].aus == "(5)+20+25+26" and clips["030_1_1"].flags.split(";")[-1] == "units_unread"
    assert survey("samm", tmp_path / "samm", reading)["flags"]["units_unread"]["clips"] == ["030_1_1"]
    write_clips(tmp_path / "clips.csv", list(reading.clips))
    lines = (tmp_path / "clips.csv").read_text().splitlines()
    assert lines[0].endswith(",aus_raw,aus,flags,objective")
    assert sum(",ref(5)+20C+25+26,(5)+20+25+26," in line for line in lines) == 1
    assert read_clips(tmp_path / "clips.csv") == list(reading.clips)


def test_a_table_written_before_there_was_this_column_is_read(tmp_path):
    write_plain(tmp_path, [row()])
    clips = list(read("mine", tmp_path).clips)
    write_clips(tmp_path / "index.csv", clips)
    rows = [line.split(",") for line in (tmp_path / "index.csv").read_text().splitlines()]
    place = rows[0].index("aus")
    (tmp_path / "index.csv").write_text("".join(",".join(row[:place] + row[place + 1:]) + "\n" for row in rows))
    assert read_clips(tmp_path / "index.csv") == clips and clips[0].aus == "12"
