import shutil

import cv2
import pytest
from raw_releases import micro

from mer.base.errors import MerError
from mer.datasets.clips import frame_files
from mer.datasets.index import build_index
from mer.datasets.releases import read


@pytest.fixture
def root(tmp_path):
    micro.write_samm(tmp_path)
    return tmp_path


def clips_of(root, **options):
    return {clip.clip_id: clip for clip in read("samm", root, **options).clips}


def test_the_table_below_its_notes(root):
    reading = read("samm", root)
    clips = clips_of(root)
    assert len(clips) == len(micro.SAMM) and reading.excluded == ()
    clip = clips["006_1_2"]
    assert (clip.subject, clip.frames_dir, clip.fps) == ("samm/006", "SAMM/006/006_1_2", 200.0)
    assert (clip.onset, clip.apex, clip.offset, clip.aus_raw) == (9998, 10001, 10004, "(R6 or R12)+R15")


def test_a_table_with_the_header_in_row_1(root):
    expected = read("samm", root).clips
    (root / "SAMM_Micro_FACS_Codes_v2.xlsx").unlink()
    micro.samm_book(root, "SAMM_20181215_Micro_FACS_Codes_v2.xlsx", notes=0)
    assert read("samm", root).clips == expected


def test_four_and_five_digits_in_one_tree(root):
    clips = clips_of(root)
    assert [number for number, _ in frame_files(root, clips["006_2_11"])] == list(range(995, 1003))
    assert [number for number, _ in frame_files(root, clips["006_1_2"])] == list(range(9998, 10005))
    path = frame_files(root, clips["006_2_11"])[0][1]
    assert path.name == "006_0995.jpg" and cv2.imread(str(path), cv2.IMREAD_UNCHANGED).ndim == 2


def test_an_apex_outside_is_dropped_and_the_clip_stays(root):
    clips = clips_of(root)
    for name in ("007_3_1", "007_3_2"):
        assert (clips[name].apex, clips[name].flags) == (None, "apex_outside")


def test_other_and_others_are_one_class(root):
    _, summary = build_index("samm", root, accept_counts=True)
    assert summary["labels"]["Other"] == summary["labels"]["Others"] == 1
    assert summary["sets"]["5"]["counts"]["others"] == 2
    assert summary["sets"]["3"]["counts"] == {"negative": 3, "positive": 1, "surprise": 1}


def test_cropped_images_and_long_videos(root):
    assert clips_of(root, images="cropped")["006_1_2"].frames_dir == "SAMM_CROP/006/006_1_2"
    (root / "SAMM_LongVideos_V2_Release.xlsx").write_bytes(b"another product")
    assert len(clips_of(root)) == len(micro.SAMM)
    shutil.rmtree(root / "SAMM")
    with pytest.raises(MerError, match="samm_crop looks alike.*index.images"):
        clips_of(root)
