"""The label stages in a row on a small release: exclusions told and kept, same bytes again, killed and resumed."""

import dataclasses
import hashlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from labels.label_tools import clip_row, face_points, save_frames, shifted, texture

import stages.align
import stages.check
import stages.dynamic
import stages.flow
import stages.landmarks
from mer import params
from mer.base import store
from mer.base.errors import MerError
from mer.datasets.clips import read_clips, write_clips
from mer.labels import faces, flow, records
from mer.training import task as tasks

PARAMS = Path(__file__).parents[2] / "params.yaml"


def detect(image, upsample):
    """A face where the picture is not black."""
    seen = int(image.max() > 0)
    return np.array([[20, 10, 180, 190]] * seen, np.int32).reshape(-1, 4), np.ones(seen, np.float32)


def settings(**changes) -> params.Params:
    p = params.load(PARAMS)
    changes = {"datasets": ("own",), "parallel": {"workers": 1}, "align": {"size": 64},
               "sampling": {"t": 4, "sets": 2}, "flow": {"pairs": 2}, **changes}
    return dataclasses.replace(p, **{name: dataclasses.replace(getattr(p, name), **value) if isinstance(value, dict)
                                     else value for name, value in changes.items()})


@pytest.fixture
def release(tmp_path, monkeypatch):
    """Three good clips of two subjects, and five that must be excluded; the working directory is its project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    predict = face_points().astype(np.float32)
    monkeypatch.setattr(faces, "dlib_models", lambda path: (detect, lambda image, box: predict))
    root = tmp_path / "data/raw/own"
    moving = [shifted(texture((200, 200)), 0.6 * k, 0) for k in range(6)]
    clips = [clip_row(name, f"own/{name[:3]}", last=last) for name, last in (("s01_a", 6), ("s01_b", 3), ("s02_a", 6))]
    save_frames(root, clips[0], moving)
    save_frames(root, clips[1], moving[:3])
    save_frames(root, clips[2], moving[::-1], ".jpg")
    bad = {name: clip_row(name, "own/s02") for name in ("cut", "void", "black", "sizes", "single")}
    save_frames(root, bad["cut"], moving[:4], ".jpg")
    torn = root / bad["cut"].frames_dir / "img3.jpg"
    torn.write_bytes(torn.read_bytes()[:3000])
    save_frames(root, bad["void"], moving[:4])
    (root / bad["void"].frames_dir / "img2.png").write_bytes(b"")
    save_frames(root, bad["black"], [np.zeros((200, 200), np.uint8)] * 4)
    save_frames(root, bad["sizes"], [moving[0], moving[1][:190], *moving[2:4]])
    save_frames(root, bad["single"], moving[:1])
    clips += bad.values()
    write_clips("data/index/own/clips.csv", clips)
    store.write_json("data/index/own/summary.json", {"clips": len(clips)})
    return clips


def run_all(clips, p):
    for stage in ("landmarks", "align", "flow", "dynamic"):
        run(stage, p, clips)


def run(stage, p, clips):
    """A stage as its command line runs it, on the summary of the store before it."""
    source = {"landmarks": "index", "align": "landmarks"}.get(stage, "aligned")
    stages.check.write(p)
    getattr(stages, stage).run("own", p, clips, store.read_json(f"data/{source}/own/summary.json"))


def digests(*folders) -> dict[str, str]:
    return {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in folders for path in sorted(Path(folder).rglob("*")) if path.is_file()}


STORES = ("data/landmarks", "data/aligned", "data/flow", "data/dynamic")


def test_every_clip_is_labelled_or_excluded_with_its_reason(release, capsys):
    run_all(release, settings())
    printed = capsys.readouterr().out
    reasons = {"cut": "img3.jpg: truncated JPEG", "void": "img2.png: empty file", "single": "clip of 1 frame",
               "black": "no face found in any of its 4",
               "sizes": "img2.png: frame of 200x190 pixels in a clip of 200x200"}
    for folder in STORES[:3]:
        summary = store.read_json(f"{folder}/own/summary.json")
        assert summary["clips"] == 3
        assert {e["clip_id"]: e["stage"] for e in summary["excluded"]} == dict.fromkeys(reasons, "landmarks")
        assert all(reasons[e["clip_id"]] in e["reason"] for e in summary["excluded"])
    assert all(f"{clip_id} is excluded" in printed for clip_id in reasons)
    assert printed.count("5 clips excluded") == 3
    assert "1 clips shorter than 4 frames" in printed

    found, about = store.read_shard("data/flow/own/s01.h5")
    assert {name: value.shape for name, value in found["s01_a"].items()} == {
        "index": (2, 4), "pair": (4, 2), "flow": (4, 2, 64, 64)}
    assert about["pairs"] == 2 and "pixels" in about["units"]
    scale = store.read_shard("data/aligned/own/s01.h5")[0]["s01_a"]["matrix"][0, 0]
    gap = np.diff(found["s01_a"]["index"], axis=1)[tuple(found["s01_a"]["pair"].T)]
    np.testing.assert_allclose(found["s01_a"]["flow"].mean((2, 3))[:, 0], 0.6 * scale * gap, atol=0.1)
    # what later stages do not use is an empty store that says so
    unused = store.read_json("data/dynamic/own/summary.json")
    before = store.read_json("data/aligned/own/summary.json")
    assert unused == {"clips": 0, "dataset": "own", "used": False, "excluded": before["excluded"],
                      "index": {"clips": len(release)}, "made_with": {}, "shards": {}}
    assert read_clips("data/dynamic/own/clips.csv") == release
    assert "model mol uses no dynamic images, an empty store is written" in printed


def test_the_same_bytes_again_and_from_several_processes(release):
    p = settings(model="fdp")
    run_all(release, p)
    first = digests(*STORES)
    run("dynamic", settings(model="fdp", parallel={"workers": 2}), release)
    run("align", settings(parallel={"workers": 2}), release)
    run_all(release, p)
    assert digests(*STORES) == first
    assert {path.split("/")[1] for path in first if path.endswith("s02.h5")} == {"landmarks", "aligned", "dynamic"}
    assert store.read_shard("data/dynamic/own/s02.h5")[0]["s02_a"]["dynamic"].shape == (2, 64, 64)
    assert not list(Path(".scratch").rglob("*.h5"))


def test_a_killed_stage_goes_on_where_it_was(release, monkeypatch, capsys):
    p = settings()
    run_all(release, p)
    whole = digests("data/flow")
    run("flow", settings(parallel={"workers": 2}), release)
    assert digests("data/flow") == whole
    for path in Path("data/flow/own").iterdir():
        path.unlink()
    done, label = [], flow.label_clip

    def killed(clip_id, *args, **kwargs):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(clip_id)
        return label(clip_id, *args, **kwargs)

    monkeypatch.setattr(flow, "label_clip", killed)
    with pytest.raises(KeyboardInterrupt):
        run("flow", p, release)
    assert not list(Path("data/flow").rglob("*.h5"))
    monkeypatch.setattr(flow, "label_clip", lambda clip_id, *a, **k: done.append(clip_id) or label(clip_id, *a, **k))
    run("flow", p, release)
    assert sorted(done) == ["s01_a", "s01_b", "s02_a"]  # each clip was computed once
    assert digests("data/flow") == whole
    assert "reusing 2 of 3 clips" in capsys.readouterr().err


def test_other_parameters_do_not_reuse_unfinished_work(release, monkeypatch):
    run_all(release, settings())
    label, done = flow.label_clip, []
    monkeypatch.setattr(flow, "label_clip", lambda clip_id, *a, **k: (_ for _ in ()).throw(KeyboardInterrupt)
                        if len(done) == 2 else done.append(clip_id) or label(clip_id, *a, **k))
    with pytest.raises(KeyboardInterrupt):
        run("flow", settings(), release)
    done.clear()
    monkeypatch.setattr(flow, "label_clip", lambda clip_id, *a, **k: done.append(clip_id) or label(clip_id, *a, **k))
    run("flow", settings(flow={"pairs": 1}), release)
    assert len(done) == 3


def test_a_model_without_flow_gets_an_empty_store(release, capsys):
    run_all(release, settings(mol={"tasks": ("mer",)}))
    assert store.read_json("data/flow/own/summary.json")["used"] is False
    assert list(records.read_labelled("data/flow/own")) == []
    assert "model mol asks for no flow here, an empty store is written" in capsys.readouterr().out


def test_a_source_is_labelled_for_what_pretraining_draws(release):
    """Flow is dear and large: of a macro release as many sampling sets as `pretrain.sets` says, none where none is
    drawn."""
    source = {"datasets": ("other",), "pretrain": {"sources": ("own",), "steps": 1}}
    run_all(release, settings(**source))
    assert store.read_shard("data/flow/own/s01.h5")[0]["s01_a"]["index"].shape == (2, 4)  # as sampling.sets
    both = store.read_shard("data/flow/own/s01.h5")[0]["s01_a"]
    source["pretrain"]["sets"] = 1
    run("flow", settings(**source), release)
    one, about = store.read_shard("data/flow/own/s01.h5")
    assert one["s01_a"]["index"].shape == (1, 4) and about["sets"] == 1
    np.testing.assert_array_equal(one["s01_a"]["flow"], both["flow"][:2])
    run("flow", settings(**source | {"pretrain": {"sources": ("own",), "steps": 0}}), release)
    assert store.read_json("data/flow/own/summary.json")["used"] is False
    p = settings(**source)
    assert (tasks.pretraining(p).params.sampling.sets, tasks.task(p).params.sampling.sets) == (1, 2)


def test_onset_and_apex_of_clips_without_apex(release, capsys):
    clips = [dataclasses.replace(clip, apex=None) for clip in release]
    run_all(clips, settings(sampling={"t": 2, "sets": 1}))
    assert store.read_json("data/flow/own/summary.json")["without_apex"] == 3
    assert "3 without apex use the middle frame" in capsys.readouterr().out
    assert store.read_shard("data/flow/own/s01.h5")[0]["s01_a"]["index"].tolist() == [[0, 2]]


def test_no_usable_clip_at_all_stops_the_run(release):
    bad = [clip for clip in release if clip.clip_id in ("black", "single")]
    with pytest.raises(MerError, match=r"data/landmarks/own: every clip is excluded, the first \(black\).*no face"):
        run("landmarks", settings(), bad)


def test_a_clip_that_no_store_accounts_for_stops_the_run(release):
    run("landmarks", settings(), release)
    new = clip_row("s01_new", "own/s01")
    with pytest.raises(MerError, match="clip s01_new is neither labelled nor excluded"):
        run("align", settings(), [*release, new])


def test_shards_of_subjects_that_are_gone_are_removed(release):
    run("landmarks", settings(), release)
    run("landmarks", settings(), [clip for clip in release if clip.subject == "own/s01"])
    assert [path.name for path in Path("data/landmarks/own").glob("*.h5")] == ["s01.h5"]


@pytest.mark.parametrize("stage", ["landmarks", "align", "flow", "dynamic"])
def test_the_command_line_names_what_is_missing(stage, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    monkeypatch.setattr(sys, "argv", [f"stages.{stage}", "nowhere"])
    monkeypatch.delitem(sys.modules, f"stages.{stage}")
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module(f"stages.{stage}", run_name="__main__")
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip()
    source = {"landmarks": "index", "align": "landmarks"}.get(stage, "aligned")
    assert f"data/{source}/nowhere/clips.csv" in error and "\n" not in error
