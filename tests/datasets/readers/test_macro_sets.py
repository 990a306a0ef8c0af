import itertools
import shutil

import pytest
from raw_releases import macro, plain

from mer.base.errors import MerError
from mer.datasets.clips import frame_files
from mer.datasets.index import build_index
from mer.datasets.readers import affwild2
from mer.datasets.releases import read


def clips_of(name, root, **options):
    return {clip.clip_id: clip for clip in read(name, root, **options).clips}


def test_affwild2_runs_of_one_label_are_joined_by_frame_number(tmp_path):
    macro.write_affwild2(tmp_path)
    reading = read("affwild2", tmp_path)
    clips = clips_of("affwild2", tmp_path)
    assert reading.release == "8"
    clip = clips["12-30-1920x1080_00007"]  # frames 5 and 6 are labelled -1, image 10 is missing
    assert (clip.label_raw, clip.first, clip.last) == ("Happiness", 7, 11) and "gaps" in clip.flags
    assert [number for number, _ in frame_files(tmp_path, clip)] == [7, 8, 9, 11]
    left = clips["video5_left_00001"]
    assert (left.subject, left.label_raw) == ("affwild2/video5_left", "Fear")
    assert "train" in clip.flags.split(";") and "validation" in clips["135_00001"].flags.split(";")
    assert [row.clip_id for row in reading.excluded] == ["no_crops"]
    assert any("2 frames are labelled -1" in note for note in reading.notes)
    assert not any(".DS_Store" in clip.frames_dir for clip in clips.values())


def test_affwild2_editions(tmp_path):
    macro.write_affwild2(tmp_path)
    assert {clip.label_raw for clip in clips_of("affwild2", tmp_path, variant="8").values()} == {
        "Neutral", "Happiness", "Fear", "Other"}
    reading = read("affwild2", tmp_path, variant="7")
    assert {clip.label_raw for clip in reading.clips} == {"Neutral", "Happiness", "Fear", "Surprise"}
    shutil.rmtree(tmp_path / "6th ABAW Annotations")
    assert read("affwild2", tmp_path).release == "7"
    with pytest.raises(MerError, match="no annotation of 8 classes.*found: 7"):
        read("affwild2", tmp_path, variant="8")


def test_affwild2_long_runs_are_split_evenly():
    cut = affwild2.pieces([-1] * 3 + [2] * 150 + [5])
    assert [label for *_, label in cut] == [2, 2, 2, 5]
    assert cut[0][0] == 4 and cut[-2][1] == 153 and cut[-1] == (154, 154, 5)
    assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(cut))
    assert {stop - start + 1 for start, stop, label in cut if label == 2} == {50}
    assert max(stop - start + 1 for start, stop, _ in affwild2.pieces([1] * 1000)) <= affwild2.PIECE


@pytest.mark.parametrize("bad", ["9", "happy", "-2"])
def test_affwild2_labels_are_checked(tmp_path, bad):
    macro.write_affwild2(tmp_path)
    path = tmp_path / "6th ABAW Annotations/EXPR_Recognition_Challenge/Train_Set/video5_left.txt"
    path.write_text(path.read_text().replace("3", bad, 1))
    with pytest.raises(MerError, match=f"video5_left.txt: line 2 is '{bad}'"):
        read("affwild2", tmp_path)


def test_affwild2_without_crops(tmp_path):
    macro.write_affwild2(tmp_path)
    shutil.rmtree(tmp_path / "cropped_aligned")
    assert clips_of("affwild2", tmp_path)  # the second archive alone
    shutil.rmtree(tmp_path / "cropped_aligned_new_50_vids")
    with pytest.raises(MerError, match="aligned crops"):
        read("affwild2", tmp_path)


def test_dfew(tmp_path):
    macro.write_dfew(tmp_path)
    reading = read("dfew", tmp_path)
    clips = clips_of("dfew", tmp_path)
    assert set(clips) == {"00001", "00002", "00107", "16000"}  # zero-filled
    assert [row.clip_id for row in reading.excluded] == ["00003"]
    assert {name: clip.label_raw for name, clip in clips.items()} == {
        "00001": "Happy", "00002": "Disgust", "00107": "Angry", "16000": "Fear"}
    assert "test2" in clips["00107"].flags and "test1" not in clips["00107"].flags
    assert clips["00001"].frames_dir == "Clip/clip_224x224/clip_224x224/00001" and clips["00001"].last == 12
    assert clips["00001"].subject == clips["00002"].subject != clips["00107"].subject
    _, summary = build_index("dfew", tmp_path, accept_counts=True)
    assert summary["sets"]["7"]["counts"]["happiness"] == 1
    assert len(summary["annotation"]["files"]) == 10 and len(summary["annotation"]["sha256"]) == 64


def test_dfew_s_clips_of_several_labels_are_unlabelled_and_in_no_class(tmp_path):
    macro.write_dfew(tmp_path)
    plain.write_frames(tmp_path / "Clip/clip_224x224/clip_224x224/00108", range(1, 13), "00108_{:05d}.jpg")
    clips, summary = build_index("dfew", tmp_path, accept_counts=True)
    assert {clip.clip_id: clip.label_raw for clip in clips}["00108"] == "unlabelled"
    assert {clip.clip_id: clip.flags for clip in clips}["00108"] == "subject_unknown;fps_nominal;no_apex"
    assert sum(summary["sets"]["7"]["counts"].values()) == 4 and len(clips) == 5
    assert summary["sets"]["7"]["labels_unused"] == {"unlabelled": 1}


def test_dfew_16_frames_only_when_there_is_nothing_else(tmp_path):
    macro.write_dfew(tmp_path)
    shutil.rmtree(tmp_path / "Clip/clip_224x224")
    assert clips_of("dfew", tmp_path)["00001"].last == 16
    shutil.rmtree(tmp_path / "Clip/clip_224x224_16f")
    (tmp_path / "Clip/original").mkdir()
    (tmp_path / "Clip/original/00001.mp4").write_bytes(b"x")
    with pytest.raises(MerError, match="00001.mp4.*extract their frames"):
        read("dfew", tmp_path)


@pytest.mark.parametrize("line", ["1,0", "1,8", "1,12", "x,1"])
def test_dfew_malformed_and_contradicting_splits(tmp_path, line):
    macro.write_dfew(tmp_path)
    path = tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_1.csv"
    path.write_text(f"video_name,label\n{line}\n")
    with pytest.raises(MerError, match="row 2"):
        read("dfew", tmp_path)
    path.write_text("video_name,label\n1,2\n")
    with pytest.raises(MerError, match="clip 1 is"):
        read("dfew", tmp_path)


def test_ferv39k(tmp_path):
    macro.write_ferv39k(tmp_path)
    reading = read("ferv39k", tmp_path)
    clips = clips_of("ferv39k", tmp_path)
    # the first line of a list is a clip, not a header
    assert set(clips) == {"Action-Happy-0015", "War-Sad-0110", "Action-Happy-0016"} and reading.excluded == ()
    assert clips["War-Sad-0110"].subject == "ferv39k/War-Sad-01"
    assert "train" in clips["War-Sad-0110"].flags and "test" in clips["Action-Happy-0016"].flags
    assert clips["Action-Happy-0016"].first == clips["Action-Happy-0016"].last == 1
    assert "2_ClipsforFaceCrop/2_ClipsforFaceCrop" in clips["War-Sad-0110"].frames_dir
    path = tmp_path / "4_setups/All_scenes/test_All.csv"
    path.write_text("Action/Happy Happy\n")
    with pytest.raises(MerError, match="line 1 is 'Action/Happy Happy'"):
        read("ferv39k", tmp_path)


@pytest.mark.parametrize("nested", [False, True])
def test_afew(tmp_path, nested):
    macro.write_afew(tmp_path, nested=nested)
    reading = read("afew", tmp_path)
    clips = clips_of("afew", tmp_path)
    assert {name: clip.label_raw for name, clip in clips.items()} == {
        "train-000046280": "angry", "train-013736360": "happy", "validation-003045240": "sad"}
    assert [row.clip_id for row in reading.excluded] == ["train-000103770"]
    assert clips["train-013736360"].subject == "afew/train-happy"
    build_index("afew", tmp_path)  # its counts do not stop: the release itself lacks faces


@pytest.mark.parametrize("folder", ["Test_AFEW", "Test"])
def test_afew_s_test_part_is_unlabelled(tmp_path, folder):
    macro.write_afew(tmp_path)
    (tmp_path / "Test_AFEW").rename(tmp_path / folder)
    for clip in ("000101060", "000101061"):
        (tmp_path / folder / f"{clip}.avi").write_bytes(b"RIFF")
    faces = tmp_path / folder / "AlignedFaces_LBPTOP_Points_Test/Faces/000101060"
    plain.write_frames(faces, range(1, 12), "000101060-{:03d}.jpg")
    reading, clips = read("afew", tmp_path), clips_of("afew", tmp_path)
    assert clips["test-000101060"].label_raw == "unlabelled" and "test" in clips["test-000101060"].flags.split(";")
    assert clips["test-000101060"].subject == "afew/test-unlabelled"
    assert [row.clip_id for row in reading.excluded] == ["test-000101061", "train-000103770"]
    for part in ("Train_AFEW", "Val_AFEW"):
        shutil.rmtree(tmp_path / part)
    with pytest.raises(MerError, match="no clips found in the layout Train_AFEW"):
        read("afew", tmp_path)


def test_afew_with_other_folder_names_and_with_videos_only(tmp_path):
    macro.write_afew(tmp_path)
    (tmp_path / "Train_AFEW").rename(tmp_path / "Train")
    assert "train-013736360" in clips_of("afew", tmp_path)
    for part in ("Train", "Val_AFEW"):
        for archive in (tmp_path / part).glob("Aligned*"):
            shutil.rmtree(archive)
    with pytest.raises(MerError, match="only videos found"):
        read("afew", tmp_path)
