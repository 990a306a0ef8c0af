import shutil

import pytest
from raw_releases import micro

from mer.base.errors import MerError
from mer.datasets.index import build_index
from mer.datasets.releases import read


@pytest.fixture(params=["clips", "videos"])
def root(tmp_path, request):
    micro.casme3_book(tmp_path)
    getattr(micro, f"casme3_{request.param}")(tmp_path)
    return tmp_path


def clips_of(root, **options):
    return {clip.clip_id: clip for clip in read("casme3", root, **options).clips}


def test_both_layouts(root):
    reading = read("casme3", root)
    clips = clips_of(root)
    assert reading.release == "a_v2" and reading.excluded == () and len(clips) == len(micro.CASME3)
    clip = clips["spNO.1_a_355"]
    assert (clip.subject, clip.onset, clip.apex, clip.offset, clip.last) == ("casme3/spNO.1", 355, 358, 362, 362)
    assert clip.aus_raw == "4+L14"
    assert clips["spNO.1_a_400"].first == 400  # another expression of the same video
    assert "depth" not in clip.frames_dir and "MaE" not in clip.frames_dir


def test_lost_first_frames_upper_case_file_and_apex_0(root):
    clips = clips_of(root)
    clip = clips["spNO.14_j_3"]
    assert (clip.first, clip.last, clip.flags) == (9, 15, "clamped")
    clip = clips["spNO.216_e_0"]
    assert (clip.onset, clip.apex, clip.first, clip.last, clip.flags) == (0, None, 1, 9, "no_apex;clamped")


def test_mistyped_onsets_and_offsets(root):
    clips = clips_of(root)
    own = "Part_A_ME_clip" in clips["spNO.1_a_355"].frames_dir
    clip = clips["spNO.216_d_3647"]
    assert (clip.onset, clip.apex, clip.flags) == (2645, 2650, "onset_guessed") and clip.first == 2645
    clip = clips["spNO.40_e_1830"]
    assert (clip.offset, clip.last, clip.flags) == ((1844, 1844) if own else (1838, 1838)) + ("offset_guessed",)
    clip = clips["spNO.214_c_5"]
    assert (clip.offset, clip.last, clip.flags) == ((39, 39) if own else (19, 19)) + ("offset_guessed",)
    clip = clips["spNO.149_d_112"]
    assert (clip.onset, clip.apex, clip.flags) == (112, None, "apex_outside")


def test_others_in_two_spellings(root):
    _, summary = build_index("casme3", root, accept_counts=True)
    assert summary["labels"]["Others"] == summary["labels"]["others"] == 1
    assert summary["sets"]["7"]["counts"]["others"] == 2
    assert summary["sets"]["4"]["counts"] == {"negative": 4, "positive": 1, "surprise": 1, "others": 2}


def test_table_versions(root):
    micro.casme3_book(root, "v1")
    assert read("casme3", root).release == "a_v2"
    assert any("_v1.xls" in note for note in read("casme3", root).notes)
    reading = read("casme3", root, variant="a_v1")
    assert reading.release == "a_v1" and [row.clip_id for row in reading.excluded] == ["spNO.2_a_5"]


def test_missing_table_and_frames(root):
    with pytest.raises(MerError, match="JpgIndex_v1"):
        read("casme3", root, variant="a_v1")
    shutil.rmtree(next(path for path in root.iterdir() if path.name.lower() == "part_a" or "ME_clip" in path.name))
    if (root / "Part_A_MaE_clip").exists():
        shutil.rmtree(root / "Part_A_MaE_clip")
    (root / "video").mkdir()
    (root / "video/spNo.1_a_355.mp4").write_bytes(b"x")
    with pytest.raises(MerError, match="extract their frames"):
        read("casme3", root)


def test_part_c_has_no_apex(tmp_path):
    micro.write_casme3_c(tmp_path)
    reading = read("casme3", tmp_path, variant="c")
    clips = {clip.clip_id: clip for clip in reading.clips}
    assert reading.release == "c" and len(clips) == 4
    clip = clips["c01_12"]
    assert (clip.apex, clip.aus_raw, clip.frames_dir) == (None, "6,12", "part_C/part_C/01/a/color")
    assert clips["c12_3"].aus_raw == "4"
    _, summary = build_index("casme3", tmp_path, accept_counts=True, variant="c")
    assert summary["sets"]["4"]["counts"] == {"negative": 1, "positive": 1, "surprise": 1, "others": 1}


def test_an_apex_at_the_onset_is_none_and_a_late_offset_behind_it_gives_no_single_frame(tmp_path):
    micro.casme3_book(tmp_path)
    micro.casme3_videos(tmp_path)
    sheet = [micro.CASME3_HEADER, ["spNO.1", "a", 355, 355, 362, "4", "IV", "disgust"],
             ["spNO.214", "c", 5, 5, 3460, "4", "IV", "others"]]
    name = "annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    micro.write_book(tmp_path / name, {"label": sheet})
    assert [(clip.apex, clip.first, clip.last, clip.flags) for clip in read("casme3", tmp_path).clips] == [
        (None, 355, 362, "apex_at_onset"), (None, 5, 20, "offset_guessed;apex_at_onset")]


@pytest.mark.parametrize("name", ["_v2_final.xlsx", "_v2_refined.xlsx", "_v2 (1).xlsx"])
def test_tables_with_names_of_ones_own(root, name):
    book = root / "annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    copy = book.with_name(book.name.replace("_v2.xlsx", name))
    shutil.copy(book, copy)
    assert read("casme3", root).tables == (f"annotation/{book.name}",)  # the release's own before a user's
    book.unlink()
    assert read("casme3", root).tables == (f"annotation/{copy.name}",)
