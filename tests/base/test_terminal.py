"""Bars and lines: none is written into the other, and a log holds no carriage return."""

import io
import sys

import pytest

from mer.base import terminal


class Screen(io.StringIO):
    def isatty(self):
        return True


def loop():
    for i in terminal.progress(range(3), total=3, desc="train", unit="fold"):
        terminal.say(f"fold {i} is done")


def test_a_log_has_whole_lines_and_no_carriage_return(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    loop()
    lines = log.getvalue().split("\n")
    assert "\r" not in log.getvalue() and [line for line in lines if line.startswith("fold")] == [
        "fold 0 is done", "fold 1 is done", "fold 2 is done"]
    assert lines[0].startswith("train:   0%|") and any(line.startswith("train: 100%|") for line in lines)


def test_on_a_screen_a_line_begins_in_an_empty_one(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    loop()
    for i in range(3):
        assert f"{terminal.CLEAR}fold {i} is done\n" in screen.getvalue()


@pytest.mark.parametrize(("number", "words"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips")])
def test_one_and_many(number, words):
    assert terminal.counted(number, "clip") == words
