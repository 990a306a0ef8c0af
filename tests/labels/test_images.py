"""Reading frames: gray and colour, and every kind of damaged or odd input named."""

import cv2
import numpy as np
import pytest
from labels.label_tools import clip_row, save_frames, texture

from mer.labels import images
from mer.labels.records import Excluded, guarded


@pytest.fixture
def picture():
    return texture((60, 50)).astype(np.uint8)


def test_gray_and_colour_files_give_the_same_gray(tmp_path, picture):
    cv2.imwrite(str(tmp_path / "gray.png"), picture)
    cv2.imwrite(str(tmp_path / "colour.png"), cv2.merge([picture] * 3))
    for name in ("gray.png", "colour.png"):
        np.testing.assert_array_equal(images.read_gray(tmp_path / name), picture)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, "all but two bytes"])
def test_a_truncated_file_is_refused_by_name(tmp_path, picture, suffix, share):
    data = cv2.imencode(suffix, picture)[1].tobytes()
    path = tmp_path / f"img7{suffix}"
    path.write_bytes(data)
    assert images.read_gray(path).shape == picture.shape
    path.write_bytes(data[:-2] if isinstance(share, str) else data[:int(share * len(data))])
    with pytest.raises(Excluded, match="img7"):
        images.read_gray(path)


def test_a_jpeg_filled_up_with_zeros_is_truncated(tmp_path, picture):
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    path = tmp_path / "img1.jpg"
    path.write_bytes(data[:len(data) // 2] + bytes(len(data) // 2))  # what a broken copy leaves behind
    with pytest.raises(Excluded, match=r"truncated JPEG .*bytes without"):
        images.read_gray(path)


def test_a_thumbnails_end_marker_does_not_hide_a_truncation(picture):
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    thumbnail = cv2.imencode(".jpg", picture[::4, ::4])[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + segment + data[2:]
    assert images.jpeg_is_whole(whole)
    assert images.jpeg_is_whole(whole + b"appended by a camera")
    assert not images.jpeg_is_whole(whole[:-30])
    assert not images.jpeg_is_whole(data[:2] + segment)


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty file"), (b"GIF89a no picture", "not an image")])
def test_no_picture_is_refused_by_name(tmp_path, content, reason):
    (tmp_path / "img3.jpg").write_bytes(content)
    with pytest.raises(Excluded, match=f"img3.jpg: {reason}"):
        images.read_gray(tmp_path / "img3.jpg")


def test_frames_come_in_numeric_order(tmp_path, picture):
    clip = clip_row(first=9, last=11)
    save_frames(tmp_path, clip, [picture // 4, picture // 3, picture // 2])
    read = list(images.frames(tmp_path, clip))
    assert [number for number, _ in read] == [9, 10, 11]
    np.testing.assert_array_equal(read[0][1], picture // 4)


def reason_of(root, clip):
    record = guarded(lambda: {"n": np.array(len(list(images.frames(root, clip))))})
    return record["excluded"].tobytes().decode() if "excluded" in record else None


def test_odd_clips_get_a_reason(tmp_path, picture):
    good, small, single, empty = (clip_row(name) for name in ("good", "small", "single", "empty"))
    save_frames(tmp_path, good, [picture] * 4)
    save_frames(tmp_path, small, [picture, picture, picture[:40], picture])
    save_frames(tmp_path, single, [picture])
    (tmp_path / empty.frames_dir).mkdir(parents=True)
    assert reason_of(tmp_path, good) is None
    assert "img3.png: frame of 50x40 pixels in a clip of 50x60" in reason_of(tmp_path, small)
    assert "clip of 1 frame" in reason_of(tmp_path, single)
    assert "no frame numbered 1..4" in reason_of(tmp_path, empty)
