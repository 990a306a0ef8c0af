import shutil

import pytest
from raw_releases import micro

from mer.base.errors import MerError
from mer.datasets.clips import frame_files
from mer.datasets.index import build_index
from mer.datasets.releases import read


@pytest.fixture
def root(tmp_path):
    micro.write_casme_sq(tmp_path)
    return tmp_path


def test_micro_expressions_are_joined_through_the_naming_sheets(root):
    reading = read("casme_sq", root)
    clips = {clip.clip_id: clip for clip in reading.clips}
    assert set(clips) == {"s15_disgust1_1", "s15_disgust1_2", "s15_happy1_12", "s16_happy1_1", "s16_disgust1_1"}
    clip = clips["s15_disgust1_1"]  # the code 0101 is the number 101 in the sheet
    assert (clip.subject, clip.frames_dir) == ("casme_sq/s15", "rawpic/s15/15_0101disgustingteeth")
    assert [number for number, _ in frame_files(root, clip)] == list(range(998, 1007))  # img998, img1000
    assert clips["s15_happy1_12"].frames_dir == "rawpic/s15/15_0502 kid(laughs)"


def test_offset_0_and_apex_0(root):
    clips = {clip.clip_id: clip for clip in read("casme_sq", root).clips}
    clip = clips["s15_disgust1_2"]
    assert (clip.onset, clip.apex, clip.offset, clip.last, clip.flags) == (20, 24, 28, 28, "offset_guessed")
    assert (clips["s15_happy1_12"].apex, clips["s15_happy1_12"].flags) == (None, "no_apex")


def test_macro_expressions_are_another_dataset(root):
    clips = read("casme_sq_macro", root).clips
    assert [(clip.clip_id, clip.dataset, clip.offset) for clip in clips] == [("s15_happy1_3", "casme_sq_macro", 60)]


def test_both_types_together(root):
    clips = {clip.clip_id: clip for clip in read("casme_sq_long", root).clips}
    parts = [clip for name in ("casme_sq", "casme_sq_macro") for clip in read(name, root).clips]
    assert [(clip.clip_id, clip.first, clip.last, clip.flags) for clip in clips.values()] == [
        (clip.clip_id, clip.first, clip.last, clip.flags) for clip in parts]
    assert {clips[name].label_raw for name in ("s15_happy1_12", "s15_happy1_3")} == {"micro positive", "macro positive"}
    assert clips["s15_happy1_12"].frames_dir == clips["s15_happy1_3"].frames_dir
    _, summary = build_index("casme_sq_long", root, accept_counts=True)
    assert summary["sets"]["type"]["counts"] == {"micro": 5, "macro": 1}
    assert summary["sets"]["4"]["counts"] == {"negative": 2, "positive": 2, "surprise": 1, "others": 1}


def test_only_a_macro_expression_may_last_long(root):
    for number in range(70, 700, 30):
        micro.write_frames(root / "rawpic/s15/15_0502 kid(laughs)", [number], "img{:03d}.jpg")
    rows = [(1, f"happy1_{i}", 30, 34, 690, 12, "positive", f"{kind}-expression", "x")
            for i, kind in enumerate(("micro", "macro"))]
    micro.write_book(root / "CAS(ME)^2code_final(Updated).xlsx", {
        "a": [list(row) for row in rows], "b": [[15, "s15", 1]], "c": [[101, "disgust1"], [502, "happy1"]]})
    assert [clip.offset for clip in read("casme_sq_long", root).clips] == [38, 690]


def test_expressions_of_one_name_are_told_apart_by_onset(root):
    book = root / "CAS(ME)^2code_final(Updated).xlsx"
    again = (*micro.CASME_SQ[0][:2], 1000, 1002, 1005, 4, "others", "micro-expression")
    rows = [[*row, "x"] for row in [*micro.CASME_SQ, again]]
    naming = {"b": [[15, "s15", 1], [16, "s16", 2]], "c": [[101, "disgust1"], [502, "happy1"]]}
    micro.write_book(book, {"a": rows} | naming)
    names = [clip.clip_id for clip in read("casme_sq", root).clips]
    assert {"s15_disgust1_1_998", "s15_disgust1_1_1000"} <= set(names) and len(set(names)) == len(names) == 6


def test_what_is_missing_is_named(root):
    shutil.rmtree(root / "rawpic/s16")
    assert [row.clip_id for row in read("casme_sq", root).excluded] == ["s16_happy1_1", "s16_disgust1_1"]
    shutil.rmtree(root / "rawpic")
    (root / "rawvideo/s15").mkdir(parents=True)
    (root / "rawvideo/s15/15_0101disgustingteeth.avi").write_bytes(b"RIFF")
    with pytest.raises(MerError, match="15_0101disgustingteeth.avi.*extract their frames"):
        read("casme_sq", root)
    micro.write_book(root / "CAS(ME)^2code_final(Updated).xlsx", {"a": [[1]], "b": [[1]]})
    with pytest.raises(MerError, match="2 sheets, expected 3"):
        read("casme_sq", root)


def test_names_that_the_naming_sheets_lack(root):
    micro.write_book(root / "CAS(ME)^2code_final(Updated).xlsx", {
        "a": [[*row, "x"] for row in micro.CASME_SQ], "b": [[15, "s15", 1]], "c": [[101, "disgust1"], [502, "happy1"]]})
    with pytest.raises(MerError, match="'happy1_1' of subject 2"):
        read("casme_sq", root)


def test_label_sets(root):
    _, summary = build_index("casme_sq", root, accept_counts=True)
    assert summary["sets"]["4"]["counts"] == {"negative": 2, "positive": 1, "surprise": 1, "others": 1}
    assert summary["sets"]["3"]["labels_unused"] == {"others": 1}
