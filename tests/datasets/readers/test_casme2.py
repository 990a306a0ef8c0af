import shutil
from dataclasses import replace

import pytest
from raw_releases import micro
from raw_releases.plain import write_frames

from mer.base.errors import MerError
from mer.base.store import write_json
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
    assert (clips["sub03_EP03_01"].apex, clips["sub03_EP03_01"].flags) == (None, "apex_at_onset")
    assert (clips["sub03_EP04_01f"].apex, clips["sub03_EP04_01f"].flags) == (9, "")


def objective_book(root, rows, name="CASME2-ObjectiveClasses.xlsx"):
    micro.write_book(root / name, {"Sheet1": [["Subject", "Filename", "Objective Class"], *rows]})


def test_objective_classes_stand_in_a_second_table(root):
    before, summary = build_index("casme2", root, accept_counts=True)
    assert not any(clip.objective for clip in before)
    write_json(root / "index/casme2/summary.json", summary)
    with pytest.raises(MerError, match="'objective' of dataset casme2 is of a column .* put the table that has it"):
        label_set("casme2", "objective", root / "index")
    objective_book(root, [["01", "EP01_2", 2], ["24", "EP10_03", 1], ["03", "EP04_01f", 7], ["09", "EP02_02f", 1]])
    after, summary = build_index("casme2", root, accept_counts=True)
    assert {clip.clip_id: clip.objective for clip in after if clip.objective} == {
        "sub01_EP01_2": "2", "sub24_EP10_03": "1", "sub03_EP04_01f": "7"}
    assert [replace(clip, objective="") for clip in after] == before
    entry = summary["sets"]["objective"]
    assert (entry["column"], entry["counts"]) == ("objective", {"I": 1, "II": 1, "III": 0, "IV": 0, "V": 0})
    assert entry["expected"]["all"] == 185 and entry["labels_unused"] == {"": 5, "7": 1}
    assert summary["annotation"]["files"] == ["CASME2-coding-20190701.xlsx", "CASME2-ObjectiveClasses.xlsx"]
    assert "5 rows have no objective class in CASME2-ObjectiveClasses.xlsx" in summary["notes"]
    write_json(root / "index/casme2/summary.json", summary)
    labels = label_set("casme2", "objective", root / "index")
    assert [class_index(clip, labels) for clip in after if clip.objective] == [1, None, 0]


def test_a_second_table_that_cannot_be_read_is_told(root):
    micro.write_book(root / "CASME2-ObjectiveClasses.xlsx", {"Sheet1": [["Subject", "Filename"]]})
    reading = read("casme2", root)
    assert len(reading.clips) == len(micro.CASME2) and reading.tables == ("CASME2-coding-20190701.xlsx",)
    assert any("not read" in note and "missing: Objective Class" in note for note in reading.notes)


@pytest.mark.parametrize(("name", "release"), [
    ("CASME2-coding-20140508.xlsx", "2014"), ("CASME2_label_Ver_2.xls", "2014"),
    ("CASME2-coding-updated.xlsx", "updated")])
def test_the_older_tables(root, name, release):
    (root / "CASME2-coding-20190701.xlsx").unlink()
    micro.casme2_book(root, name)
    reading = read("casme2", root)
    clips = by_id(reading)
    assert reading.release == release and len(clips) == len(micro.CASME2) + (release == "updated")
    assert ("sub24_EP02_07" in clips) == (release == "updated")
    assert clips["sub24_EP10_03"].label_raw == "sadness"
    assert clips["sub01_EP01_2"].subject == "casme2/sub01"  # text '01' in the table
    assert {clip.clip_id for clip in clips.values() if "no_apex" in clip.flags} == {"sub02_EP02_05", "sub03_EP03_01"}
    assert not reading.notes


@pytest.mark.parametrize(("made", "release"), [
    ("CASME2-coding-20190701.xlsx", "2019"), ("CASME2-coding-20140508.xlsx", "2014"),
    ("CASME2-coding-updated.xlsx", "updated")])
@pytest.mark.parametrize("named", [
    "CASME2-coding.xlsx", "CASME2-coding-20190701.xlsx", "CASME2-coding-20140508.xlsx", "casmeii_coding.xlsx"])
def test_the_version_of_a_table_is_told_by_what_it_holds(root, made, release, named):
    (root / "CASME2-coding-20190701.xlsx").unlink()
    micro.casme2_book(root, made)
    (root / made).rename(root / named)
    assert read("casme2", root).release == release


@pytest.mark.parametrize(("name", "release"), [("CASME2-coding.xlsx", "2019"), ("CASME2-coding-20140508.xlsx", "2014")])
def test_a_table_without_the_rows_that_differ_is_told_by_its_name(root, name, release):
    (root / "CASME2-coding-20190701.xlsx").unlink()
    rows = [row for row in micro.CASME2 if row[0] != 24]
    micro.casme2_book(root, "CASME2-coding-20190701.xlsx", rows)
    (root / "CASME2-coding-20190701.xlsx").rename(root / name)
    assert read("casme2", root).release == release


# how many clips of each emotion the table of 2014 has; every row below is invented but the names of the rows that
# published lists leave out or that changed their label
EMOTIONS_2014 = {"happiness": 32, "disgust": 63, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2,
                 "others": 99}


def invented_2014():
    rows = [(24, name, 1, 2, 3, "1", "sadness") for name in ("EP07_01", "EP07_04f", "EP10_03")]
    rows += [(4, "EP12_01f", 1, "/", 3, "4", "disgust"), (5, "EP09_05f", 1, 1, 3, "4", "disgust"),
             (10, "x1", 1, 2, 3, "1", "fear"), (10, "x2", 1, 2, 3, "1", "others"), (18, "x3", 1, 2, 3, "1", "others")]
    persons = [person for person in range(1, 27) if person not in (10, 18)]
    for emotion, count in EMOTIONS_2014.items():
        missing = count - sum(row[-1] == emotion for row in rows)
        rows += [(persons[i % len(persons)], f"{emotion}{i}", 1, 2, 3, "1", emotion) for i in range(missing)]
    return rows


@pytest.mark.parametrize("name", ["CASME2-coding-20140508.xlsx", "CASME2-coding.xlsx"])
def test_a_table_of_2014_of_full_size_passes_in_every_set(tmp_path, name):
    header = [cell for cell in micro.CASME2_HEADER if cell]
    micro.write_book(tmp_path / "CASME2_RAW_selected" / name, {"Sheet1": [header, *invented_2014()]})
    for subject, file, *_ in invented_2014():
        folder = tmp_path / f"CASME2_RAW_selected/sub{subject:02d}/{file}"
        folder.mkdir(parents=True)
        for number in (1, 2, 3):
            (folder / f"img{number}.jpg").touch()
    clips, summary = build_index("casme2", tmp_path)  # stopped before
    assert len(clips) == 255 and summary["release"] == "2014"
    totals = {name: sum(entry["counts"].values()) for name, entry in summary["sets"].items()}
    assert totals == {"all": 255, "5": 246, "3": 156, "3-megc": 145, "3-150": 147, "3-147": 147, "3-shared": 156,
                      "4": 255, "4-repression": 255}
    assert list(summary["sets"]["3"]["counts"].values()) == [99, 32, 25]
    assert list(summary["sets"]["3-150"]["counts"].values()) == [90, 32, 25]


def test_of_two_tables_the_newest_is_read_unless_told(root):
    micro.casme2_book(root, "CASME2_label_Ver_2.xls")
    reading = read("casme2", root)
    assert reading.release == "2019"
    assert any("CASME2_label_Ver_2.xls" in note for note in reading.notes)
    assert read("casme2", root, variant="2014").release == "2014"
    (root / "CASME2_label_Ver_2.xls").unlink()
    with pytest.raises(MerError, match="index.casme2 = 2014"):
        read("casme2", root, variant="2014")
    with pytest.raises(MerError, match="index.casme2 = '2020'; expected one of auto, 2019, 2014, updated"):
        read("casme2", root, variant="2020")


def test_a_table_that_cannot_be_read_is_noted_when_another_can(root):
    (root / "CASME2_label_Ver_2.xls").write_bytes(b"\xff\xfe damaged")
    reading = read("casme2", root)
    assert reading.release == "2019" and any("Ver_2.xls cannot be read" in note for note in reading.notes)


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
    # of 8..14 the apex, 10, is now the first frame: nothing is left of the rise
    assert (clip.first, clip.last, clip.apex, clip.flags) == (10, 14, None, "clamped;gaps;apex_at_onset")
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
