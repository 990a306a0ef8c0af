import os
from dataclasses import replace

import pytest
from raw_releases.plain import write_frames

from mer.base.errors import MerError
from mer.datasets.clips import (
    Clip,
    frame_files,
    frame_names,
    frame_number,
    numbered_frames,
    read_clips,
    safe_name,
    write_clips,
)

CLIP = Clip("sub01_EP1", "casme2", "2019", "casme2/sub01", "raw/sub01/EP1", 8, 12, 8, None, 12, 200.0, "others",
            'R2+15, "x"', "no_apex")


def test_rows_survive_writing_and_reading(tmp_path):
    clips = [CLIP, replace(CLIP, clip_id="b", apex=9, fps=29.97, flags="")]
    write_clips(tmp_path / "clips.csv", clips)
    assert read_clips(tmp_path / "clips.csv") == clips
    before = (tmp_path / "clips.csv").read_bytes()
    write_clips(tmp_path / "clips.csv", clips)
    assert (tmp_path / "clips.csv").read_bytes() == before


@pytest.mark.parametrize(("old", "new", "words"), [
    ("200", "fast", ["row 2", "fps", "fast"]),
    (",8,12,", ",8,1x2,", ["row 2", "last", "1x2"]),
    ("clip_id", "id", ["clip_id", "missing"]),
    (",no_apex", "", ["row 2", "cells"]),
])
def test_damaged_table_names_the_cell(tmp_path, old, new, words):
    path = tmp_path / "clips.csv"
    write_clips(path, [CLIP])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(MerError) as error:
        read_clips(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words)


def test_missing_or_binary_table_and_repeated_ids(tmp_path):
    with pytest.raises(MerError, match="does not exist"):
        read_clips(tmp_path / "clips.csv")
    (tmp_path / "clips.csv").write_bytes(b"\xff\xfe\x00clip_id")
    with pytest.raises(MerError, match="cannot be read"):
        read_clips(tmp_path / "clips.csv")
    write_clips(tmp_path / "clips.csv", [CLIP, CLIP])
    with pytest.raises(MerError, match="row 3.*twice"):
        read_clips(tmp_path / "clips.csv")


@pytest.mark.parametrize(("name", "number"), [
    ("reg_img46.jpg", 46), ("006_05562.jpg", 5562), ("00001_00012.jpg", 12), ("image17763111.bmp", 17763111),
    ("S03-01-001.jpg", 1), ("cover.jpg", None)])
def test_the_last_number_of_a_name_counts(name, number):
    assert frame_number(name) == number


def test_frames_are_sorted_by_number_and_only_images_count(tmp_path):
    write_frames(tmp_path / "a", [9, 10, 100, 11])
    write_frames(tmp_path / "a", [7], "reg_img{:06d}.BMP")
    for name in ("Thumbs.db", "._img3.jpg", "cover.jpg", "img5.jpg.lnk"):
        (tmp_path / "a" / name).write_bytes(b"x")
    assert [number for number, _ in numbered_frames(tmp_path / "a")] == [7, 9, 10, 11, 100]
    clip = replace(CLIP, frames_dir="a", first=9, last=11)
    assert [path.name for _, path in frame_files(tmp_path, clip)] == ["img9.jpg", "img10.jpg", "img11.jpg"]
    assert numbered_frames(tmp_path / "missing") == []
    with pytest.raises(MerError, match="no frame numbered 20..30"):
        frame_files(tmp_path, replace(clip, first=20, last=30))


def test_two_files_with_one_number_are_refused(tmp_path):
    write_frames(tmp_path, [1])
    write_frames(tmp_path, [1], "img{:03d}.jpg")
    with pytest.raises(MerError, match="frame 1"):
        numbered_frames(tmp_path)


def test_safe_name():
    assert safe_name("15_0101 disgusting(teeth)") == "15_0101_disgusting_teeth_"


@pytest.mark.parametrize("name", [
    "img1.jpg", "006_05562.jpg", "img1.2.jpg", "reg_img46.JPG", "1.jpeg", "x7y.bmp", "spNO.1_a_355.png", "00001"])
def test_a_folder_is_read_with_the_number_of_each_name(tmp_path, name):
    (tmp_path / name).touch()
    expected = {} if name == "00001" else {frame_number(name): name}
    assert frame_names(tmp_path) == expected


def test_a_video_is_listed_once_for_all_its_clips(tmp_path, monkeypatch):
    write_frames(tmp_path / "a", range(1, 21))
    write_frames(tmp_path / "b", range(1, 3))
    listed = []
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or real(folder))
    for folder in ("a", "b"):
        os.utime(tmp_path / folder, (1, 1))
    rows = [replace(CLIP, frames_dir="a", first=first, last=first + 1) for first in range(1, 20)]
    for row in rows:
        assert [number for number, _ in frame_files(tmp_path, row)] == [row.first, row.last]
    assert len(frame_files(tmp_path, replace(CLIP, frames_dir="b", first=1, last=2))) == 2
    assert listed == [str(tmp_path / "a"), str(tmp_path / "b")]
    write_frames(tmp_path / "b", [3])  # changed since: listed again
    assert len(frame_files(tmp_path, replace(CLIP, frames_dir="b", first=1, last=3))) == 3
