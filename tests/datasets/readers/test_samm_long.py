import shutil

import pytest
from raw_releases import micro
from raw_releases import samm_long as release

from mer.base.errors import MerError
from mer.datasets.clips import frame_files, write_clips
from mer.datasets.index import build_index, survey, table
from mer.datasets.releases import read
from mer.training.entries import refuse_known_faces


@pytest.fixture
def root(tmp_path):
    release.write_samm_long(tmp_path)
    return tmp_path


def clips_of(root):
    return {clip.clip_id: clip for clip in read("samm_long", root).clips}


def test_the_expressions_of_a_video_share_its_folder(root):
    reading = read("samm_long", root)
    clips = clips_of(root)
    assert reading.excluded == () and set(clips) == {row[1] for row in release.ROWS}
    clip = clips["020_6_5"]
    assert (clip.subject, clip.frames_dir, clip.fps) == ("samm_long/020", "SAMM_longvideos/020_6", 200.0)
    assert (clip.onset, clip.apex, clip.offset, clip.label_raw, clip.aus_raw, clip.flags) == (
        9998, 10001, 10005, "macro", "ref(5)+20C", "units_unread")
    assert (clips["020_6_11"].frames_dir, clips["020_6_11"].label_raw) == (clip.frames_dir, "micro")
    assert {path.name for _, path in frame_files(root, clip)} >= {"020_6_9999.jpg", "020_6_10000.jpg"}


def test_odd_rows_follow_the_rules(root):
    clips = clips_of(root)
    clip = clips["006_1_3"]  # onset 0 would take in what comes before
    assert (clip.onset, clip.apex, clip.offset, clip.flags) == (52, 61, 70, "onset_guessed")
    assert (clips["006_1_4"].apex, clips["006_1_4"].flags) == (None, "no_apex")
    assert (clips["031_2_1"].offset, clips["031_2_1"].flags) == (11, "offset_guessed")


def test_only_a_macro_expression_may_last_long(root):
    shutil.rmtree(root / "SAMM_longvideos/031_2")
    micro.write_frames(root / "SAMM_longvideos/031_2", range(1, 2500, 20), "031_2_{:04d}.jpg")
    for kind, flags in (("Macro", "gaps"), ("Micro - 1/2", "offset_guessed;gaps")):
        release.book(root, rows=[(31, "031_2_1", 41.0, 81.0, 2481.0, kind, "4")])
        assert clips_of(root)["031_2_1"].flags == flags


@pytest.mark.parametrize("notes", [0, 10])
def test_notes_of_any_length_and_the_newest_version(root, notes):
    expected = read("samm_long", root)
    release.book(root, notes=notes)
    release.book(root, "SAMM_LongVideos_V1_Release.xlsx", rows=release.ROWS[:1])
    reading = read("samm_long", root)
    assert reading.clips == expected.clips
    assert f"{release.TABLE} was read, not SAMM_LongVideos_V1_Release.xlsx" in reading.notes


def test_emotions_come_from_the_table_of_samm(root):
    before = build_index("samm_long", root, accept_counts=True)[1]
    assert before["sets"]["5"]["counts"]["anger"] == 0
    release.emotions(root)
    clips = clips_of(root)
    assert [clips[name].label_raw for name in ("006_1_2", "020_6_11", "031_2_1", "006_1_3")] == [
        "micro anger", "micro other", "micro", "macro"]
    summary = survey("samm_long", root, read("samm_long", root))
    assert summary["sets"]["type"]["counts"] == before["sets"]["type"]["counts"] == {"micro": 3, "macro": 3}
    assert summary["sets"]["5"]["counts"] == {"happiness": 0, "anger": 1, "contempt": 0, "surprise": 0, "others": 1}
    assert summary["annotation"]["files"] == [release.TABLE, "SAMM_Micro_FACS_Codes_v2.xlsx"]
    assert "SAMM_Micro_FACS_Codes_v2.xlsx tells the emotions of 2 of 3 micro-expressions" in table(summary)


def test_expressions_of_one_name_are_told_apart_by_onset(root):
    release.book(root, rows=[*release.ROWS, (6, "006_1_2", 50.0, 52.0, 60.0, "Macro", "4")])
    assert {"006_1_2_40", "006_1_2_50"} <= set(clips_of(root))


def test_only_counts_of_types_stop_the_run(root):
    with pytest.raises(MerError, match="differ from the published ones in set type "):
        build_index("samm_long", root)


def test_the_table_of_samm_is_told(root):
    (root / release.TABLE).unlink()
    micro.samm_book(root)
    with pytest.raises(MerError, match=r"FACS_Codes_v2.xlsx is SAMM's own table, .*\(dataset samm\); expected that of"):
        read("samm_long", root)
    (root / "SAMM_Micro_FACS_Codes_v2.xlsx").rename(root / release.TABLE)
    with pytest.raises(MerError, match="V3_Release.xlsx is SAMM's own table"):
        read("samm_long", root)


def test_what_is_missing_is_named(root):
    release.book(root, header=[*release.HEADER[:7], "Kind", *release.HEADER[8:]])
    with pytest.raises(MerError, match="missing: Type"):
        read("samm_long", root)
    release.book(root, rows=[(*release.ROWS[0][:5], "Blink", "45")])
    with pytest.raises(MerError, match="expression '006_1_2', column Type holds 'Blink'; expected Macro or Micro"):
        read("samm_long", root)
    release.book(root, rows=[("six", *release.ROWS[0][1:])])
    with pytest.raises(MerError, match="expression '006_1_2', column Subject holds 'six'"):
        read("samm_long", root)
    release.book(root)
    shutil.rmtree(root / "SAMM_longvideos/006_1")
    assert {(row.clip_id, row.reason) for row in read("samm_long", root).excluded} == {
        (name, "frame folder not found: SAMM_longvideos/006_1") for name in ("006_1_2", "006_1_3", "006_1_4")}
    shutil.rmtree(root / "SAMM_longvideos")
    with pytest.raises(MerError, match=r"no frames found in the layout SAMM_longvideos/020_6/020_6_0001\.jpg"):
        read("samm_long", root)
    (root / release.TABLE).unlink()
    with pytest.raises(MerError, match="annotation table not found; expected SAMM_LongVideos_V3_Release"):
        read("samm_long", root)


def test_the_people_are_those_of_samm(root, tmp_path):
    micro.write_samm(tmp_path / "short")
    for dataset, place in (("samm", tmp_path / "short"), ("samm_long", root)):
        write_clips(tmp_path / "aligned" / dataset / "clips.csv", list(read(dataset, place).clips))
    with pytest.raises(MerError, match=r"shows 2 of the people who are tested \(samm/006, samm/031\)"):
        refuse_known_faces(tmp_path, ("samm_long",), ("samm",))
