import shutil

import pytest
from raw_releases import casme

from mer.base.errors import MerError
from mer.datasets.clips import frame_files
from mer.datasets.index import build_index
from mer.datasets.releases import read


@pytest.fixture
def root(tmp_path):
    casme.write_casme(tmp_path)
    return tmp_path


def clips_of(root, **options):
    return {clip.clip_id: clip for clip in read("casme", root, **options).clips}


def test_table_and_frames(root):
    reading = read("casme", root)
    clips = clips_of(root)
    assert (reading.release, reading.excluded, len(clips)) == ("2013", (), 5)
    clip = clips["sub01_EP01_5"]
    assert (clip.subject, clip.frames_dir, clip.fps) == ("casme/sub01", "CASME_raw_selected/sub01/EP01_5", 60.0)
    assert (clip.onset, clip.apex, clip.offset, clip.aus_raw, clip.flags) == (98, 101, 106, "4+L10", "")
    assert [number for number, _ in frame_files(root, clip)] == list(range(98, 107))  # EP01_5-98, EP01_5-100
    assert frame_files(root, clips["sub35_EP03_1"])[0][1].name == "EP03_1-0005.jpg"


def test_cropped_images(root):
    clip = clips_of(root, images="cropped")["sub01_EP01_5"]
    assert clip.frames_dir == "Cropped/sub01/EP01_5"
    assert frame_files(root, clip)[0][1].name == "reg_EP01_5-98.jpg"
    shutil.rmtree(root / "CASME_raw_selected")
    with pytest.raises(MerError, match=r"no frames found in the layout CASME_raw_selected/.*looks alike"):
        read("casme", root)


def test_wrong_frames_follow_the_rules(root):
    clips = clips_of(root)
    clip = clips["sub02_EP12_3"]
    assert (clip.onset, clip.apex, clip.offset, clip.flags) == (100, None, 110, "renumbered")
    clip = clips["sub02_EP12_4"]
    assert (clip.onset, clip.apex, clip.offset, clip.last, clip.flags) == (20, 24, 90, 30, "clamped")
    assert (clips["sub35_EP03_1"].apex, clips["sub35_EP03_1"].flags) == (None, "no_apex")


def test_a_table_without_action_units(root):
    casme.book(root, [*casme.HEADER[:8], None, "Emotion"])
    assert clips_of(root)["sub01_EP01_5"].aus_raw == ""


def test_what_is_missing_is_named(root):
    casme.book(root, rows=[("one", *casme.ROWS[0][1:])])
    with pytest.raises(MerError, match="casme.xlsx: row 2, column Subject holds 'one'"):
        read("casme", root)
    casme.book(root, [*casme.HEADER[:9], "Feeling"])
    with pytest.raises(MerError, match="missing: Emotion"):
        read("casme", root)
    casme.book(root)
    shutil.rmtree(root / "CASME_raw_selected/sub35")
    assert [row.reason for row in read("casme", root).excluded] == [
        "frame folder not found: CASME_raw_selected/sub35/EP03_1"]
    (root / "casme.xlsx").unlink()
    with pytest.raises(MerError, match=r"annotation table not found; expected casme\.xlsx"):
        read("casme", root)


def test_label_sets(root):
    _, summary = build_index("casme", root)  # the total is second-hand, so it does not stop
    assert summary["sets"]["all"]["loose"] == ["total"] and summary["sets"]["all"]["counts"]["happiness"] == 1
    assert summary["sets"]["4-tense"]["counts"] == {"disgust": 1, "repression": 1, "surprise": 1, "tense": 1}
    assert summary["sets"]["4-tense"]["labels_unused"] == {"Happiness": 1}
