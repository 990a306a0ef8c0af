import shutil

import pytest
from raw_releases import micro
from raw_releases.plain import write_frames

from mer.base.errors import MerError
from mer.datasets.class_sets import class_index, label_set
from mer.datasets.index import build_index
from mer.datasets.releases import read


@pytest.fixture
def root(tmp_path):
    micro.write_casme2(tmp_path)
    return tmp_path


def by_id(reading):
    return {clip.clip_id: clip for clip in reading.clips}


def test_the_table_of_2019(root):
    reading = read("casme2", root)
    clips = by_id(reading)
    assert reading.release == "2019" and reading.excluded == () and len(clips) == len(micro.CASME2)
    clip = clips["sub01_EP01_2"]
    assert (clip.subject, clip.frames_dir) == ("casme2/sub01", "CASME2-RAW/CASME2-RAW/sub01/EP01_2")
    assert (clip.first, clip.onset, clip.apex, clip.offset, clip.last) == (8, 8, 10, 14, 14)  # the folder goes on
    assert (clip.label_raw, clip.aus_raw, clip.fps) == ("happiness", "4+7+L10", 200.0)
    assert clips["sub01_EP06_02_01"].aus_raw == "12"  # a number in the table
    assert clips["sub02_EP09f"].first == 98  # img98 .. img104: sorted by number


def test_apex_as_a_slash_and_at_the_ends(root):
    clips = by_id(read("casme2", root))
    assert (clips["sub02_EP02_05"].apex, clips["sub02_EP02_05"].flags) == (None, "no_apex")
    assert (clips["sub03_EP03_01"].apex, clips["sub03_EP03_01"].flags) == (7, "")
    assert (clips["sub03_EP04_01f"].apex, clips["sub03_EP04_01f"].flags) == (9, "")


@pytest.mark.parametrize("name", [
    "CASME2-coding-20140508.xlsx", "CASME2_label_Ver_2.xls", "CASME2-coding-updated.xlsx"])
def test_the_tables_of_2014(root, name):
    (root / "CASME2-coding-20190701.xlsx").unlink()
    micro.casme2_book(root, name)
    reading = read("casme2", root)
    clips = by_id(reading)
    assert reading.release == "2014" and len(clips) == len(micro.CASME2) + 1
    assert clips["sub24_EP02_07"].label_raw == "disgust"
    assert clips["sub24_EP10_03"].label_raw == "sadness"
    assert clips["sub01_EP01_2"].subject == "casme2/sub01"  # text '01' in the table
    assert sum(clip.apex is None for clip in clips.values()) == 2


def test_the_version_of_a_renamed_table_is_told_by_its_extra_row(root):
    (root / "CASME2-coding-20190701.xlsx").rename(root / "CASME2-coding.xlsx")
    assert read("casme2", root).release == "2019"
    (root / "CASME2-coding.xlsx").unlink()
    micro.casme2_book(root, "CASME2-coding-20140508.xlsx")
    (root / "CASME2-coding-20140508.xlsx").rename(root / "CASME2-coding.xlsx")
    assert read("casme2", root).release == "2014"


def test_of_two_tables_the_newest_is_read_unless_told(root):
    micro.casme2_book(root, "CASME2_label_Ver_2.xls")
    reading = read("casme2", root)
    assert reading.release == "2019"
    assert any("CASME2_label_Ver_2.xls" in note for note in reading.notes)
    assert read("casme2", root, variant="2014").release == "2014"
    (root / "CASME2_label_Ver_2.xls").unlink()
    with pytest.raises(MerError, match="index.casme2 = 2014"):
        read("casme2", root, variant="2014")
    with pytest.raises(MerError, match="index.casme2 = '2020'; expected one of auto, 2019, 2014"):
        read("casme2", root, variant="2020")


def test_a_table_of_2019_with_the_row_of_2014_and_the_reverse_are_noted(root):
    micro.casme2_book(root, "CASME2-coding-20140508.xlsx")
    (root / "CASME2-coding-20190701.xlsx").unlink()
    (root / "CASME2-coding-20140508.xlsx").rename(root / "CASME2-coding-20190701.xlsx")
    assert any("EP02_07" in note and "present" in note for note in read("casme2", root).notes)


@pytest.mark.parametrize("raw", ["CASME2_RAW", "CASME2_RAW_selected", "a/b/CASME2-RAW", "."])
def test_raw_frames_are_found_however_the_archive_was_unpacked(root, raw):
    shutil.rmtree(root / "CASME2-RAW")
    micro.casme2_frames(root, raw=raw)
    reading = read("casme2", root)
    assert len(reading.clips) == len(micro.CASME2)
    assert "Cropped" not in reading.clips[0].frames_dir


def test_the_longer_raw_archive_is_read_before_the_selected_one(root):
    micro.casme2_frames(root, raw="A_RAW_selected")
    reading = read("casme2", root)
    assert reading.clips[0].frames_dir.startswith("CASME2-RAW/")
    assert any("a_raw_selected" in note for note in reading.notes)


def test_cropped_images(root):
    assert by_id(read("casme2", root, images="cropped"))["sub02_EP09f"].frames_dir == "Cropped/sub02/EP09f"
    shutil.rmtree(root / "Cropped")
    with pytest.raises(MerError, match="Cropped/sub01.*index.images"):
        read("casme2", root, images="cropped")


def test_videos_only(root):
    shutil.rmtree(root / "CASME2-RAW")
    shutil.rmtree(root / "Cropped")
    (root / "sub01").mkdir()
    (root / "sub01/EP02_01f.avi").write_bytes(b"RIFF")
    with pytest.raises(MerError, match="extract their frames"):
        read("casme2", root)


def test_lost_frames_and_folders(root):
    folder = root / "CASME2-RAW/CASME2-RAW/sub01/EP01_2"
    for number in (8, 9, 11, 15, 16):
        (folder / f"img{number}.jpg").unlink()
    shutil.rmtree(root / "CASME2-RAW/CASME2-RAW/sub03")
    reading = read("casme2", root)
    clip = by_id(reading)["sub01_EP01_2"]
    assert (clip.first, clip.last, clip.flags) == (10, 14, "clamped;gaps")
    assert [row.clip_id for row in reading.excluded] == ["sub03_EP03_01", "sub03_EP04_01f"]
    assert all("not found" in row.reason for row in reading.excluded)


def test_a_missing_column_and_a_missing_table(root):
    micro.write_book(root / "CASME2-coding-20190701.xlsx", {"Sheet1": [["Subject", "Filename"]]})
    with pytest.raises(MerError, match="missing: OnsetFrame, ApexFrame"):
        read("casme2", root)
    (root / "CASME2-coding-20190701.xlsx").unlink()
    with pytest.raises(MerError, match="annotation table not found; expected CASME2-coding-20190701.xlsx"):
        read("casme2", root)


def test_counts_of_the_miniature_stop_and_can_be_accepted(root, capsys):
    with pytest.raises(MerError, match="counts differ from the published ones in set all, 5, 3, 3-megc"):
        build_index("casme2", root)
    clips, summary = build_index("casme2", root, accept_counts=True)
    assert summary["sets"]["5"]["counts"] == {
        "happiness": 1, "disgust": 1, "repression": 1, "surprise": 2, "others": 1}
    assert summary["sets"]["5"]["labels_unused"] == {"fear": 1, "sadness": 1}
    assert summary["sets"]["5"]["expected"]["all"] == 249
    assert "CASME2-coding-20190701.xlsx" in summary["annotation"]["files"]
    # sub24/EP10_03, sadness in 2014, is one of those that the organisers' list lacks
    megc = label_set("casme2", "3-megc")
    left_out = [clip.clip_id for clip in clips if clip.label_raw == "surprise" and class_index(clip, megc) is None]
    assert left_out == ["sub24_EP10_03"]
    assert summary["sets"]["3-megc"]["excluded_by_set"] == [
        {"clip_id": "sub24_EP10_03", "reason": megc.exclude["2019"]["sub24_EP10_03"]}]


def test_two_images_of_one_number_stop(root):
    write_frames(root / "CASME2-RAW/CASME2-RAW/sub01/EP01_2", [9], "img{:04d}.jpg")
    with pytest.raises(MerError, match="both frame 9"):
        read("casme2", root)
