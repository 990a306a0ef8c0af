"""A finished run applied to one's own clip goes the pipeline's own way, and an export of it says the same."""

import contextlib
import csv
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import yaml
from pipeline import ROOT, digests, write_params

from mer import export, params, predict
from mer.base import store
from mer.base.errors import MerError
from mer.datasets import index
from mer.datasets.readers import plain as generic
from mer.datasets.synthetic import plan, release
from mer.evaluation import predictions, results
from mer.labels import align, faces, flow, records
from mer.models.ma2mi import encoding
from mer.models.ma2mi.autoencoder import ConvAe
from mer.runs import apply, finished, footage, kept, networks
from mer.training.checkpoint import read_safetensors
from stages import train

BUDGET = {"steps": 3, "batch": 3, "threads": 1, "workers": 1}
MODELS = {
    "mol": {"model": "mol", "sampling": {"t": 3, "sets": 1}, "mol": {"width": 0.0625}},
    # 12 steps, frame by frame, and a large gain: after fewer, batch norm's statistics hide the frames from the scores
    "fdp": {"model": "fdp", "lr": 0.001, "train": {**BUDGET, "steps": 12}, "sampling": {"t": 4, "sets": 3},
            "fdp": {"width": 0.0625, "n_local": [1, 0, 0, 0], "n_global": [0, 0, 0, 1], "gain": 100.0,
                    "frame_fold": "loop"}},
    "ma2mi": {"model": "ma2mi", "seeds": [0, 3], "ma2mi": {"width": 0.0625, "size": 64}},
    "ma2mi keep": {"model": "ma2mi", "ma2mi": {"width": 0.0625, "size": 64, "keep_reconstruction": True,
                                               "conv_ae_width": 0.0625, "dit_width": 16, "dit_depth": 1,
                                               "dit_heads": 2}},
}
PICTURES = {"mol": {"Landmarks on the sampled frames", "Flow from frame to frame"},
            "fdp": {"Dynamic image", "Rank scores of the frames", "Landmarks on the sampled frames"},
            "ma2mi": {"Onset, apex, and Grad-CAM"}}
PICTURES["ma2mi keep"] = PICTURES["ma2mi"]
CLIP, FOLD = "s02_surprise_1", "synthetic/s02"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A synthetic release of two subjects, three clips each, its clip rows, and dlib's landmarks."""
    folder = tmp_path_factory.mktemp("raw")
    write_params(folder / "params.yaml", {"synthetic": {"subjects": 2, "clips_per_class": 1, "frames": 9,
                                                        "macro_subjects": 0, "width": 200, "height": 240}})
    micro = plan.releases(params.load(folder / "params.yaml").synthetic)[0]
    rows = [row for index in range(2) for row in release.render_subject((micro, index, folder))]
    # the last frames are cut off the annotation, so that the clip is a part of what is on disk
    rows = [(*row[:5], row[5] - 1, *row[6:]) if row[5] - 1 > row[4] else row for row in rows]
    store.write_csv(folder / "clips.csv", release.HEADER, rows)
    clips = sorted(generic.read(folder, dataset="synthetic").clips, key=lambda clip: (clip.subject, clip.clip_id))
    path = str(faces.predictor_path())
    marks = {clip.clip_id: faces.landmark_clip(clip, raw_root=str(folder), model_path=path)
             for clip in clips}
    return SimpleNamespace(folder=folder, clips=clips, marks=marks)


@pytest.fixture(scope="module")
def project(raw, tmp_path_factory):
    """A project by name of `MODELS` after `train` and the numbers of `evaluate`, made once; not to be changed."""
    made = {}

    def finish(name: str) -> Path:
        if name not in made:
            made[name] = _finish(tmp_path_factory.mktemp(name.replace(" ", "_")), raw, MODELS[name])
        return made[name]

    return finish


def _finish(root: Path, raw, knobs: dict) -> Path:
    (root / "data/pretrained").mkdir(parents=True)
    (root / "data/raw").mkdir()
    shutil.copytree(raw.folder, root / "data/raw/synthetic")
    write_params(root / "params.yaml", {"pretrain": {"sources": []}, "train": BUDGET, "selection": ["last"],
                                        "lr": 0.01, **knobs})
    with contextlib.chdir(root):
        p = params.load()
        settings = {"size": p.align.size, "enlarge": p.align.enlarge, "border": p.align.border}
        aligned = {clip.clip_id: align.align_clip((clip, raw.marks[clip.clip_id]), raw_root="data/raw/synthetic",
                                                  **settings) for clip in raw.clips}
        sampling = {"t": p.sampling.t, "sets": p.sampling.sets, "span": p.sampling.span, "seed": p.sampling.seed}
        labels = {clip_id: flow.flow_clip((clip_id, record), pairs=1, **sampling)
                  for clip_id, record in aligned.items()} if p.model == "mol" else {}
        told = index.survey("synthetic", Path("data/raw/synthetic"), generic.read(
            Path("data/raw/synthetic"), dataset="synthetic"))
        for stage, found in (("aligned", aligned), ("flow", labels), ("dynamic", {})):
            records.write(Path("data") / stage / "synthetic", stage, raw.clips, found, attrs={}, summary={},
                          before={"excluded": [], "index": told})
        if p.ma2mi.keep_reconstruction:
            torch.manual_seed(0)
            encoding.encode(ConvAe(p.ma2mi.conv_ae_width).eval(), Path("data"), "synthetic", Path("data/latents"),
                           crop=p.train.crop, size=p.ma2mi.size)
        train.run()
        tables = [predictions.read(path) for path in sorted(Path("data/folds").glob("*/*/predictions.csv"))]
        names = tuple(store.read_json("data/folds/summary.json")["class_names"])
        store.write_json("reports/metrics.json", results.summarise(
            predictions.concat(tables), names, p.selection, bootstrap=100, permutations=100, seed=0))
    return root


def call(module, monkeypatch, *words) -> None:
    """Run a command line of the project in this process."""
    monkeypatch.setattr(sys, "argv", ["python -m", *map(str, words)])
    module.run()


def scores(out: Path) -> dict[tuple[str, str], np.ndarray]:
    with open(out / "scores.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["seed", "fold", "happiness", "disgust", "surprise"]
    return {(row[0], row[1]): np.array(row[2:], float) for row in rows}


def annotation(clip) -> list:
    return ["--onset", clip.onset, "--apex", clip.apex, "--offset", clip.offset]


class Page(HTMLParser):
    """The alt texts of a page's pictures, the titles of its figures, and what it would fetch."""

    def __init__(self, text: str):
        super().__init__()
        self.alts, self.fetched, self.titles, self.bold = [], [], set(), False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.bold = tag == "b"
        if tag == "img":
            self.alts.append(values.get("alt"))
        self.fetched += [values[key] for key in ("src", "href") if not values.get(key, "#").startswith(("data:", "#"))]

    def handle_data(self, data):
        if self.bold:
            self.titles.add(data)
        self.bold = False


@pytest.mark.parametrize("name", MODELS)
def test_a_clip_gets_the_scores_that_the_pipeline_has_for_it(name, raw, project, tmp_path, monkeypatch, capsys):
    """And an export of the run gives the same to the last digit."""
    root = project(name)
    clip = next(clip for clip in raw.clips if clip.clip_id == CLIP)
    frames = raw.folder / clip.frames_dir  # a copy of the project's own: nothing tells where it comes from
    call(predict, monkeypatch, frames, "--run", root, *annotation(clip), "--out", tmp_path / "out")
    said, made = capsys.readouterr().out, scores(tmp_path / "out")
    seeds = MODELS[name].get("seeds", [0])
    assert set(made) == {(str(seed), fold) for seed in seeds for fold in ("synthetic/s01", FOLD)}
    for seed in seeds:
        t = predictions.read(root / f"data/folds/{seed}/synthetic_s02/predictions.csv").where("last")
        wanted = t.p[t.clip_id.tolist().index(CLIP)]
        assert np.abs(made[str(seed), FOLD] - wanted).max() < 1e-6
        assert np.abs(t.p[t.clip_id != CLIP] - wanted).max(axis=1).min() > 1e-4  # other frames would be noticed
        assert np.abs(made[str(seed), "synthetic/s01"] - wanted).max() > 1e-5  # another network says something else

    mean = np.mean(list(made.values()), axis=0)
    for word, value in zip(("happiness", "disgust", "surprise"), mean, strict=True):
        assert re.search(rf"^{word} +{value:.4f} ", said, re.MULTILINE)
    assert "NOT calibrated probabilities" in said and "SYNTHETIC faces" in said and "measure nothing" in said
    assert f"mean of {2 * len(seeds)} networks" in said and "leave one subject out" in said

    text = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.fetched == [] and len(page.alts) == len(PICTURES[name]) + 2 and all(map(len, page.alts))
    assert page.titles == {"Softmax scores, not calibrated", *PICTURES[name]}
    assert "NOT calibrated" in text and "Synthetic faces: says nothing about real ones" in text
    assert (tmp_path / "out/.gitignore").read_text() == "*\n"

    call(export, monkeypatch, "--run", root, "--fold", "all", "--out", tmp_path / "export")
    run, film = finished.open_run(tmp_path / "export"), footage.footage(frames)
    judged = apply.judge(run, networks.choose(run), film, footage.annotate(film, clip.onset, clip.apex, clip.offset))
    assert {(str(n.seed), n.fold): [f"{v:.9g}" for v in p] for n, p in zip(judged.networks, judged.p, strict=True)
            } == {key: [f"{v:.9g}" for v in p] for key, p in made.items()}


def test_a_clip_of_the_runs_own_data_is_known_again(raw, project, tmp_path, monkeypatch, capsys):
    root = project("ma2mi")
    frames = root / "data/raw/synthetic/frames" / CLIP
    (tmp_path / "thesis.txt").touch()
    call(predict, monkeypatch, frames, "--run", root / "data", "--seed", 3, "--out", tmp_path)
    assert (f"This is clip {CLIP} of {FOLD}, of the run's own data: 1 of the 2 networks were trained on this subject, "
            "and their scores measure nothing.") in capsys.readouterr().out
    call(predict, monkeypatch, frames, "--run", root, "--fold", FOLD, "--seed", 0, "--out", tmp_path)
    assert not (tmp_path / ".gitignore").exists()  # would hide what was there before
    assert "0 of the 1 networks were trained on this subject." in capsys.readouterr().out
    assert list(scores(tmp_path)) == [("0", FOLD)]
    call(export, monkeypatch, "--run", root, "--fold", FOLD, "--seed", 0, "--out", tmp_path / "export")
    call(predict, monkeypatch, frames, "--run", tmp_path / "export", "--out", tmp_path / "again")
    assert (tmp_path / "again/scores.csv").read_bytes() == (tmp_path / "scores.csv").read_bytes()


def test_a_video_is_read_frame_by_frame_and_what_is_assumed_is_told(raw, project, tmp_path, monkeypatch, capsys):
    folder = raw.folder / "frames" / CLIP
    files = [folder / f"img{number}.jpg" for number in range(1, 10)]
    pictures = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    video = cv2.VideoWriter(str(tmp_path / "my face.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 12, (200, 240))
    for picture in pictures:
        video.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    video.release()
    film = footage.footage(tmp_path / "my face.avi")
    assert film.numbers == list(range(1, 10)) and film.fps == 12
    seen = list(film.read(footage.annotate(film, 3, None, 7)))
    assert [number for number, _ in seen] == [3, 4, 5, 6, 7]
    away = [[np.abs(image.astype(float) - picture).mean() for picture in pictures] for _, image in seen]
    assert [int(np.argmin(row)) + 1 for row in away] == [3, 4, 5, 6, 7] and np.min(away, axis=1).max() < 3

    monkeypatch.chdir(tmp_path)
    call(predict, monkeypatch, tmp_path / "my face.avi", "--run", project("ma2mi"))
    said = capsys.readouterr().out
    for words in ("Frames 1 to 9, the whole clip; sampled: 1, 5.", "begins with the first frame and ends with the last",
                  "the apex is frame 5, midway", "0.75 s at 12 frames per second", "lasts at most 0.5 s"):
        assert words in said
    assert "of the run's own data" not in said
    assert (tmp_path / "predict/my_face/index.html").is_file()


def test_a_film_with_the_face_in_few_frames_says_so_first_and_on_its_page(raw, project, tmp_path, monkeypatch, capsys):
    face = cv2.imread(str(raw.folder / "frames" / CLIP / "img5.jpg"))
    for seen in (4, 5):
        video = cv2.VideoWriter(str(tmp_path / f"{seen}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (200, 240))
        for number in range(9):
            video.write(face if number < seen else np.full_like(face, 128))
        video.release()
        call(predict, monkeypatch, tmp_path / f"{seen}.avi", "--run", project("ma2mi"), "--out", tmp_path / str(seen))
        said, text = capsys.readouterr().out, (tmp_path / str(seen) / "index.html").read_text(encoding="utf-8")
        assert f"No face was found in {9 - seen} of 9 frames" in said
        words = "A face was found in 4 of 9 frames only: the scores mean little"
        few = seen == 4
        assert (said.splitlines()[0] == f"warning: {words}") is few is ("warning" in said)
        assert (f'</h1><span class="badge">{words}</span>' in text) is few is ("mean little" in text)


def test_two_people_and_a_face_that_jumps_are_told_first_and_a_clip_in_pieces_is_refused(raw, project, tmp_path,
                                                                                         monkeypatch, capsys):
    face = cv2.imread(str(raw.folder / "frames" / CLIP / "img5.jpg"))

    def film(name, places):
        (tmp_path / name).mkdir()
        for number, columns in enumerate(places):
            picture = np.full((240, 500, 3), 128, np.uint8)
            for column in columns:
                picture[:, column:column + 200] = face
            cv2.imwrite(str(tmp_path / name / f"img{number}.png"), picture)
        return tmp_path / name

    call(predict, monkeypatch, film("two", [(0, 280)] * 9), "--run", project("ma2mi"), "--out", tmp_path / "out")
    said = capsys.readouterr().out
    assert re.match(r"warning: Another face is seen \(in frame 0, \d+ px wide around \(\d+, \d+\), detector's score "
                    r"[\d.]+\): the scores are of one of them, \d+ px wide around", said)
    assert "1 of the frames that were searched as a whole hold other faces" in said
    call(predict, monkeypatch, film("jump", [(40,)] * 6 + [(75,)] * 3), "--run", project("ma2mi"), "--out",
         tmp_path / "out")
    assert capsys.readouterr().out.startswith("warning: The points jump by more than half an inter-ocular distance 1 ")
    with pytest.raises(MerError, match=r"pieces: its points jump 4 times .* at most \d of its 9 frames hang together"):
        call(predict, monkeypatch, film("pieces", [(40 + 35 * (k // 2 % 2),) for k in range(9)]), "--run",
             project("ma2mi"), "--out", tmp_path / "out")


def test_few_faces_are_told_before_the_networks_run(raw, project, tmp_path, monkeypatch):
    """A network that cannot be read stops the run; the warning is there already."""
    still(tmp_path / "film", 9, np.full((240, 200), 128, np.uint8))
    shutil.copy(raw.folder / "frames" / CLIP / "img5.jpg", tmp_path / "film/img10.jpg")
    monkeypatch.setattr(apply, "load", lambda *_: pytest.fail("a network"))
    run, film, told = finished.open_run(project("ma2mi")), footage.footage(tmp_path / "film"), []
    with pytest.raises(pytest.fail.Exception, match="a network"):
        apply.judge(run, networks.choose(run), film, footage.annotate(film, None, None, None), told.append)
    assert told == ["A face was found in 1 of 10 frames only: the scores mean little"]


def test_ctrl_c_keeps_what_the_detector_found(raw, project, tmp_path, monkeypatch, capsys):
    """The next call searches what is left, says the same as an undisturbed one, and leaves nothing behind."""
    folder, out = raw.folder / "frames" / CLIP, tmp_path / "out"
    real, searched = faces.dlib_models, []

    def models(path):
        detect, points = real(path)

        def counted(image, upsample):
            if searched.append(1) or len(searched) == stop:
                raise KeyboardInterrupt
            return detect(image, upsample)

        return counted, points

    monkeypatch.setattr(faces, "dlib_models", models)
    words = [folder, "--run", project("ma2mi")]
    stop = 0
    call(predict, monkeypatch, *words, "--out", tmp_path / "undisturbed")
    needed = len(searched)
    searched.clear()
    stop = needed // 2 + 1
    with pytest.raises(KeyboardInterrupt):
        call(predict, monkeypatch, *words, "--out", out)
    with open(out / kept.NAME, "a", encoding="utf-8") as file:
        file.write('["half a li')  # as `kill -9` may leave it
    searched.clear()
    stop = 0
    capsys.readouterr()
    call(predict, monkeypatch, *words, "--out", out)
    assert f"found in {needed // 2} searches of an interrupted run" in capsys.readouterr().err
    assert len(searched) == needed - needed // 2 > 0
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert files.keys() == {".gitignore", "index.html", "scores.csv"}
    assert files["scores.csv"] == (tmp_path / "undisturbed/scores.csv").read_bytes()


def test_a_part_of_a_damaged_film_is_used_where_it_is_named(raw, project, tmp_path, monkeypatch, capsys):
    face = cv2.imread(str(raw.folder / "frames" / CLIP / "img5.jpg"))
    video = cv2.VideoWriter(str(tmp_path / "x.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, face.shape[1::-1])
    for _ in range(9):
        video.write(face)
    video.release()
    data = (tmp_path / "x.avi").read_bytes()
    (tmp_path / "x.avi").write_bytes(data[:len(data) * 3 // 5])
    call(predict, monkeypatch, tmp_path / "x.avi", "--run", project("ma2mi"), "--onset", 1, "--offset", 4, "--out",
         tmp_path / "out")
    said = capsys.readouterr().out
    assert "The film is not whole: " in said and "frames could be read of the 9 in its header" in said
    assert "whole clip" not in said


def test_the_gray_frames_of_a_video_give_almost_the_scores_of_the_files(raw, project, tmp_path, monkeypatch):
    clip = next(clip for clip in raw.clips if clip.clip_id == CLIP)
    folder = raw.folder / clip.frames_dir
    video = cv2.VideoWriter(str(tmp_path / "x.avi"), cv2.VideoWriter_fourcc(*"FFV1"), 100, (200, 240))
    for number in range(1, 10):
        video.write(cv2.imread(str(folder / f"img{number}.jpg")))
    video.release()
    for name, source in (("files", folder), ("video", tmp_path / "x.avi")):
        call(predict, monkeypatch, source, "--run", project("fdp"), *annotation(clip), "--out", tmp_path / name)
    files, video = scores(tmp_path / "files"), scores(tmp_path / "video")
    assert max(np.abs(files[key] - video[key]).max() for key in files) < 0.05


def test_an_export_holds_the_weights_and_says_what_they_are(project, tmp_path, monkeypatch):
    root = project("mol")
    for name in ("one", "two"):
        call(export, monkeypatch, "--run", root, "--fold", FOLD, "--out", tmp_path / name)
    assert list(digests(tmp_path / "one").values()) == list(digests(tmp_path / "two").values())
    (file,) = (tmp_path / "one").glob("*.safetensors")
    found = read_safetensors(file)
    kept = torch.load(root / "data/folds/0/synthetic_s02/model.pt", weights_only=True)["model"]
    assert set(found) == set(kept) and all(torch.equal(found[key], kept[key]) for key in kept)
    from safetensors import safe_open
    with safe_open(file, "pt") as opened:  # the format's own reader
        assert set(opened.keys()) == set(kept)

    m = results.read(root / "reports")
    card = (tmp_path / "one/README.md").read_text()
    for words in ("SYNTHETIC", "happiness, disgust, surprise", "loso (leave one subject out)", "last training step",
                  f"| accuracy | {m['accuracy']:.3f} | {m['accuracy_low']:.3f} to {m['accuracy_high']:.3f} |",
                  "| seed0_synthetic_s02.safetensors | synthetic/s02 | 0 | synthetic/s02 | 3 |", "mol.width: 0.0625",
                  "not calibrated probabilities", "iBUG 300-W", "commit unknown"):
        assert words in card, words
    front = yaml.safe_load(card.split("---\n")[1])
    (result,) = front["model-index"][0]["results"]
    assert card.startswith("---\n") and front["library_name"] == "mer" and front["license"] == "mit"
    assert {"micro-expression", "synthetic"} < set(front["tags"]) and "SYNTHETIC" in result["dataset"]["name"]
    assert {one["type"]: one["value"] for one in result["metrics"]}["accuracy"] == round(m["accuracy"], 4)
    assert str(tmp_path.parent) not in card + (tmp_path / "one/config.json").read_text()
    opened = finished.open_run(tmp_path / "one")
    assert opened.params == finished.open_run(root).params and opened.networks[0].held_out == (FOLD,)

    (tmp_path / "three").mkdir()
    (tmp_path / "three/thesis.txt").touch()
    with pytest.raises(MerError, match="three: holds other files"):
        call(export, monkeypatch, "--run", root, "--fold", FOLD, "--out", tmp_path / "three")
    with pytest.raises(MerError, match="already an export"):
        call(export, monkeypatch, "--run", tmp_path / "one", "--fold", "all", "--out", tmp_path / "two")
    config = json.loads((tmp_path / "two/config.json").read_text())
    for damage, message in (({"format": 9}, "not an export of this version of mer"),
                            ({"params": {**config["params"], "model": "mole"}}, r"config\.json: model = 'mole'")):
        store.write_json(tmp_path / "two/config.json", {**config, **damage})
        with pytest.raises(MerError, match=message):
            finished.open_run(tmp_path / "two")
    config["params"]["mol"]["width"] = 0.125
    store.write_json(tmp_path / "two/config.json", config)
    run = finished.open_run(tmp_path / "two")
    with pytest.raises(MerError, match=r"^\S+safetensors: tensor \S+ is \(.*\), the parameters want"):
        networks.load(run, networks.choose(run)[0])


def test_a_card_of_real_data_tells_its_licences_and_of_the_headline_only_what_is_these_networks(project):
    run = finished.open_run(project("mol"))
    metrics = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 1.0, "p_value": 0.01, "last_accuracy": 0.6,
               "last_uf1": 0.5, "chance": 1 / 3, "majority": 0.4, "n_clips": 6, "n_subjects": 2, "n_seeds": 1}
    run.about.update(datasets=["casme2"], pretrained_on=["dfew"], selection=["inner", "last"])
    found = export.numbers(run, metrics)
    assert found["accuracy"] == 0.6 and "accuracy_low" not in found and "p_value" not in found
    text = "\n".join(export.limits(run))
    assert "casme2, dfew: released for research only" in text and "must not be passed on" in text
    assert "Synthetic" not in text


def still(folder: Path, count: int, picture: np.ndarray, first: int = 1) -> Path:
    folder.mkdir()
    for number in range(first, first + count):
        cv2.imwrite(str(folder / f"img{number}.png"), picture)
    return folder


GREY = np.full((80, 60), 128, np.uint8)


@pytest.mark.parametrize(("words", "message"), [
    (["nothing.mp4"], "nothing.mp4: no such file or folder"),
    (["text.avi"], "text.avi: not a video that OpenCV can read; convert it"),
    (["cut.avi"], "cut.avi: not a video that OpenCV can read"),
    (["part.avi"], "4 frames could be read of the 8 in its header: cut or damaged?; get it anew, or say which part is "
     "meant (--onset, --offset)"),
    (["tiff"], "tiff: no image with a number in its name; expected frames such as img1.jpg (img1.tif: read are .bmp, "
     ".jpeg, .jpg, .png, convert it)"),
    (["stamps"], "stamps: frame 1700000000005; numbers go to 2147483647, time stamps do not fit: number the frames"),
    (["grey", "--out", "text.avi"], "--out text.avi: Not a directory; expected a folder that can be written"),
    (["grey", "--out", "text.avi/x"], "--out text.avi/x: Not a directory; expected a folder that can be written"),
    (["grey/img3.png"], "img3.png: a single image; expected a video, or the folder of the frames"),
    (["empty"], "empty: no image with a number in its name; expected frames such as img1.jpg, or one of its videos by "
     "name (a.mp4)"),
    (["grey"], "grey: no face found in any of its 6 frames"),
    (["grey", "--onset", 1], "--onset 1: grey has frames 3 to 8"),
    (["grey", "--offset", 9], "--offset 9: grey has frames 3 to 8"),
    (["gap", "--apex", 7], "--apex 7: gap has frames 3 to 8, and none of that number: the nearest is 6"),
    (["grey", "--onset", 6, "--apex", 4], "grey: onset 6, apex 4, offset 8; expected them in this order"),
    (["grey", "--onset", 8, "--offset", 3], "grey: onset 8, offset 3; expected them in this order"),
    (["grey", "--onset", 8], "grey: 1 frame from onset 8 to offset 8; motion needs at least 2"),
    (["broken"], "img5.png: truncated PNG"),
    (["grey", "--fold", "synthetic/s09"], "--fold synthetic/s09: the run has no such fold; did you mean synthetic/s0"),
    (["grey", "--fold", "@"], "--fold @: the run has no such fold; it has synthetic/s0"),
    (["grey", "--fold", "s02"], "did you mean synthetic/s02?"),
    (["grey", "--seed", 7], "--seed 7: the run has seeds 0"),
    (["grey", "--run", "empty"], "empty: no finished run (empty/data/folds/summary.json is not there) and no export; "
     "run `dvc repro` in the project, with train.keep_checkpoints: true"),
])
def test_what_cannot_be_done_is_said_in_one_line(words, message, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    still(tmp_path / "grey", 6, GREY, first=3)
    (still(tmp_path / "gap", 6, GREY, first=3) / "img7.png").unlink()
    broken = still(tmp_path / "broken", 6, GREY) / "img5.png"
    broken.write_bytes(broken.read_bytes()[:-20])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/a.mp4").touch()
    (tmp_path / "tiff").mkdir()
    (tmp_path / "tiff/img1.tif").touch()
    still(tmp_path / "stamps", 6, GREY, first=1_700_000_000_000)
    video = cv2.VideoWriter(str(tmp_path / "part.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (200, 200))
    for number in range(8):
        video.write(np.random.default_rng(number).integers(0, 256, (200, 200, 3), np.uint8))
    video.release()
    data = (tmp_path / "part.avi").read_bytes()
    (tmp_path / "part.avi").write_bytes(data[:len(data) * 2 // 5])
    (tmp_path / "text.avi").write_text("no video\n")
    (tmp_path / "cut.avi").write_bytes(b"RIFF\x00\x00\x00\x00AVI LIST")
    run = [] if "--run" in words else ["--run", project("ma2mi keep")]
    with pytest.raises(MerError) as caught:
        call(predict, monkeypatch, *words, *run)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "predict").exists()


def test_the_command_line_ends_with_one_line_and_code_2(tmp_path):
    done = subprocess.run([sys.executable, "-m", "mer.predict", "x.mp4", "--run", str(tmp_path)], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"error: .*no finished run.*\n", done.stderr)


@pytest.fixture
def copy(project, tmp_path):
    """A copy of a finished project that a test may spoil."""
    return shutil.copytree(project("ma2mi keep"), tmp_path / "copy")


def edit(root: Path, **changes) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text())
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    (root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def test_checkpoints_that_were_not_kept_or_are_lost_are_told_apart(copy):
    (copy / "data/folds/0/synthetic_s01/model.pt").unlink()
    networks.choose(finished.open_run(copy), FOLD)
    with pytest.raises(MerError, match="synthetic_s01/model.pt: the network is missing; run `dvc checkout`"):
        networks.choose(finished.open_run(copy))
    edit(copy, train={"keep_checkpoints": False})
    with pytest.raises(MerError, match="keep_checkpoints = false, .* `dvc exp run -S train.keep_checkpoints=true`"):
        networks.choose(finished.open_run(copy))


def test_parameters_that_are_no_longer_those_of_the_run_are_refused(copy):
    then = yaml.safe_load((copy / "params.yaml").read_text())
    locked = {key: then[key] for key in ("train", "sampling", "ma2mi", "profiles")}
    lock = {"schema": "2.0", "stages": {"train": {"cmd": "x", "params": {"params.yaml": locked}},
                                        "align@synthetic": {"params": {"params.yaml": {"align": then["align"]}}},
                                        "report": {"params": {"params.yaml": {"evaluate": {}}}}}}
    (copy / "dvc.lock").write_text(yaml.safe_dump(lock))
    finished.open_run(copy)
    edit(copy, align={"enlarge": 3.0})
    with pytest.raises(MerError, match=r"params.yaml: align.enlarge = 3.0, but the finished run was made with 2.5 "
                                       r"\(dvc.lock, stage align@synthetic\)"):
        finished.open_run(copy)
    edit(copy, align={"enlarge": 2.5}, profile="paper")
    with pytest.raises(MerError, match="params.yaml: profile = 'paper'; the finished run has 'demo'; put it back"):
        finished.open_run(copy)


def test_a_run_without_class_outputs_is_refused(raw, project, tmp_path, monkeypatch):
    root = shutil.copytree(project("mol"), tmp_path / "copy")
    edit(root, mol={"tasks": ["flow", "landmark"]})
    with pytest.raises(MerError, match="trained without the task `mer` and names no classes"):
        call(predict, monkeypatch, raw.folder / "frames" / CLIP, "--run", root, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
