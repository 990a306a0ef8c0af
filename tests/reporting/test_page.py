"""The stages evaluate and report on an invented run, and the page: accessible, self-contained, opened in a browser."""

import base64
import contextlib
import dataclasses
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reporting import fabricate

from mer.base import store
from mer.evaluation import predictions, results
from mer.reporting import html, pretraining_plots, sections
from mer.tables import fill
from mer.tables import rows as demands
from stages import evaluate, report

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def stage(name: str, root: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", f"stages.{name}"], cwd=root, text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in which evaluate and report have run, with exclusions, label quality and a picture of its stage."""
    root = fabricate.run_folder(tmp_path_factory.mktemp("run"))
    store.write_json(root / "reports/plots/labels/data.json", {"datasets": {"synthetic": {"index": {
        "release": "plain", "clips": 30, "subjects": 5, "labels": {"disgust": 10, "happiness": 10, "surprise": 10},
        "excluded": [{"clip_id": "lost1", "label": "disgust", "reason": "folder <empty> & gone"}]},
        "excluded": [{"clip_id": "lost2", "stage": "landmarks", "reason": "no face in any frame"}]}}})
    store.write_json(root / "reports/quality.json", {"synthetic.detection_rate": 0.9975, "synthetic.frames": 4608})
    picture = root / "reports/plots/labels/synthetic/landmarks.png"
    picture.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(picture)
    scratch = fabricate.pretrained(root / "scratch", reconstruction=False)
    pretraining_plots.draw([scratch], root / "reports/plots/pretraining", True, "mol")
    for name in ("evaluate", "report"):
        done = stage(name, root)
        assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module", params=["fdp", "ma2mi"])
def other(request, tmp_path_factory) -> tuple[str, Path]:
    """The same with a model that is not the default."""
    model, root = request.param, tmp_path_factory.mktemp(request.param)
    fabricate.run_folder(root, fabricate.table(subjects=3, model=model), model=model)
    scratch = fabricate.pretrained(root / "scratch", reconstruction=model == "ma2mi")
    pretraining_plots.draw([scratch], root / "reports/plots/pretraining", True, model)
    with contextlib.chdir(root):
        evaluate.run()
        report.run()
    return model, root


@pytest.fixture(scope="module")
def text(finished) -> str:
    return (finished / "reports/index.html").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Every element with its attributes, in order, and the words of each heading and cell."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br", "rect", "line", "circle"):
            self.open.append((tag, len(self.elements) - 1))

    def handle_endtag(self, tag):
        if tag not in ("rect", "line", "circle"):
            assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
            self.open.pop()

    def handle_data(self, data):
        for _, at in self.open:
            self.words[at] = self.words.get(at, "") + data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def outline(text) -> Outline:
    return Outline(text)


def test_metrics_are_flat_and_recomputed_from_the_stored_predictions(finished):
    m = results.read(finished / "reports")
    assert all(isinstance(value, int | float) for value in m.values())
    t = predictions.read(finished / "reports/predictions.csv")
    assert set(t.selection.tolist()) == {"last", "oracle", "zero_shot"}
    again = results.summarise(t.rows(t.selection != "zero_shot"), fabricate.NAMES, ("last", "oracle"),
                              t.where("zero_shot"), bootstrap=2000, permutations=5000, seed=0)
    assert again == m


def test_the_test_sets_of_a_release_stand_apart(finished):
    run = fabricate.load(finished / "data/folds/summary.json")
    m = results.read(finished / "reports")
    m |= {"test1_clips": 474, "test1_uf1": 0.4123, "test1_uar": 0.421, "test1_accuracy": 0.4873}
    shown = re.sub(r"<[^>]+>", "|", sections.beside(m, run | {"parts": ["test1"]}))
    assert re.search(r"test1\|+474\|+41\.2\|+42\.1\|+48\.7", shown)
    assert "test set" not in sections.beside(m, run)


def test_evaluate_writes_pictures_and_plot_data(finished):
    made = {path.name for path in (finished / "reports/plots/results").iterdir()}
    assert made == {"confusion.png", "confusion.csv", "subjects.png", "subjects.csv", "curves.png", "losses.csv",
                    "gradients.png", "gradients.csv", "clip_1.png", "clip_2.png", "clip_3.png", "probabilities.png"}


def test_report_writes_every_table(finished):
    made = {path.name for path in (finished / "reports/tables").iterdir()}
    assert made == {f"mol-{i}.md" for i in range(4, 16)}
    m = results.read(finished / "reports")
    lines = (finished / "reports/tables/mol-4.md").read_text().splitlines()
    row = next(line for line in lines if "| MOL |" in line)
    assert "91.26" in row and row.endswith("|  |  |  |  |  |  |"), "rendered faces are not the paper's"
    variant = next(line for line in lines if line.startswith("| MOL, but "))
    assert f"{100 * m['accuracy']:.2f} [" in variant and "91.26" not in variant


def test_running_again_gives_the_same_bytes(finished):
    before = {path: path.read_bytes() for path in (finished / "reports").rglob("*") if path.is_file()}
    for name in ("evaluate", "report"):
        assert stage(name, finished).returncode == 0
    assert {path: path.read_bytes() for path in (finished / "reports").rglob("*") if path.is_file()} == before


def test_page_says_which_versions_made_it_and_that_they_differ(finished, tmp_path):
    root = shutil.copytree(finished, tmp_path / "run")
    recorded = store.read_json(root / "reports/environment.json")
    assert set(recorded["made_with"]) == {"align@synthetic", "train", "evaluate"}
    text = (root / "reports/index.html").read_text(encoding="utf-8")
    version = recorded["made_with"]["align@synthetic"]["opencv-contrib-python"]
    older = "4.9.0.80"  # below what pyproject.toml ever admitted: never the installed one
    assert version in text and "Made by different versions" not in text and "Mixed:" not in text
    recorded["made_with"]["align@synthetic"]["opencv-contrib-python"] = older
    store.write_json(root / "reports/environment.json", recorded)
    assert stage("report", root).returncode == 0
    text = (root / "reports/index.html").read_text(encoding="utf-8")
    assert "Made by different versions of opencv-contrib-python" in text
    assert f"opencv-contrib-python {older} and {version}" in text and f"{older}: align@synthetic" in text


def test_page_tells_what_the_run_cost(finished, tmp_path):
    assert "What it cost" not in (finished / "reports/index.html").read_text(encoding="utf-8")
    root = shutil.copytree(finished, tmp_path / "run")
    one = {"key": "a", "seconds": 31.4, "memory_mb": 300, "machine": "Processor <X>, 2 cores"}
    store.write_json(root / "data/costs/align/synthetic.json", {**one, "worker_memory_mb": 450})
    store.write_json(root / "data/costs/align/of_another_run.json", one)
    store.write_json(root / "data/costs/latents.json", {})
    store.write_json(root / "data/costs/train.json", {
        **one, "seconds": 148.6, "steps": 720, "steps_per_second": 5.21, "continued": True})
    done = stage("report", root)
    assert done.returncode == 0 and done.stderr == ""
    assert list(fabricate.load(root / "reports/costs.json")) == ["align@synthetic", "train"]
    page = (root / "reports/index.html").read_text(encoding="utf-8")
    shown = [[unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row)]
             for row in re.search(r'<section id="cost".*?</section>', page, re.DOTALL)[0].split("<tr>")[1:]]
    machine = "Processor <X>, 2 cores"
    assert shown == [["stage", "seconds", "memory, MB", "largest worker, MB", "steps", "steps per second", "machine"],
                     ["align@synthetic", "31.4", "300", "450", "", "", machine],
                     ["train", "148.6", "300", "", "720", "5.21", f"{machine}; continued"]]
    assert "Together 3.0 minutes; no process needed more than 450 MB. Continued: " in page


def test_page_names_what_must_be_named(text, finished):
    m = results.read(finished / "reports")
    for words in (f"{100 * m['accuracy']:.1f} %", f"p = {m['p_value']:.2g}", "Synthetic faces", "before any fold",
                  "(never a result)", "zero flow", "constant mean face", "99.75%", "lost1",
                  "folder &lt;empty&gt; &amp; gone", "no face in any frame", "91.26", "lambda_f", "SHA-256"):
        assert words in text, words


def test_page_needs_nothing_from_outside(outline, text, finished):
    for tag, attrs in outline.elements:
        for name in ("src", "srcset", "action", "poster", "data"):
            if name in attrs:
                assert attrs[name].startswith(("data:", "#")), (tag, attrs[name][:60])
    assert "url(" not in text and "@import" not in text and outline.all("script") == [{}] and "fetch" not in text
    targets = {attrs["id"] for _, attrs in outline.elements if "id" in attrs}
    links = [attrs["href"] for attrs in outline.all("a")]
    assert all(link[1:] in targets for link in links if link.startswith("#"))
    files = [link for link in links if not link.startswith("#")]
    assert {"predictions.csv", "metrics.json", "details.json", "tables/mol-4.md", "../params.yaml"} < set(files)
    assert all((finished / "reports" / link).exists() for link in files if link != "../dvc.lock")


def test_page_is_accessible(outline):
    assert outline.all("html")[0]["lang"] == "en" and len(outline.all("title")) == 1
    assert len(outline.all("h1")) == len(outline.all("main")) == 1
    assert "width=device-width" in next(a["content"] for a in outline.all("meta") if a.get("name") == "viewport")
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels)), levels
    assert all(len(attrs["alt"]) > 10 for attrs in outline.all("img")) and len(outline.all("img")) == 10
    assert all(attrs.get("scope") in ("col", "row", "colgroup", "rowgroup") for attrs in outline.all("th"))
    assert all("aria-labelledby" in attrs for attrs in outline.all("table")) and len(outline.all("table")) >= 5
    assert all(attrs.get("role") == "img" and attrs["aria-label"] for attrs in outline.all("svg"))
    ids = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {word for _, attrs in outline.elements for word in attrs.get("aria-labelledby", "").split()}
    assert named <= set(ids)
    assert not outline.open, "an element is not closed"


def cells(page: str, anchor: str) -> list[list[str]]:
    """The cells of the table below a heading, its header first."""
    table = re.search(rf'<h3 id="{anchor}">.*?</table>', page, re.DOTALL)[0]
    return [[unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
            for row in table.split("<tr")[1:]]


def test_the_missed_clips_come_first_and_every_subject_has_its_share(text, finished):
    t = predictions.read(finished / "reports/predictions.csv").where("last")
    _, *rows = cells(text, "t-every-tested-clip-the-missed-ones-first")
    assert len(rows) == len(t) and {row[0] for row in rows} == set(t.clip_id.tolist())
    right = [row[2] == row[3] for row in rows]
    missed = int((t.predicted != t.label).sum())
    assert right == [False] * missed + [True] * (len(t) - missed) and f"{missed} of {len(t)} clips are missed" in text
    header, *people = cells(text, "t-each-tested-subject-percent-right")
    assert header == ["subject", "clips", "last", "oracle"]
    for name, clips, share, _ in people:
        own = t.rows(t.subject == name)
        assert int(clips) == len(own) and float(share) == pytest.approx(100 * (own.predicted == own.label).mean(),
                                                                        abs=0.05)
    assert text.count('<a href="#clip_') == 3 and text.count('<figure id="clip_') == 3


def test_what_is_ours_comes_before_what_is_published_and_no_column_is_empty(text):
    paper = re.search(r'<table class="paper".*?</table>', text, re.DOTALL)[0]
    assert paper.index("this pipeline") < paper.index("published")
    assert paper.index("variants: ours") < paper.index('<tr class="other">')
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in paper.split("<tr")[3:] if "rowgroup" not in row]
    assert all(any(column) for column in zip(*rows, strict=True))


def luminance(colour: str) -> float:
    channels = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_contrast_of_text_is_at_least_4_5(text):
    """WCAG 2 AA, for every colour of text on every background it may stand on."""
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(
        r":root {[^}]+}", text))
    assert light.keys() == dark.keys()
    for colour, (ink, grounds) in itertools.product((light, dark), {
            "ink": ("paper", "wash", "main-wash"), "muted": ("paper", "wash", "main-wash"),
            "main": ("paper", "main-wash"), "warm": ("paper", "warm-wash")}.items()):
        for ground in grounds:
            low, high = sorted((luminance(colour[ink]), luminance(colour[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground, colour)


def test_the_page_shows_what_its_model_has(other):
    model, root = other
    m = results.read(root / "reports")
    text = (root / "reports/index.html").read_text(encoding="utf-8")
    outline = Outline(text)
    assert all(len(attrs["alt"]) > 10 for attrs in outline.all("img"))
    assert text.count("<img ") == {"fdp": 9, "ma2mi": 11}[model]
    assert "Pretraining losses, 1 seed (synthetic data)" in text
    wanted = {"fdp": (f"{1000 * m.get('mse', 0):.2f}", f"{m.get('rank_correlation', 0):.2f}", "equal scores 0.00",
                      "Rank scores of all tested clips", "by dynamic image", "Auxiliary tasks"),
              "ma2mi": (f"an even map {100 * m.get('cam_area', 0):.1f}", f"{100 * m.get('cam_mass', 0):.1f}",
                        "Where the network looks", "by probability of the true class", "+19.0 %", "+14.3 %", "+0.5 %",
                        "It beats copying the earlier frame.", "the condition carries the motion",
                        "position features make no difference", "error of 6.5 of 255 grey levels",
                        "Median reconstruction in pretraining")}
    for words in wanted[model]:
        assert words in text, words
    for words in (word for name, those in wanted.items() if name != model for word in those[2:]):
        assert words not in text, words
    assert fabricate.load(root / "reports/pretraining.json") == fabricate.load(
        root / "data/pretrained/summary.json")["numbers"]


def test_evaluate_measures_grad_cam_against_the_truth(other):
    model, root = other
    m = results.read(root / "reports")
    assert {name for name in m if name.startswith("cam_")} == ({"cam_mass", "cam_area", "cam_clips", "cam_excess_low",
                                                                "cam_excess_high"} if model == "ma2mi" else set())
    if model == "ma2mi":  # the invented heat lies near what moves
        assert m["cam_clips"] == m["n_clips"] and m["cam_excess_low"] < m["cam_mass"] - m["cam_area"]
        assert m["cam_mass"] > 1.5 * m["cam_area"] > 0


@pytest.mark.parametrize(("numbers", "words"), [
    ({"reconstruction": 1.0, "copy": 1.005}, "no better than copying"),
    ({"reconstruction": 1.0, "copy": 0.9}, "no better than copying"),
    ({"reconstruction": 1.0, "copy": 1.2, "shuffled_c": 0.99}, "the condition is not used"),
    ({"reconstruction": 1.0, "copy": 1.2, "shuffled_c": 1.3, "shuffled_position": 1.2}, "it grows too")])
def test_a_reconstruction_that_did_not_learn_is_called_so(tmp_path, numbers, words):
    store.write_json(tmp_path / "pretraining.json", {"steps": 10, **numbers})
    assert words in sections.pretraining(tmp_path, "ma2mi")


def test_an_excess_that_may_be_chance_is_not_called_better(tmp_path):
    m = {"cam_mass": 0.066, "cam_area": 0.065, "cam_clips": 140, "cam_excess_low": -0.001}
    assert "no better than the constant" in sections.auxiliary(m, tmp_path)
    assert ">better than the constant" in sections.auxiliary(m | {"cam_excess_low": 0.0005}, tmp_path)


def test_pictures_bring_their_own_words(tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "my_plot.png")
    plain = html.figure(tmp_path / "my_plot.png")
    assert 'alt="My plot"' in plain and 'width="6" height="4"' in plain
    data = re.search(r"base64,([^\"]+)", plain).group(1)
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (6, 4)
    noise = np.random.default_rng(0).integers(0, 255, (500, 2000, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "sheet.png")
    kind, data = re.search(r"image/(\w+);base64,([^\"]+)", html.figure(tmp_path / "sheet.png")).groups()
    assert kind == "jpeg" and Image.open(io.BytesIO(base64.b64decode(data))).size == (1400, 350)
    assert "<b>One &lt; two</b>" in html.figure(tmp_path / "my_plot.png", ("One < two", "told"))


def test_a_run_without_auxiliary_tasks_and_index_has_no_empty_sections(tmp_path):
    fabricate.run_folder(tmp_path, fabricate.table(subjects=2, aux=False), steps=0)
    for name in ("evaluate", "report"):
        done = stage(name, tmp_path)
        assert done.returncode == 0, done.stderr
    text = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    assert 'id="auxiliary"' not in text and 'id="learning"' not in text and 'id="data"' not in text
    assert 'id="pretraining"' not in text
    Outline(text)


def test_the_shuffled_control_is_marked(tmp_path):
    fabricate.run_folder(tmp_path, fabricate.table(subjects=2, seeds=(0, 1)))
    fabricate.set_params(tmp_path, shuffle_labels="true", seeds="[0, 1]", selection="[last]")
    path = tmp_path / "data/folds/summary.json"
    store.write_json(path, {**fabricate.load(path), "shuffle_labels": True, "selection": ["last"]})
    for name in ("evaluate", "report"):
        done = stage(name, tmp_path)
        assert done.returncode == 0, done.stderr
    text = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    assert "Control: training labels shuffled" in text and "mean ± sd" in text and "oracle:" not in text
    assert "(a)" not in (tmp_path / "reports/tables/mol-4.md").read_text(), "a control is no row of the table"


@pytest.mark.parametrize(("damage", "words"), [
    (lambda root: (root / "data/folds/0/synthetic_s01/predictions.csv").write_text("clip_id\n"),
     "column subject is missing"),
    (lambda root: (root / "data/folds/summary.json").unlink(), "summary.json: no such file"),
    (lambda root: fabricate.set_params(root, lambda_f="abc"), "lambda_f = 'abc'"),
    (lambda root: shutil.rmtree(root / "data/folds/0"), "no prediction table")])
def test_evaluate_refuses_what_is_damaged(tmp_path, damage, words):
    damage(fabricate.run_folder(tmp_path, fabricate.table(subjects=2, per_class=1)))
    done = stage("evaluate", tmp_path)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


def browse(page: Path, folder: Path, *options: str) -> subprocess.CompletedProcess:
    """Open a page in headless Chromium that can reach no host."""
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}",
         *options, page.as_uri()], text=True, capture_output=True, timeout=120, check=False)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
@pytest.mark.parametrize(("width", "height"), [(1200, 3000), (500, 3000)])
def test_page_opens_in_chromium(finished, tmp_path, width, height):
    page, shot = finished / "reports/index.html", tmp_path / "shot.png"
    done = browse(page, tmp_path, f"--window-size={width},{height}", f"--screenshot={shot}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[:2] == (height, width)
    dark = (pixels.sum(axis=2) < 250).mean(axis=1)
    assert (dark > 0).reshape(-1, 500).any(axis=1).all(), "a screen's height without any text"
    assert (pixels == 255).all(axis=2).mean() > 0.4, "a light page"
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500, "pictures are drawn"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_chromium_finds_tables_and_loaded_pictures(finished, tmp_path, text):
    """The browser itself reports what it laid out: a script is added to a copy of the page."""
    probe = """<script>addEventListener('load', () => { const r = document.documentElement;
      r.dataset.pictures = [...document.images].filter(i => i.complete && i.naturalWidth > 0).length;
      r.dataset.tables = [...document.querySelectorAll('table')].filter(t => t.offsetHeight > 20).length;
      r.dataset.wide = document.body.scrollWidth > innerWidth;
      const long = document.querySelector('table.long'), input = document.querySelector('.filter input');
      long.querySelectorAll('thead button')[4].click(); long.querySelectorAll('thead button')[4].click();
      r.dataset.highest = long.tBodies[0].rows[0].cells[4].textContent;
      input.value = 's02'; input.dispatchEvent(new Event('input'));
      r.dataset.left = [...long.tBodies[0].rows].filter(row => row.offsetHeight).length; });</script></body>"""
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", probe), encoding="utf-8")
    done = browse(copy, tmp_path, "--window-size=500,900", "--dump-dom", "--virtual-time-budget=5000")
    assert f'data-pictures="{text.count("<img ")}"' in done.stdout
    assert f'data-tables="{text.count("<table")}"' in done.stdout
    assert 'data-wide="false"' in done.stdout, "the page scrolls sideways on a narrow screen"
    _, *rows = cells(text, "t-every-tested-clip-the-missed-ones-first")
    assert f'data-highest="{max((row[4] for row in rows), key=float)}"' in done.stdout, "sorted, then the other way"
    assert f'data-left="{sum("s02" in "".join(row) for row in rows)}"' in done.stdout, "filtered"


OURS = """<script>addEventListener('load', () => {
  const cells = [...document.querySelectorAll('table.paper')].flatMap(t => [...t.rows].slice(1)
    .filter(r => !r.matches('.group')).map(r => ({table: t.getAttribute('aria-labelledby'),
      columns: [...r.querySelectorAll('.ours')].filter(c => c.offsetWidth),
      filled: r.parentNode.tagName == 'THEAD' ? [] :
        [...r.querySelectorAll('.ours')].map(c => c.textContent).filter(c => c), beside: r.querySelector('.beside')})));
  const inside = c => { const b = c.getBoundingClientRect();
    return b.width > 40 && b.left >= 0 && b.right <= innerWidth; };
  const words = c => c.textContent.replaceAll('\\u00a0', ' ');
  parent.postMessage({width: innerWidth, rows: cells.length, columns: cells.filter(c => c.columns.length).length,
    outside: cells.filter(c => !inside(c.beside)).map(c => c.table),
    missing: cells.filter(c => c.filled.some(t => !words(c.beside).includes(t))).map(c => c.table)}, '*'); });
</script></body>"""


def framed(text: str, folder: Path, width: int) -> dict:
    """What `OURS` finds in a page on a screen so wide; in a frame, since Chromium's window has a least width."""
    (folder / "inner.html").write_text(text.replace("</body>", OURS), encoding="utf-8")
    (folder / "outer.html").write_text(
        f"""<!DOCTYPE html><html><body><iframe src="inner.html" width="{width}" height="900"
        style="border: 0"></iframe><script>addEventListener('message', m => {{
        document.documentElement.dataset.found = JSON.stringify(m.data); }});</script></body></html>""")
    done = browse(folder / "outer.html", folder, "--window-size=1400,1000", "--dump-dom",
                  "--virtual-time-budget=5000")
    return json.loads(unescape(re.search('data-found="([^"]+)"', done.stdout)[1]))


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_on_a_phone_what_is_ours_lies_on_the_screen_in_every_paper_table(text, tmp_path):
    """In this run's page, and in every table of every paper with all of our cells filled."""
    shown = []
    for book in map(demands.paper, ("mol", "fdp", "ma2mi")):
        for name in book["tables"]:
            table = fill.fill(book, name, [])
            first = sum(n for _, n in table.spans[:2])
            rows = [dataclasses.replace(row, cells=row.cells[:first] + ("82.64 [75.7, 89.6] (a)",) * (
                len(row.cells) - first)) if row.kind == "own" else row for row in table.rows]
            shown.append(html.paper_table(dataclasses.replace(table, rows=tuple(rows))))
    every = html.document("all", over="", heading="all", head="", main="".join(shown), footer="", skip="all")
    for page in (text, every):
        found = framed(page, tmp_path, 390)
        assert found["width"] == 390 and found["rows"] > page.count('<table class="paper"') > 0
        assert found["outside"] == [] and found["missing"] == [] and found["columns"] == 0
        wide = framed(page, tmp_path, 1200)  # there as columns, and not twice
        assert wide["columns"] == wide["rows"] == found["rows"] == len(wide["outside"])
