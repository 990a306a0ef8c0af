"""Reading frames: gray and colour, and every kind of damaged or odd input named."""

import os
import struct
import zlib
from random import Random

import cv2
import numpy as np
import pytest
from labels.label_tools import clip_row, save_frames, texture

from mer.base import hearing
from mer.labels import files, images
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
    assert files.header(whole).whole
    assert files.header(whole + b"appended by a camera").whole
    assert not files.header(whole[:-30]).whole
    assert not files.header(data[:2] + segment).whole


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty file"), (b"GIF89a no picture", "not an image")])
def test_no_picture_is_refused_by_name(tmp_path, content, reason):
    (tmp_path / "img3.jpg").write_bytes(content)
    with pytest.raises(Excluded, match=f"img3.jpg: {reason}"):
        images.read_gray(tmp_path / "img3.jpg")


@pytest.mark.parametrize("damage", ["random", "hole"])
def test_a_jpeg_damaged_in_the_middle_is_refused_by_name(tmp_path, damage):
    data = bytearray(cv2.imencode(".jpg", texture((200, 200)).astype(np.uint8))[1].tobytes())
    middle, chance = len(data) // 2, Random(3)
    data[middle:middle + 400] = bytes(400) if damage == "hole" else bytes(chance.randrange(255) for _ in range(400))
    (tmp_path / "img1.jpg").write_bytes(data)
    with pytest.raises(Excluded, match=r"img1.jpg: damaged JPEG \((Corrupt JPEG data|a hole)"):
        images.read_gray(tmp_path / "img1.jpg")


def test_padding_before_a_jpegs_end_is_no_damage(tmp_path, picture):
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    for filler in (bytes(5), b"\xff" * 5):
        (tmp_path / "img1.jpg").write_bytes(data[:-2] + filler + data[-2:])
        assert images.read_gray(tmp_path / "img1.jpg").shape == picture.shape


def test_what_others_mutter_is_passed_on(capfd):
    with hearing.listening() as heard:
        os.write(2, b"of another library\n")
    assert heard == [b"of another library\n"] and files.complaint(b"", heard) == ""
    with hearing.listening() as heard:
        pass
    assert heard == [] and capfd.readouterr().err == "of another library\n"


def claiming(suffix, width, height):
    """A small file whose header claims that size."""
    data = bytearray(cv2.imencode(suffix, np.zeros((9, 9), np.uint8))[1].tobytes())
    if suffix == ".png":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif suffix == ".bmp":
        data[18:26] = struct.pack("<ii", width, height)
    else:
        at = data.find(b"\xff\xc0")
        data[at + 5:at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(("suffix", "size"), [(".png", (10**5,) * 2), (".bmp", (10**5,) * 2), (".jpg", (65500,) * 2)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, suffix, size, monkeypatch):
    (tmp_path / f"img1{suffix}").write_bytes(claiming(suffix, *size))
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(Excluded, match=rf"img1{suffix}: claims {size[0]}x{size[1]} pixels; at most 100,000,000"):
        images.read_gray(tmp_path / f"img1{suffix}")


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_few_bits_in_sixteen_are_refused_by_name(tmp_path, picture, bits):
    full = picture.astype(np.uint16) << 8
    cv2.imwrite(str(tmp_path / "full.png"), full)
    np.testing.assert_array_equal(images.read_gray(tmp_path / "full.png"), picture)
    cv2.imwrite(str(tmp_path / "few.png"), full >> (16 - bits))
    with pytest.raises(Excluded, match=rf"few.png: 16-bit PNG .*as of a camera of {bits} bits, would be read as black"):
        images.read_gray(tmp_path / "few.png")


def turned(picture, orientation, order="II"):
    """A JPEG with that EXIF orientation."""
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    exif = struct.pack(("<" if order == "II" else ">") + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + order.encode() + exif
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


@pytest.mark.parametrize("order", ["II", "MM"])
def test_frames_are_turned_as_exif_says_and_all_of_a_clip_alike(tmp_path, picture, order):
    clip = clip_row(first=1, last=3)
    folder = tmp_path / clip.frames_dir
    folder.mkdir(parents=True)
    stored = cv2.imdecode(cv2.imencode(".jpg", picture)[1], cv2.IMREAD_GRAYSCALE)
    for number in (1, 2, 3):
        (folder / f"img{number}.jpg").write_bytes(turned(picture, 6, order))
    for _, image in images.frames(tmp_path, clip):
        np.testing.assert_array_equal(image, np.rot90(stored, -1))
    (folder / "img3.jpg").write_bytes(turned(picture, 8, order))
    reason = reason_of(tmp_path, clip)
    assert "img3.jpg: turned otherwise (EXIF orientation 8) than the clip's first frame (6)" in reason


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
