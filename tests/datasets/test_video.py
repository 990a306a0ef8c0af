"""Films as folders of frames: every frame, whole or not at all, what a reader then reads."""

import sys
from random import Random

import cv2
import numpy as np
import pytest
from raw_releases import macro

from mer.base.errors import MerError
from mer.datasets import __main__ as command
from mer.datasets import releases, video
from mer.datasets.clips import numbered_frames


def film(path, frames=5, side=64):
    """A film of flat pictures, each brighter than the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (side, side))
    for k in range(frames):
        writer.write(np.full((side, side, 3), (20 + 30 * k) % 256, np.uint8))
    writer.release()
    return path


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["mer.datasets", "frames", *map(str, words)])
    command.run()
    return capsys.readouterr()


def levels(folder):
    return [float(cv2.imread(str(file), 0).mean()) for _, file in numbered_frames(folder)]


def test_every_frame_is_written_in_order(tmp_path, monkeypatch, capsys):
    film(tmp_path / "in/a/x.avi")
    film(tmp_path / "in/b/x.avi", frames=3)
    said = call(monkeypatch, capsys, tmp_path / "in", tmp_path / "out").out
    assert said == f"8 frames of 2 films written to {(tmp_path / 'out').as_posix()}\n"
    assert sorted(path.name for path in (tmp_path / "out/a/x").iterdir()) == [f"{k:05d}.png" for k in range(1, 6)]
    np.testing.assert_allclose(levels(tmp_path / "out/a/x"), [20, 50, 80, 110, 140], atol=2)


def test_lossless_frames_are_the_film_s_and_jpeg_s_are_smaller(tmp_path, monkeypatch, capsys):
    path = film(tmp_path / "x.avi")
    with video.opened(path) as capture:
        first = capture.read()[1]
    call(monkeypatch, capsys, path, tmp_path / "png")
    assert np.array_equal(cv2.imread(str(tmp_path / "png/x/00001.png")), first)
    call(monkeypatch, capsys, path, tmp_path / "jpg", "--format", "jpg", "--quality", 60, "--name", "img{}",
         "--first", 0)
    assert sorted(file.name for file in (tmp_path / "jpg/x").iterdir()) == [f"img{k}.jpg" for k in range(5)]


def test_what_is_there_is_kept_and_an_interrupt_loses_one_film(tmp_path, monkeypatch, capsys):
    for name in "abc":
        film(tmp_path / f"in/{name}.avi")
    write, calls = video._write, []

    def interrupted(path, *rest):
        calls.append(path)
        if len(calls) == 8:
            raise KeyboardInterrupt
        write(path, *rest)

    monkeypatch.setattr(video, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call(monkeypatch, capsys, tmp_path / "in", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    monkeypatch.setattr(video, "_write", write)
    assert "10 frames of 2 films" in (said := call(monkeypatch, capsys, tmp_path / "in", tmp_path / "out").out)
    assert "1 films were there already" in said


def test_a_film_that_cannot_be_read_is_named_after_the_others_are_done(tmp_path, monkeypatch, capsys):
    film(tmp_path / "in/a.avi")
    (tmp_path / "in/b.avi").write_bytes(b"no film")
    with pytest.raises(MerError, match=r"(?s)5 frames of 1 films.*b.avi: not a film that OpenCV can read"):
        call(monkeypatch, capsys, tmp_path / "in", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def test_a_film_that_is_cut_is_told(tmp_path, monkeypatch, capsys):
    whole = film(tmp_path / "x.avi", frames=40)
    data = whole.read_bytes()
    whole.write_bytes(data[:len(data) * 2 // 3])
    said = call(monkeypatch, capsys, whole, tmp_path / "out").out
    assert len(levels(tmp_path / "out/x")) < 40
    assert "cut or damaged?" in said


def moving(path, code="MJPG", frames=20):
    """A film in which something moves, so that its pictures have bytes to damage."""
    picture = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    picture = cv2.resize(picture, (200, 200))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (160, 160))
    for k in range(frames):
        writer.write(np.ascontiguousarray(picture[k:k + 160, k:k + 160]))
    writer.release()
    return path


@pytest.mark.parametrize(("name", "code"), [("x.avi", "MJPG"), ("x.avi", "mp4v"), ("x.mkv", "FFV1")])
@pytest.mark.parametrize("damage", ["none", "cut", "bytes"])
def test_what_is_wrong_with_a_film_is_found(tmp_path, capfd, name, code, damage):
    path = moving(tmp_path / name, code)
    data, chance = bytearray(path.read_bytes()), Random(5)
    middle = len(data) // 2
    if damage == "bytes":
        data[middle:middle + 400] = bytes(chance.randrange(256) for _ in range(400))
    path.write_bytes(data[:middle] if damage == "cut" else data)
    found = video.examine(path)
    assert found.fps == 25 and found.promised == 20 and capfd.readouterr() == ("", "")
    if damage == "none":
        assert found.wrong == "" and found.count == 20
    elif damage == "cut":
        assert 5 < found.count < 15 and f"{found.count} frames could be read of the 20 in its header" in found.wrong
    else:
        assert 5 < (found.damaged or found.count) < 15  # of a damaged container the frames end there
        assert f"damaged at frame {found.damaged} ({found.said})" in found.wrong or "of the 20 in" in found.wrong


@pytest.mark.parametrize(("words", "told"), [
    (("none.avi", "out"), "no such film or folder"), (("empty", "out"), "no film below it"),
    (("a.txt", "out"), "not a film; expected one of"), (("two", "out"), "would lie in one folder"),
    (("x.avi", "out", "--name", "frame"), "a place for the number"),
    (("x.avi", "out", "--name", "{}_face"), "expected it at the end"),
    (("x.avi", "out", "--name", "../{}"), "a file name"),
    (("x.avi", "a.txt"), "a.txt: File exists; expected a folder that can be written"),
    (("x.avi", "a.txt/out"), "Not a directory; expected a folder that can be written"),
    (("x.avi", "taken"), "taken/x: Directory not empty; its frames are written there")])
def test_what_cannot_be_done_is_refused(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "x.avi")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").touch()
    (tmp_path / "taken/x").mkdir(parents=True)
    (tmp_path / "taken/x/mine.txt").touch()
    for end in ("avi", "mp4"):
        film(tmp_path / f"two/x.{end}")
    with pytest.raises(MerError, match=told):
        call(monkeypatch, capsys, *words)


def test_a_reader_reads_what_was_written(tmp_path, monkeypatch, capsys):
    """Aff-Wild2 whose crops are there as films only."""
    root = tmp_path / "affwild2"
    macro.write_affwild2(root)
    before = releases.read("affwild2", root).clips
    (root / "cropped_aligned").rename(tmp_path / "gone")
    for folder in (tmp_path / "gone/cropped_aligned").iterdir():
        if numbers := [number for number, _ in numbered_frames(folder)]:
            film(tmp_path / f"films/{folder.name}.avi", frames=max(numbers), side=32)
    missing = {clip.clip_id for clip in before} - {clip.clip_id for clip in releases.read("affwild2", root).clips}
    call(monkeypatch, capsys, tmp_path / "films", root / "cropped_aligned")
    after = {clip.clip_id for clip in releases.read("affwild2", root).clips}
    assert missing and len(after & missing) > 0 and {clip.subject for clip in before} <= {
        clip.subject for clip in releases.read("affwild2", root).clips}
