import shutil

import pytest
from raw_releases import fourdme

from mer.base.errors import MerError
from mer.datasets.clips import frame_files
from mer.datasets.index import build_index
from mer.datasets.releases import read

RELEASE = "4DME_Labelling_Micro_release v1.xlsx"


@pytest.fixture
def root(tmp_path):
    fourdme.write_fourdme(tmp_path)
    return tmp_path


def clips_of(root, **options):
    return {clip.clip_id: clip for clip in read("fourdme", root, **options).clips}


def test_table_and_frames(root):
    reading = read("fourdme", root)
    assert (reading.release, reading.excluded, reading.notes, reading.tables) == ("v1", (), (), (RELEASE,))
    clip = clips_of(root)["S90_1st_001_01_1"]
    assert (clip.frames_dir, clip.fps, clip.flags) == ("gray_micro/S90_1st/001_01_1", 60.0, "")
    assert (clip.onset, clip.apex, clip.offset, clip.label_raw) == (482, 490, 499, "positive")
    assert clip.aus_raw == "6+12(k)"  # weak marks stay
    assert [number for number, _ in frame_files(root, clip)] == list(range(482, 500))


def test_sessions_of_a_person_are_one_subject(root):
    assert {clip.subject for clip in read("fourdme", root).clips} == {"fourdme/S90", "fourdme/S91", "fourdme/S92"}


def test_cropped_images(root):
    assert clips_of(root, images="cropped")["S91_002_01_1"].frames_dir == "gray_micro_crop/S91/002_01_1"
    shutil.rmtree(root / "gray_micro")
    with pytest.raises(MerError, match=r"no frames found in the layout gray_micro/.*looks alike"):
        read("fourdme", root)


def test_a_clip_of_several_emotions_is_in_the_set_of_all_alone(root):
    _, summary = build_index("fourdme", root)  # the total is second-hand, so it does not stop
    sets = summary["sets"]
    assert sets["all"]["counts"] == {
        "negative": 1, "positive": 1, "surprise": 1, "repression": 1, "others": 1, "multiple": 1}
    assert sets["all"]["expected"] == {"all": 267, "subjects": 41} and sets["all"]["agrees"]
    assert sum(sets["5"]["counts"].values()) == 5 and sets["5"]["labels_unused"] == {"multiple": 1}
    assert sets["3"]["counts"] == {"negative": 1, "positive": 1, "surprise": 1}


def test_units_in_each_others_row_are_put_back_by_the_emotions_beside_them(root):
    clips = clips_of(root)
    assert [(clips[name].aus_raw, clips[name].flags) for name in ("S91_002_01_1", "S91_002_01_2-")] == [
        ("AU4(k)+L7", "aus_exchanged"), ("L14+17", "aus_exchanged")]
    assert [clips[name].label_raw for name in ("S91_002_01_1", "S91_002_01_2-")] == ["negative", "repression"]


def test_one_contradicting_row_is_told_and_its_units_stay(root):
    rows = [*fourdme.ROWS[:2], fourdme.ROWS[2], (*fourdme.ROWS[3][:7], "Repression"), fourdme.ROWS[4]]
    fourdme.book(root, rows=rows)
    clip = clips_of(root)["S91_002_01_1"]
    assert (clip.aus_raw, clip.flags, clip.label_raw) == ("L14+17", "", "negative")
    assert "1 rows of " + RELEASE in read("fourdme", root).notes[0]


def test_emotions_left_of_the_units_tell_nothing_of_them(root):
    moved = [*fourdme.HEADER[:3], "Onset", "Apex", "Offset", "note", *fourdme.HEADER[7:-1], "AUs"]
    fourdme.book(root, moved)
    assert clips_of(root)["S91_002_01_1"].flags == ""
    assert "2 rows of " in read("fourdme", root).notes[0]


def test_odd_rows_follow_the_rules(root):
    clip = clips_of(root)["S92_004_01_1"]
    assert (clip.onset, clip.apex, clip.offset, clip.flags) == (12, None, 24, "apex_outside")
    fourdme.book(root, rows=[*fourdme.ROWS[:4], (*fourdme.ROWS[4][:2], None, *fourdme.ROWS[4][3:])])
    assert clips_of(root)["S92_004_01_1"].label_raw == "others"  # as marked
    fourdme.book(root, rows=[*fourdme.ROWS[:4], (*fourdme.ROWS[4][:2], None, *fourdme.ROWS[4][3:7], "")])
    assert [row.reason for row in read("fourdme", root).excluded] == ["its table has no emotion"]


def test_what_is_missing_is_named(root):
    shutil.rmtree(root / "gray_micro/S92")
    assert [row.reason for row in read("fourdme", root).excluded] == [
        "frame folder not found: gray_micro/S92/004_01_1"]
    fourdme.book(root, rows=[(*fourdme.ROWS[0][:2], "Joy", *fourdme.ROWS[0][3:])])
    with pytest.raises(MerError, match="clip S90_1st_001_01_1 is labelled 'Joy'; expected one of positive"):
        build_index("fourdme", root)
    fourdme.book(root, [*fourdme.HEADER[:6], "Units", *fourdme.HEADER[7:]])
    with pytest.raises(MerError, match=f"{RELEASE}: no row holds the columns .*; missing: AUs"):
        read("fourdme", root)
    fourdme.book(root, rows=[])
    with pytest.raises(MerError, match=f"{RELEASE}: no row names a clip"):
        read("fourdme", root)
    (root / RELEASE).unlink()
    with pytest.raises(MerError, match=r"annotation table not found; expected 4DME_Labelling_Micro_release v1\.xlsx"):
        read("fourdme", root)


def test_videos_only(root):
    for place in ("gray_micro", "gray_micro_crop", "long_gray_video"):
        shutil.rmtree(root / place)
    (root / "gray_micro/S91").mkdir(parents=True)
    (root / "gray_micro/S91/002_01_1.avi").touch()
    with pytest.raises(MerError, match=r"it holds videos \(002_01_1\.avi\): extract their frames into this layout"):
        read("fourdme", root)
