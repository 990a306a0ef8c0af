"""The synthetic release on disk: layout, restart, and that dlib finds and reads the faces."""

import csv
import shutil
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest

from mer.base import store
from mer.base.errors import MerError
from mer.base.knobs import Parallel
from mer.datasets.synthetic import release as release_module
from mer.datasets.synthetic.plan import releases
from mer.datasets.synthetic.release import make, render_subject
from mer.labels import faces
from mer.labels.head_motion import without_head_motion
from mer.reporting import contact_sheet


@dataclass(frozen=True)
class Cfg:
    seed: int = 3
    width: int = 168
    height: int = 204
    jpeg_quality: int = 95
    distractors: float = 0.6
    head_motion: float = 1.5
    noise: float = 3.0
    au_jitter: float = 1.0
    subjects: int = 2
    classes: tuple[str, ...] = ("happiness", "surprise")
    clips_per_class: int = 1
    frames: int = 4
    fps: float = 100.0
    amplitude: float = 0.8
    macro_subjects: int = 1
    macro_clips_per_class: int = 1
    macro_frames: int = 4
    macro_fps: float = 30.0
    macro_amplitude: float = 2.0


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(folder, {"micro": root, "macro": root}) of a small finished release."""
    folder = tmp_path_factory.mktemp("synthesize")
    roots = {"micro": folder / "data" / "synthetic", "macro": folder / "data" / "synthetic_macro"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        make(Cfg(), tuple(roots.values()), on=Parallel(1, "loky"))
    return folder, roots


def test_the_tables_name_every_clip_and_the_frames_are_there(written):
    _, roots = written
    with open(roots["micro"] / "clips.csv", newline="") as file:
        micro = list(csv.DictReader(file))
    with open(roots["macro"] / "clips.csv", newline="") as file:
        macro = list(csv.DictReader(file))
    assert [row["clip_id"] for row in micro] == [f"s0{s}_{w}_1" for s in (1, 2) for w in ("happiness", "surprise")]
    assert sorted({row["label"] for row in macro}) == ["anger", "disgust", "fear", "happiness", "neutral", "sadness",
                                                       "surprise"]
    assert {row["subject"] for row in micro}.isdisjoint(row["subject"] for row in macro)
    for root, rows in ((roots["micro"], micro), (roots["macro"], macro)):
        for row in rows:
            names = {path.name for path in (root / row["frames"]).iterdir()}
            assert names == {f"img{k}.jpg" for k in range(1, 5)}
            assert 1 <= int(row["onset"]) < int(row["apex"]) < int(row["offset"]) <= 4
            assert cv2.imread(str(root / row["frames"] / "img1.jpg")).shape == (204, 168, 3)
            truth = store.read_shard(root / "truth" / f"{row['subject']}.h5")[0][row["clip_id"]]
            assert truth["points"].shape == (4, 68, 2) and truth["flow"].shape == (2, 204, 168)
            assert (row["aus"] == "") == (row["label"] == "neutral")


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(written, tmp_path, monkeypatch, capsys):
    _, roots = written
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    whole, rendered = release_module.write_frames, []

    def dies_in_the_third_clip(subject, script, folder):
        rendered.append(folder.name)
        if len(rendered) == 3:
            (folder.parent / f".{folder.name}.99.tmp").mkdir()  # what a kill leaves behind
            raise KeyboardInterrupt
        whole(subject, script, folder)

    outs = (tmp_path / "micro", tmp_path / "macro")
    monkeypatch.setattr(release_module, "write_frames", dies_in_the_third_clip)
    with pytest.raises(KeyboardInterrupt):
        make(Cfg(), outs, on=Parallel(1, "loky"))
    assert not outs[0].exists() and not outs[1].exists()
    again = []
    monkeypatch.setattr(release_module, "write_frames", lambda *a: (again.append(a[2].name), whole(*a)))
    capsys.readouterr()
    make(Cfg(), outs, on=Parallel(1, "loky"))
    assert "reusing 2 of 11 clips" in capsys.readouterr().err
    assert len(again) == 9 and not set(again) & set(rendered[:2])
    for out, root in zip(outs, roots.values(), strict=True):
        assert contents(out) == contents(root)
    assert not list((tmp_path / ".scratch" / "synthesize").iterdir())


def test_a_subject_gives_the_same_bytes_alone(written, tmp_path):
    _, roots = written
    rows = render_subject((releases(Cfg())[0], 1, tmp_path))
    assert [row[0] for row in rows] == ["s02_happiness_1", "s02_surprise_1"]
    own = contents(tmp_path)
    assert own and own == {name: data for name, data in contents(roots["micro"]).items() if name in own}


def test_the_size_is_told_before_and_a_disk_that_is_too_small_stops_it(written, tmp_path, monkeypatch):
    _, roots = written
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    told = sum(map(release_module.size, releases(Cfg())))
    found = sum(len(data) for root in roots.values() for data in contents(root).values())
    assert 0.5 * found < told < 2 * found
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("free", "free")(told // 2))
    with pytest.raises(MerError, match=r"synthesize: needs about \d+ MB of disk"):
        make(Cfg(), (tmp_path / "micro", tmp_path / "macro"), on=Parallel(1, "loky"))


def test_no_macro_subjects_gives_an_empty_table(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    outs = (tmp_path / "micro", tmp_path / "macro")
    make(Cfg(subjects=1, classes=("happiness",), macro_subjects=0), outs, on=Parallel(1, "loky"))
    assert (outs[1] / "clips.csv").read_text().splitlines() == [",".join(release_module.HEADER)]
    contact_sheet.write({"micro": outs[0], "macro": outs[1]}, tmp_path / "plots")
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["micro.png", "subjects.png"]


def test_an_unknown_class_is_named_at_once(tmp_path):
    with pytest.raises(MerError, match="synthetic.classes: 'fear'; expected words of happiness"):
        make(Cfg(classes=("happiness", "fear")), (tmp_path / "a", tmp_path / "b"))


def test_contact_sheets_show_every_subject_and_class(written, tmp_path):
    _, roots = written
    contact_sheet.write(roots, tmp_path)
    subjects, macro = (cv2.imread(str(tmp_path / name)) for name in ("subjects.png", "macro.png"))
    assert subjects.shape[1] == 6 * round(168 * 0.6) and macro.shape == (4 * (204 + contact_sheet.CAPTION), 6 * 168, 3)
    before = (tmp_path / "macro.png").read_bytes()
    contact_sheet.write(roots, tmp_path)
    assert (tmp_path / "macro.png").read_bytes() == before


def test_flow_without_head_motion_keeps_the_expression_only():
    grid = np.stack(np.meshgrid(np.arange(200), np.arange(240)), 0).astype(np.float32)
    head = 0.01 * (grid - 100) + np.array([1.5, -0.7], np.float32)[:, None, None]
    bump = np.exp(-0.5 * (((grid[0] - 90) / 10) ** 2 + ((grid[1] - 150) / 10) ** 2))
    rest = without_head_motion(head + np.stack([0 * bump, -2 * bump]))
    assert np.abs(rest[1] + 2 * bump).max() < 0.1 and np.abs(rest[0]).max() < 0.1


@pytest.mark.parametrize("name", ["micro", "macro"])
def test_dlib_finds_each_face_and_its_points(name, tmp_path, tools):
    """Targets: a face in 99.5 % of the frames, mean error of points 17-67 at most 0.05 of the inter-ocular distance."""
    plans = dict(zip(("micro", "macro"), releases(Cfg(width=280, height=340, frames=6, macro_frames=6)), strict=True))
    errors = []
    for index in (0, 1, 2):
        render_subject((plans[name], index, tmp_path))
        clips = store.read_shard(tmp_path / "truth" / f"{plans[name].subject_name(index)}.h5")[0]
        for clip_id in list(clips)[:3]:
            truth = clips[clip_id]["points"]
            for k in (0, 2, 4):
                grey = cv2.imread(str(tmp_path / "frames" / clip_id / f"img{k + 1}.jpg"), cv2.IMREAD_GRAYSCALE)
                errors.append(inner_error(grey, truth[k], *tools))
    assert len(errors) >= 18 and np.mean(errors) <= 0.05 and max(errors) < 0.10


@pytest.fixture(scope="module")
def tools():
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(faces.predictor_path()))


def inner_error(grey: np.ndarray, truth: np.ndarray, detector, predictor) -> float:
    """Mean error of points 17-67 as a fraction of the inter-ocular distance; fails where there is not one face."""
    found = detector(grey, 0)
    assert len(found) == 1
    points = np.array([(p.x, p.y) for p in predictor(grey, found[0]).parts()])
    scale = np.linalg.norm(truth[36:42].mean(0) - truth[42:48].mean(0))
    return float(np.linalg.norm(points - truth, axis=1)[17:].mean() / scale)
