"""Records go to the disk clip by clip: memory bounded by a clip, nothing lost at a kill, digests told and compared."""

import os
import shutil
import tracemalloc
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest
from labels.label_tools import clip_row, face_points, save_frames, texture
from labels.test_label_stages import STORES, digests, release, run, run_all, settings  # noqa: F401  # a fixture

from mer.base import disk, graph, store
from mer.base.errors import MerError
from mer.datasets.clips import write_clips
from mer.labels import dynamic_image, flow, listing, records, shards
from mer.training import folds

FRAMES, SIDE = 64, 128  # of a clip, a megabyte
RNG = np.random.default_rng(0)


def stores(clips):
    """The stores that the stages read, of these clips; all of them show the same frames."""
    points = np.repeat(face_points()[None].astype(np.float32), FRAMES, 0)
    numbers = np.arange(1, FRAMES + 1, dtype=np.int32)
    before = {"excluded": [], "index": {}, "frames": FRAMES * len(clips)}
    for stage, record in (
            ("landmarks", {"points": points, "how": np.zeros(FRAMES, np.uint8), "numbers": numbers}),
            ("aligned", {"frames": RNG.integers(0, 256, (FRAMES, SIDE, SIDE), np.uint8), "numbers": numbers,
                         "annotation": np.array([1, 9, FRAMES], np.int32)})):
        records.write(f"data/{stage}/own", stage, clips, {clip.clip_id: record for clip in clips},
                      attrs={"size": SIDE}, summary={"frames": before["frames"]}, before=before)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(flow, "tvl1", lambda first, second, solver: np.zeros((2, *first.shape), np.float32))
    save_frames(tmp_path / "data/raw/own", clip_row("all", last=FRAMES), [texture().astype(np.uint8)] * FRAMES)
    return tmp_path


def peak(stage: str, count: int) -> int:
    """Bytes that a stage of `count` clips, two a subject, had allocated at most; numpy's arrays are among them."""
    clips = [clip_row(f"c{i:02d}", f"own/s{i // 2:02d}", last=FRAMES, frames_dir="frames/all") for i in range(count)]
    stores(clips)
    p = settings(model="fdp" if stage == "dynamic" else "mol", align={"size": SIDE}, flow={"solver": "opencv"})
    tracemalloc.start()
    try:
        run(stage, p, clips)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("stage", ["align", "flow", "dynamic"])
def test_eight_times_the_clips_take_no_more_memory(project, stage):
    """Held, the records would be 24 MB instead of 3."""
    peak(stage, 3)  # what is imported, or kept by a cache, at first
    few, many = peak(stage, 3), peak(stage, 24)
    assert many < 1.1 * few and few > FRAMES * SIDE**2


def test_a_shard_joined_piece_by_piece_has_the_bytes_of_one_written_at_once(tmp_path, monkeypatch):
    clips = {name: {"frames": RNG.integers(0, 256, (9, 20, 20), np.uint8), "deep": RNG.normal(size=(2, 5, 40)),
                    "none": np.zeros((0, 3), np.float32), "one": np.float32(2), "yes": np.array([True, False])}
             for name in ("b", "a")}
    store.write_shard(tmp_path / "whole.h5", clips, {"units": "px"})
    parts = {name: tmp_path / f"{name}.part" for name in clips}
    for name, path in parts.items():
        store.write_shard(path, {name: clips[name]})
    for piece in (1 << 24, 700, 30):
        monkeypatch.setattr(store, "PIECE", piece)
        store.join_shards(tmp_path / "joined.h5", parts, {"units": "px"})
        assert (tmp_path / "joined.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
        assert store.digest(tmp_path / "joined.h5") == store.digest(tmp_path / "whole.h5")
    damaged = bytearray(parts["b"].read_bytes())
    with store.Shard(parts["b"]) as part:
        damaged[part._file["b/frames"].id.get_offset() + 3000] ^= 1
    parts["b"].write_bytes(damaged)
    with pytest.raises(MerError, match=r"b.part: clip b, frames: damaged, its checksum differs"):
        store.join_shards(tmp_path / "joined.h5", parts)


def test_a_kill_while_shards_are_joined_loses_no_clip(release, monkeypatch):  # noqa: F811
    p, made, order = settings(model="fdp"), [], []
    run_all(release, p)
    whole = digests(*STORES)
    label, write = dynamic_image.label_clip, shards.Join._write
    monkeypatch.setattr(dynamic_image, "label_clip", lambda clip, *a, **k: made.append(clip) or label(clip, *a, **k))

    def killed(self, shard, parts):
        order.append(shard.name)
        if len(order) == 2:
            raise KeyboardInterrupt  # the first shard is there, the files of its clips are gone
        write(self, shard, parts)

    monkeypatch.setattr(shards.Join, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        run("dynamic", p, release)
    kept = [path.relative_to(".scratch/dynamic@own").as_posix() for path in Path(".scratch/dynamic@own").rglob("*.h5")]
    assert sorted(path.split("/", 1)[1] for path in kept) == ["s02_a.h5", "shards/s01.h5"]
    monkeypatch.setattr(shards.Join, "_write", write)
    shutil.rmtree("data/dynamic/own")  # as DVC does
    run("dynamic", p, release)
    assert sorted(made) == ["s01_a", "s01_b", "s02_a"]  # each clip was labelled once
    assert digests(*STORES) == whole
    assert not list(Path(".scratch").rglob("*.h5"))


def test_a_subjects_only_clip_is_its_shard_and_no_byte_is_copied(project, monkeypatch):
    clips = [clip_row("only", "own/s01", last=FRAMES, frames_dir="frames/all")]
    stores(clips)
    monkeypatch.setattr(store, "join_shards", None)
    monkeypatch.setattr(shutil, "copyfile", None)
    run("align", settings(align={"size": SIDE}), clips)
    assert os.stat("data/aligned/own/s01.h5").st_nlink == 1
    before = Path("data/aligned/own/s01.h5").read_bytes()
    with store.Shard("data/aligned/own/s01.h5") as shard:
        store.write_shard("again.h5", {"only": shard.read("only")}, shard.about)
    assert (project / "again.h5").read_bytes() == before


def test_what_cannot_be_linked_is_copied(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(OSError("another disk")))
    store.link(tmp_path / "a", tmp_path / "deep/b")
    assert (tmp_path / "deep/b").read_text() == "x" and [p.name for p in (tmp_path / "deep").iterdir()] == ["b"]
    monkeypatch.undo()
    store.link(tmp_path / "a", tmp_path / "deep/b")
    store.link(tmp_path / "a", tmp_path / "deep/b")  # the same file already
    assert os.stat(tmp_path / "a").st_nlink == 2 and [p.name for p in (tmp_path / "deep").iterdir()] == ["b"]


def test_what_a_kill_left_beside_a_finished_network_is_no_product(tmp_path):
    made, out = tmp_path / "made/0", tmp_path / "out/0"
    made.mkdir(parents=True)
    for name in ("log.csv", "model.pt", "state.pt", "state-inner.pt", ".model.pt.7.tmp"):
        (made / name).write_text(name)
    for _ in range(2):
        store.link_folder(made, out, folds.STATES)
        assert sorted(path.name for path in out.iterdir()) == ["log.csv", "model.pt"]
    store.write_text(out / "log.csv", "another run's")  # a new file: what was linked stays as it is
    assert (made / "log.csv").read_text() == "log.csv"


def test_another_shard_than_the_summary_tells_of_is_refused(project):
    clips = [clip_row("a", last=FRAMES)]
    stores(clips)
    key = graph.digest("data/aligned/own")
    assert list(store.read_json("data/aligned/own/summary.json")["shards"]) == ["s01.h5"]
    (clip, record), = records.each("data/aligned/own", clips, ("numbers",))
    assert clip is clips[0] and list(record) == ["numbers"]
    store.write_shard("data/aligned/own/s01.h5", {"a": {"numbers": np.zeros(3)}})
    assert graph.digest("data/aligned/own") == key  # nothing is hashed that the summary tells of
    with pytest.raises(MerError, match=r"s01.h5: not the shard that the summary.json beside it tells of"):
        list(records.each("data/aligned/own", clips))
    stores(clips)  # other frames, drawn anew
    assert graph.digest("data/aligned/own") != key


def test_a_folder_is_listed_once_for_all_its_clips(tmp_path, monkeypatch):
    clips = [clip_row(f"c{i}", first=10 * i + 1, last=10 * i + 9, frames_dir="video") for i in range(4)]
    (tmp_path / "video").mkdir()
    for number in range(1, 33):
        cv2.imwrite(str(tmp_path / f"video/img{number}.png"), np.zeros((4, 4), np.uint8))
    scanned, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(path) or scan(path))
    files, state = listing.listed(tmp_path, clips)
    assert scanned == [tmp_path / "video"] and [listing.count(files[f"c{i}"]) for i in range(4)] == [9, 9, 9, 2]
    found = listing.paths(tmp_path, clips[1], files["c1"])
    assert found == [(number, tmp_path / f"video/img{number}.png") for number in range(11, 20)]
    os.utime(tmp_path / "video/img3.png", (1, 1))
    assert listing.listed(tmp_path, clips)[1] != state
    cv2.imwrite(str(tmp_path / "video/b003.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(MerError, match="are both frame 3"):
        listing.paths(tmp_path, clips[1], listing.listed(tmp_path, clips)[0]["c1"])
    with pytest.raises(MerError, match=r"c0: no frame numbered 1..9"):
        listing.paths(tmp_path, clips[0], listing.listed(tmp_path / "none", clips)[0]["c0"])


def test_a_disk_that_is_too_small_stops_a_stage_with_the_numbers(project, monkeypatch, capsys):
    clips = [clip_row("a", last=FRAMES, frames_dir="frames/all")]
    stores(clips)
    free = namedtuple("free", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free(900_000))
    with pytest.raises(MerError, match=r"align own: needs about 2 MB of disk, 1 MB are free in \S+; make room there"):
        run("align", settings(align={"size": SIDE}), clips)
    assert not Path("data/aligned/own/s01.h5").stat().st_size < 900_000  # what was there is as it was
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free(5e12))
    disk.ask("align affwild2", 58.1e9, Path("data/none/there"))
    assert capsys.readouterr().out == (f"align affwild2: needs about 58.1 GB of disk, 5000.0 GB are free in "
                                       f"{(project / 'data').as_posix()}\n")
    write_clips("clips.csv", clips)
    assert disk.used([Path("clips.csv"), Path("none")]) == Path("clips.csv").stat().st_size
