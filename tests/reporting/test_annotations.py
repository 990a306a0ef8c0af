"""The page of a release's annotation: what it counts, of every release, and that it shows nobody."""

import re
import sys
from dataclasses import replace

import pytest
from datasets.test_main import WRITERS
from raw_releases.plain import row, write_plain

from mer.datasets import __main__ as command
from mer.datasets import releases
from mer.reporting import annotations


@pytest.fixture
def mine(tmp_path):
    """A release of four clips, of which one is longer than a micro-expression and two have no apex."""
    write_plain(tmp_path / "data/raw/mine", [
        row("c1", aus="4+7L+(12)"), row("c2", label="fear", apex="", aus="4+7+12"), row("c3", "p2", apex="", aus="1+2"),
        row("c4", "p2", label="fear", fps=1)])
    return releases.read("mine", tmp_path / "data/raw/mine")


def test_a_length_counts_both_end_frames(mine):
    clip = replace(mine.clips[0], onset=10, offset=29, fps=200.0)
    assert annotations.milliseconds(clip, clip.onset, clip.offset) == 100


@pytest.mark.parametrize(("text", "found"), [
    ("4+7L+(12)", {4, 7, 12}), ("R6 or R12", {6, 12}), ("ref(5)+20C+25+26", {5, 20, 25, 26}), ("", set()),
    ("/", set())])
def test_units_are_the_numbers_of_any_notation(mine, text, found):
    assert annotations.units(replace(mine.clips[0], aus_raw=text)) == found


def test_the_page_counts_what_is_odd(mine):
    page = annotations.build("mine", "micro", mine.clips, mine.excluded)
    words = re.sub(r"<[^>]+>", "|", page)
    assert "4 clips of 2 subjects, release plain; 0 rows" in words and "2 clips have no apex" in words
    assert re.search(r"no_apex\|+2\|", words) and "Clips shorter than 40 or longer than 500 ms" in words
    assert re.search(r"\|c4\|+\d{4}\|", words)
    assert "2 of 4 clips with units have a combination that stands under another label" in words
    assert page.count("<img ") == 2 and "Synthetic" not in page
    assert "longer than" not in annotations.build("mine", "macro", mine.clips, mine.excluded)


@pytest.mark.parametrize("dataset", WRITERS)
def test_every_release_has_its_page(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    WRITERS[dataset](tmp_path / f"data/raw/{dataset}")
    monkeypatch.setattr(sys, "argv", ["mer.datasets", "page", dataset])
    command.run()
    assert capsys.readouterr().out == f"written: reports/annotations/{dataset}.html\n"
    page = (tmp_path / f"reports/annotations/{dataset}.html").read_text(encoding="utf-8")
    assert page.startswith("<!") and "src=\"http" not in page and page.count("<img ") == 2
