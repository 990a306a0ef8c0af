import pytest
from raw_releases import casme3_macro as release
from raw_releases import micro

from mer.base.errors import MerError
from mer.datasets.clips import write_clips
from mer.datasets.index import build_index
from mer.datasets.releases import read
from mer.training.entries import refuse_known_faces


@pytest.fixture(params=["clips", "videos"])
def root(tmp_path, request):
    release.book(tmp_path)
    getattr(release, request.param)(tmp_path)
    return tmp_path


def clips_of(root):
    return {clip.clip_id: clip for clip in read("casme3_macro", root).clips}


def test_both_layouts(root):
    reading = read("casme3_macro", root)
    clips = clips_of(root)
    assert reading.release == "a_v2"
    assert list(clips) == ["spNO.1_a_40", "spNO.1_a_60", "spNO.2_j_5", "spNO.2_b_3"]
    clip = clips["spNO.1_a_40"]
    assert (clip.subject, clip.onset, clip.apex, clip.offset, clip.fps) == ("casme3_macro/spNO.1", 40, 45, 52, 30.0)
    assert (clip.first, clip.last, clip.label_raw, clip.aus_raw, clip.flags) == (40, 52, "happiness", "6+12", "")
    assert all("depth" not in clip.frames_dir and "Part_A_ME" not in clip.frames_dir for clip in clips.values())
    assert [(row.clip_id, row.reason) for row in reading.excluded] == [("spNO.3_c_3", "its table has no emotion")]


def test_odd_rows_follow_the_rules(root):
    clips = clips_of(root)
    own = "MaE_clip" in clips["spNO.2_j_5"].frames_dir
    clip = clips["spNO.2_j_5"]
    assert (clip.offset, clip.flags) == (29 if own else 19, "offset_guessed")
    assert (clips["spNO.2_b_3"].offset, clips["spNO.2_b_3"].flags) == (400, "")  # long is no error here
    assert (clips["spNO.1_a_60"].apex, clips["spNO.1_a_60"].flags) == (None, "apex_at_onset")


def test_videos_serve_the_expressions_without_a_folder_of_their_own(tmp_path):
    release.book(tmp_path)
    release.videos(tmp_path)
    micro.write_frames(tmp_path / "Part_A_MaE_clip/frame/spNo.1_a_40", range(40, 53), "{}.jpg")
    found = {name: clip.frames_dir for name, clip in clips_of(tmp_path).items()}
    assert found["spNO.1_a_40"] == "Part_A_MaE_clip/frame/spNo.1_a_40"
    assert found["spNO.1_a_60"].endswith("part_A/spNO.1/a/color")


def test_the_columns_of_the_micro_table_and_bare_numbers(root):
    rows = [[int(row[0].split(".")[1]), *row[1:5], row[6]] for row in release.ROWS]
    release.book(root, ["Subject", "Filename", "Onset", "Apex", "Offset", "emotion"], rows)
    clip = clips_of(root)["spNO.1_a_40"]
    assert (clip.subject, clip.aus_raw) == ("casme3_macro/spNO.1", "")


def test_two_expressions_with_one_onset_are_told_apart_by_offset(root):
    release.book(root, rows=[*release.ROWS, ("spNO.1", "a", 40, 44, 48, 4, "disgust")])
    assert {"spNO.1_a_40_52", "spNO.1_a_40_48", "spNO.1_a_60"} <= set(clips_of(root))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MerError, match="annotation table not found; expected cas.*MaE_label_JpgIndex_v2_emotion"):
        read("casme3_macro", tmp_path)
    release.book(tmp_path)
    with pytest.raises(MerError, match="no frames found in the layout Part_A_MaE_clip"):
        read("casme3_macro", tmp_path)
    release.clips(tmp_path)
    release.book(tmp_path, release.HEADER[:6])
    with pytest.raises(MerError, match="missing: emotion"):
        read("casme3_macro", tmp_path)
    release.book(tmp_path, ["who", *release.HEADER[1:]])
    with pytest.raises(MerError, match="missing: Subject, Filename"):
        read("casme3_macro", tmp_path)
    release.book(tmp_path, rows=[("sub one", *release.ROWS[0][1:])])
    with pytest.raises(MerError, match="row 2, the subject is 'sub one'"):
        read("casme3_macro", tmp_path)


def test_the_people_are_those_of_casme3(tmp_path):
    micro.write_casme3(tmp_path)
    release.book(tmp_path)
    release.clips(tmp_path)
    for dataset in ("casme3", "casme3_macro"):
        clips = read(dataset, tmp_path).clips
        write_clips(tmp_path / "aligned" / dataset / "clips.csv", list(clips))
    with pytest.raises(MerError, match=r"shows 1 of the people who are tested \(casme3/spNO.1\)"):
        refuse_known_faces(tmp_path, ("casme3_macro",), ("casme3",))


def test_label_sets(root):
    _, summary = build_index("casme3_macro", root)  # no count is certain, so none stops
    assert summary["sets"]["7"]["loose"] == ["total"]
    assert summary["sets"]["4"]["counts"] == {"negative": 2, "positive": 1, "surprise": 0, "others": 1}
    assert summary["sets"]["6"]["labels_unused"] == {"Others": 1}
