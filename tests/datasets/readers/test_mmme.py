import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from raw_releases import mmme

from mer.base.errors import MerError
from mer.datasets.clips import frame_files
from mer.datasets.index import build_index
from mer.datasets.releases import read

ANN, ANN_2, BOB = ("ann20230718_129_49.60_49.65_49.70", "ann20230718_138_2.00_2.05_2.05",
                   "bob20230802_107_28.25_28.30_28.35")


@pytest.fixture
def root(tmp_path):
    mmme.write_mmme(tmp_path)
    return tmp_path


def clips_of(root):
    return {clip.clip_id: clip for clip in read("mmme", root).clips}


def test_a_film_an_expression(root):
    reading = read("mmme", root)
    clips = clips_of(root)
    assert (reading.release, reading.excluded, set(clips)) == ("2025", (), {ANN, ANN_2, BOB})
    clip = clips[ANN]
    assert (clip.subject, clip.label_raw, clip.aus_raw) == ("mmme/ann", "angry", "4+7")
    assert clip.frames_dir == f"frames/Micro/video_angry_{ANN}_150"
    assert (clip.onset, clip.apex, clip.offset, clip.first, clip.last) == (1, 9, 17, 1, 17)  # midway, by the times
    assert frame_files(root, clip)[0][1].name == "00001.png"
    assert (clips[ANN_2].apex, clips[ANN_2].flags) == (17, "fps_nominal")  # apex and offset are one
    assert clips[BOB].apex == 9 and {name: clip.fps for name, clip in clips.items()} == {ANN: 150, ANN_2: 150, BOB: 98}


def test_macro_expressions_are_told_by_column_folder_or_length(root):
    told = "1 of the 4 rows of coding_file.xlsx are macro-expressions and were not read"
    assert read("mmme", root).notes == (told,)
    (root / "frames/Macro").rename(root / "frames/films_2")
    assert read("mmme", root).notes == (told,)  # it lasts 1.2 seconds
    (root / "frames/films_2").rename(root / "frames/Micro_2")
    assert len(read("mmme", root).clips) == 4
    kinds = ("Macro", "Micro", "Micro", "Macro")
    mmme.book(root, [*mmme.HEADER, "Macro/Micro"], [(*row, kind) for row, kind in zip(mmme.ROWS, kinds, strict=True)])
    assert set(clips_of(root)) == {ANN_2, BOB}


def test_the_films_that_the_table_names(tmp_path):
    mmme.write_long(tmp_path)
    reading = read("mmme", tmp_path)
    clip = {clip.clip_id: clip for clip in reading.clips}[ANN]
    assert (clip.onset, clip.apex, clip.offset, clip.flags) == (30, 38, 45, "fps_nominal")  # the last numbers
    assert clip.frames_dir == "frames/camera_20230718101500"
    assert [(row.clip_id, row.reason) for row in reading.excluded] == [
        (BOB, "onset None, apex None, offset None are in no usable order")]  # its cells tell no frame
    assert len(reading.clips) == 2 and "1 of the 4 rows" in reading.notes[0]


def test_films_become_the_frames_it_reads(tmp_path):
    mmme.book(tmp_path)
    films = tmp_path / "MEs"
    films.mkdir()
    film = films / f"{mmme.film_name(mmme.ROWS[0], '_150')}.avi"
    video = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 150, (32, 24))
    for i in range(17):
        video.write(np.full((24, 32, 3), i * 10, np.uint8))
    video.release()
    with pytest.raises(MerError, match="their frames are not; make them with: mer datasets frames ") as told:
        read("mmme", tmp_path)
    command = str(told.value).split("make them with: mer datasets ")[1].split()
    subprocess.run([sys.executable, "-m", "mer.datasets", *command], check=True, capture_output=True,
                   cwd=Path(__file__).parents[3])
    clip = clips_of(tmp_path)[ANN]
    assert (clip.onset, clip.apex, clip.last, clip.frames_dir) == (1, 9, 17, f"frames/MEs/{film.stem}")


def test_label_sets(root):
    _, summary = build_index("mmme", root)  # the total is that of the paper, so it does not stop
    seven = summary["sets"]["7"]
    assert (seven["counts"]["anger"], seven["counts"]["happiness"], seven["counts"]["surprise"]) == (1, 1, 1)
    assert seven["expected"] == {"all": 634} and seven["agrees"] and seven["loose"] == ["total"]
    assert summary["sets"]["3"]["counts"] == {"negative": 1, "positive": 1, "surprise": 1}


def test_what_is_missing_is_named(root):
    lost = root / f"frames/Micro/video_surprise_{BOB}_98"
    shutil.rmtree(lost)
    assert [row.reason for row in read("mmme", root).excluded] == [
        f"frame folder not found: frames/Macro/video_surprise_{BOB} (nor in 1 more folders)"]
    lost.mkdir()
    assert [row.reason for row in read("mmme", root).excluded] == [
        f"frame folder frames/Micro/video_surprise_{BOB}_98 holds no numbered image"]
    mmme.book(root, [*mmme.HEADER[:10], "Feeling", *mmme.HEADER[11:]])
    with pytest.raises(MerError, match=r"coding_file.xlsx: no row holds the columns .*; missing: Estimated Emotion"):
        read("mmme", root)
    mmme.book(root, rows=[])
    with pytest.raises(MerError, match="coding_file.xlsx: no row names a film"):
        read("mmme", root)
    mmme.book(root)
    shutil.rmtree(root / "frames")
    with pytest.raises(MerError, match="no frames found in the layout frames/Micro/video_happy_"):
        read("mmme", root)
    (root / "coding_file.xlsx").unlink()
    with pytest.raises(MerError, match=r"annotation table not found; expected coding_file\.xlsx"):
        read("mmme", root)


def test_times_that_are_none(root):
    mmme.book(root, rows=[(*row[:4], "?", *row[5:]) for row in mmme.ROWS[:1]])
    assert [row.clip_id for row in read("mmme", root).excluded] == ["ann20230718_129_49.60_-_49.70"]
