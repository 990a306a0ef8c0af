import pytest
from raw_releases import dfme

from mer.base.errors import MerError
from mer.datasets.class_sets import known_labels
from mer.datasets.clips import frame_files
from mer.datasets.index import build_index
from mer.datasets.releases import read
from mer.evaluation import protocols


@pytest.fixture
def root(tmp_path):
    dfme.write_dfme(tmp_path)
    return tmp_path


def clips_of(root):
    return {clip.clip_id: clip for clip in read("dfme", root).clips}


def test_three_sets_with_the_frame_rate_of_each_row(root):
    reading = read("dfme", root)
    clips = clips_of(root)
    assert (reading.release, reading.excluded, len(clips)) == ("train-a-b", (), 5)
    assert {name: clip.fps for name, clip in clips.items()} == {
        "sub9001_01": 200, "sub9001_02": 500, "sub9002_01": 300, "sub9003_01": 200, "sub9004_10": 500}
    clip = clips["sub9003_01"]
    assert (clip.subject, clip.frames_dir, clip.aus_raw) == (
        "dfme/sub9003", "test_data_A/test_data_A/sub9003_01", "4+7+L14")
    assert (clip.onset, clip.apex, clip.offset, clip.first, clip.last) == (2, 5, 9, 2, 9)
    assert [clips[name].flags for name in ("sub9001_02", "sub9003_01", "sub9004_10")] == ["train", "test1", "test2"]
    assert len(reading.tables) == 3 and "testB_full_with_AU.xlsx holds 1 clips of 1 subjects" in reading.notes


def test_frames_are_counted_from_0(root):
    clip = clips_of(root)["sub9001_01"]
    assert (clip.onset, clip.first, clip.apex, clip.flags, clip.aus_raw) == (0, 0, 4, "train", "6+12")
    assert frame_files(root, clip)[0][1].name == "00000.png"
    assert clips_of(root)["sub9002_01"].aus_raw == ""


def test_official_folds_train_on_the_training_set_alone(root):
    clips, summary = build_index("dfme", root, accept_counts=True)
    names = known_labels()["dfme"].sets["7"].names
    labels = [names.index(clip.label_raw.lower()) for clip in clips]
    folds = protocols.split("official", [clip.clip_id for clip in clips], labels, [clip.subject for clip in clips],
                            ["dfme"], flags=[clip.flags for clip in clips])
    named = {fold.name: [[clips[i].clip_id for i in part] for part in (fold.train, fold.test)] for fold in folds}
    train = ["sub9001_01", "sub9001_02", "sub9002_01"]
    assert named == {"test1": [train, ["sub9003_01"]], "test2": [train, ["sub9004_10"]]}
    assert protocols.parts(folds) == ("test1", "test2")
    assert summary["flags"]["train"]["count"] == 3


def test_sets_without_a_table_or_without_emotions(tmp_path, monkeypatch):
    dfme.write_dfme(tmp_path / "one", sets=("training",))
    assert read("dfme", tmp_path / "one").release == "train"
    monkeypatch.setitem(dfme.SETS, "testA", [(*dfme.SETS["testA"][0][:5], "", 200, [])])
    dfme.write_dfme(tmp_path / "two", sets=("training", "testA"))
    reading = read("dfme", tmp_path / "two")
    assert reading.release == "train-a" and len(reading.clips) == 3
    assert [(row.clip_id, row.reason) for row in reading.excluded] == [("sub9003_01", "its table has no emotion")]


def test_other_file_names_and_a_csv(root):
    for path in root.glob("*.xlsx"):
        path.unlink()
    dfme.book(root, "training", file="DFME_{}_full_with_AU.xlsx")
    line = "sub9003,sub9003_01,2,5,9,anger,0,200,4"
    (root / "DFME_test_A_full_with_AU.csv").write_text(f"{','.join(dfme.HEADER)}\n{line}\n")
    reading = read("dfme", root)
    assert reading.release == "train-a" and len(reading.clips) == 4


def test_a_subject_in_two_sets_is_told(root, monkeypatch):
    monkeypatch.setitem(dfme.SETS, "testB", [("sub9001", "sub9001_07", *dfme.SETS["testB"][0][2:])])
    dfme.write_dfme(root, sets=("testB",))
    assert "1 subjects are in the training set and in a test set: sub9001" in read("dfme", root).notes


def test_what_is_missing_is_named(root, monkeypatch):
    monkeypatch.setitem(dfme.SETS, "training", [(*dfme.SETS["training"][0][:6], "fast", [])])
    dfme.book(root, "training")
    with pytest.raises(MerError, match=r"training_full_with_AU.xlsx: row 2, column Fps holds 'fast'"):
        read("dfme", root)
    dfme.book(root, "training", header=dfme.HEADER[:7])
    with pytest.raises(MerError, match="missing: Fps"):
        read("dfme", root)
    for path in root.glob("*.xlsx"):
        path.unlink()
    with pytest.raises(MerError, match=r"annotation table not found; expected training_full_with_AU\.xlsx"):
        read("dfme", root)


def test_a_lost_folder_and_the_published_counts(root):
    for path in sorted((root / "DFME_train/sub9002_01").iterdir()):
        path.unlink()
    _, summary = build_index("dfme", root, accept_counts=True)
    assert [row["clip_id"] for row in summary["excluded"]] == ["sub9002_01"]
    assert summary["sets"]["7"]["expected"] == {"all": 2629, "subjects": 259} and not summary["sets"]["7"]["agrees"]
