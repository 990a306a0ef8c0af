import pytest
from raw_releases import micro

from mer.base.errors import MerError
from mer.datasets.clips import frame_files
from mer.datasets.index import build_index
from mer.datasets.releases import read


@pytest.fixture(params=[False, True], ids=["emotion first", "subject first"])
def root(tmp_path, request):
    micro.write_mmew(tmp_path, by_subject=request.param)
    return tmp_path


def test_both_layouts(root):
    reading = read("mmew", root)
    clips = {clip.clip_id: clip for clip in reading.clips}
    assert reading.excluded == () and len(clips) == len(micro.MMEW)
    clip = clips["S01-01-001"]
    assert (clip.subject, clip.fps, clip.apex) == ("mmew/S01", 90.0, 6)
    assert [number for number, _ in frame_files(root, clip)] == list(range(1, 13))  # 1, 2, ... not 1, 10, 11
    assert clips["S02-07-001"].label_raw == "others" and "repression" in clips["S02-07-001"].frames_dir


def test_wrong_offsets_and_absolute_numbers(root):
    clips = {clip.clip_id: clip for clip in read("mmew", root).clips}
    clip = clips["S02-02-001"]
    assert (clip.first, clip.last, clip.apex, clip.flags) == (1, 12, 12, "clamped;apex_moved")
    assert (clips["S03-05-001"].last, clips["S03-05-001"].flags) == (12, "offset_guessed")
    clip = clips["S03-06-001"]
    assert (clip.first, clip.last, clip.apex, clip.flags) == (1, 12, None, "renumbered")


def test_label_sets(root):
    _, summary = build_index("mmew", root, accept_counts=True)
    assert summary["sets"]["all"]["counts"]["others"] == 1
    assert sum(summary["sets"]["6"]["counts"].values()) == 5 and summary["sets"]["6"]["expected"]["all"] == 234


def test_macro_images_are_clips_of_one_frame(root):
    reading = read("mmew_macro", root)
    clips = {clip.clip_id: clip for clip in reading.clips}
    assert set(clips) == {f"S0{person}-{code}-00{i}" for person in (1, 2) for code in ("01", "03") for i in (1, 2)}
    clip = clips["S02-03-002"]
    assert (clip.subject, clip.label_raw, clip.first, clip.last) == ("mmew_macro/S02", "anger", 2, 2)
    assert "single_frame" in clip.flags and frame_files(root, clip)[0][1].name == "S02-03-002.jpg"


def test_other_names_of_the_table(tmp_path):
    micro.write_mmew(tmp_path, name="MMEW_Micro_Exp (20).xlsx")
    assert len(read("mmew", tmp_path).clips) == len(micro.MMEW)


def test_what_is_missing(tmp_path):
    micro.write_mmew(tmp_path)
    micro.write_mmew(tmp_path, by_subject=True)
    with pytest.raises(MerError, match="the same clip; keep one"):
        read("mmew", tmp_path)
    (tmp_path / "MMEW_Micro_Exp.xlsx").unlink()
    with pytest.raises(MerError, match="MMEW_Micro_Exp.xlsx"):
        read("mmew", tmp_path)
    with pytest.raises(MerError, match="Macro_Expression/S03/happiness/S03-01-001.jpg"):
        read("mmew_macro", tmp_path / "Micro_Expression")
