"""Finished experiments compared: a repository of Git and DVC with invented predictions, and the page in a browser."""

import contextlib
import dataclasses
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from pipeline import checkout, commit, dvc, environment
from pipeline import run as command
from reporting import fabricate
from reporting.test_page import CHROMIUM, Outline, browse

from mer import compare
from mer.base import store
from mer.base.errors import MerError
from mer.evaluation import metrics, predictions, results, significance
from mer.reporting import comparison, comparison_page, pretraining_plots
from mer.runs import sources
from stages import evaluate

DVC_YAML = """stages:
  train:
    cmd: python --version
    params: [lambda_f]
    outs: [reports/predictions.csv]
    metrics:
    - reports/metrics.json:
        cache: false
"""


def leave(root: Path, t, names=fabricate.NAMES, **changes) -> Path:
    """What a run leaves behind: params.yaml with `changes`, the predictions and their numbers."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(fabricate.ROOT / "params.yaml", root / "params.yaml")
    seeds = sorted(set(t.seed.tolist()))
    fabricate.set_params(root, seeds=str(seeds), **changes)
    predictions.write(root / "reports/predictions.csv", t)
    results.write(root / "reports", results.summarise(
        t, names, ("last", "oracle"), bootstrap=200, permutations=200, seed=0))
    return root


def table(skill, seed, **more):
    return fabricate.table(skill=skill, seed=seed, **{"subjects": 6, "per_class": 3, "seeds": (0, 1), **more})


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Commits `base` and HEAD, the experiment `bold` (which the workspace holds too), `lost` without its output."""
    root = tmp_path_factory.mktemp("project")

    def kept(*words):
        done = dvc(root, *words)
        assert done.code == 0, done.tail()

    command(root, "git", "init", "--quiet")
    kept("init", "--quiet")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / ".gitignore").write_text("/reports/predictions.csv\n")
    for tag, made, changes in (("base", table(0.6, 0), {"lambda_f": "1.43"}), ("lost", table(1.0, 5), {}),
                               ("better", table(1.6, 1), {"lambda_f": "0"})):
        leave(root, made, **changes)
        kept("commit", "--force", "--quiet", "train")
        commit(root, tag)
        command(root, "git", "tag", tag)
        if tag == "lost":
            cached = re.search(r"predictions.csv\n\s+hash: md5\n\s+md5: (\w\w)(\w+)", (root / "dvc.lock").read_text())
            (root / ".dvc/cache/files/md5" / cached[1] / cached[2]).unlink()
    leave(root, table(2.5, 2), lambda_f="3.5")
    kept("commit", "--force", "--quiet", "train")
    kept("exp", "save", "--quiet", "--name", "bold")
    return root


def asked(root: Path, *words: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mer.compare", *words])
    with contextlib.chdir(root):
        compare.run()


def opened(root: Path, *names: str) -> comparison.Comparison:
    with contextlib.chdir(root):
        return comparison.compare([compare.read(letter, name) for letter, name in zip("ABCD", names, strict=False)])


def folders(base: Path, *tables, **changes) -> comparison.Comparison:
    """The comparison of folders that hold these tables."""
    for i, t in enumerate(tables):
        leave(base / f"run{i}", t, **changes)
    return opened(base, *(f"run{i}" for i in range(len(tables))))


def test_commits_experiment_and_workspace_are_compared_with_the_first(project, monkeypatch, capsys):
    asked(project, "base", "HEAD", "bold", monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    c = opened(project, "base", "HEAD", "bold")
    with contextlib.chdir(project):
        assert (project / "reports/comparison.html").read_text(encoding="utf-8") == comparison_page.build(c)
    assert "written: reports/comparison.html" in said and compare.told(c) in said
    assert c.changed == ("lambda_f",)
    lines = [line.split() for line in said.splitlines()]
    assert ["lambda_f", "1.43", "0.0", "3.5"] in lines and said.count("SYNTHETIC faces") == 3
    for made, e in zip((table(0.6, 0), table(1.6, 1), table(2.5, 2)), c.experiments, strict=True):
        head = made.where("last")
        assert e.metrics["accuracy"] == np.mean(head.predicted == head.label) and e.selection == "last"
        line = next(line for line in said.splitlines() if line.startswith("accuracy  "))
        assert f"{100 * e.metrics['accuracy']:.1f} [{100 * e.metrics['accuracy_low']:.1f}, " in line
    workspace = opened(project, "base", "workspace")
    assert workspace.against[0].difference == c.against[1].difference, "the workspace holds the experiment"


def test_tests_are_those_of_the_prediction_tables_with_holm_beside(project):
    c = opened(project, "base", "better", "bold")
    tables = [made.where("last") for made in (table(0.6, 0), table(1.6, 1), table(2.5, 2))]
    for one, made in zip(c.against, tables[1:], strict=True):
        found = significance.paired(made, tables[0], 5000, 0)
        assert [(t.found.p, t.found.effect) for t in one.tests] == [(t.p, t.effect) for t in found]
        assert [t.found.name for t in one.tests][-1].endswith("over seeds") and len(one.tests) == 4
        assert "with 2 its p cannot be below 0.5" in one.tests[-1].caveat
    for low, high in zip(c.against[0].tests, c.against[1].tests, strict=True):
        assert [low.holm, high.holm] == comparison.holm([low.found.p, high.found.p])
    told = compare.told(c)
    assert "p, Holm" in told and "only C right: " in told and "only A right: " in told
    assert "Holm" not in compare.told(opened(project, "base", "bold")), "one comparison needs no adjustment"


def test_holm_by_hand():
    """Sorted 0.01, 0.03, 0.04: x3, x2, x1 = 0.03, 0.06, 0.04; the last may not be below the one before it."""
    assert comparison.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert comparison.holm([0.9, 0.6]) == [1, 1] and comparison.holm([0.2]) == [0.2]


def test_intervals_of_differences_resample_the_same_subjects_for_both(tmp_path):
    a, b = table(0.6, 0), table(1.6, 1)
    one = folders(tmp_path, a, b).against[0]
    value, interval = one.difference["uf1"]
    counts = [significance.subject_confusions(t.where("last")) for t in (a, b)]
    weights = np.random.default_rng([0, 1]).multinomial(6, [1 / 6] * 6, size=2000)
    by_hand = [float(metrics.uf1(np.tensordot(w, counts[1], 1)) - metrics.uf1(np.tensordot(w, counts[0], 1)))
               for w in weights]
    assert interval == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])))
    assert interval[0] < value < interval[1]


def test_order_decides_the_sign_and_equal_experiments_differ_in_nothing(tmp_path):
    a, b = table(0.6, 0), table(1.6, 1)
    forth, back = folders(tmp_path / "x", a, b).against[0], folders(tmp_path / "y", b, a).against[0]
    assert forth.difference["accuracy"][0] == -back.difference["accuracy"][0] > 0
    assert [t.found.p for t in forth.tests] == [t.found.p for t in back.tests]
    assert forth.tests[1].found.effect == pytest.approx(forth.difference["accuracy"][0]), "B minus A"
    right = [np.stack([t.where("last", k).predicted == t.where("last", k).label for k in (0, 1)]).all(axis=0)
             for t in (a, b)]
    assert forth.tests[0].found.note == (f"only B right: {(right[1] & ~right[0]).sum()}, "
                                         f"only A right: {(right[0] & ~right[1]).sum()}")
    same = folders(tmp_path / "z", a, a.rows(np.random.default_rng(0).permutation(len(a))))
    assert same.against[0].difference["war"] == (0, (0, 0)) and same.changed == ()
    assert all(t.found.p == 1 for t in same.against[0].tests) and "All parameters are the same." in compare.told(same)


def test_other_clips_are_said_in_one_sentence_and_the_rest_stands(tmp_path):
    a, b = table(1, 0), table(1, 1, subjects=5, seeds=(0,))
    c = folders(tmp_path, a, b)
    one = c.against[0]
    assert one.tests == () and one.difference["uar"][1] is None
    assert "clip s06_c00 of synthetic/s06 with label 0 is in one only (45 and 54 clips)" in one.problem
    told, page = compare.told(c), comparison_page.build(c)
    for text in (told, page):
        assert "paired tests need the same clips and labels in both experiments" in text
        assert "different seeds" in text and f"{100 * c.experiments[1].metrics['uf1']:.1f}" in text
    assert page.count("<img ") == 3 and "paired tests</h3>" not in page


def test_other_classes_are_never_paired_although_their_numbers_agree(tmp_path):
    t = table(1, 0)
    leave(tmp_path / "a", t)
    leave(tmp_path / "b", t, names=("negative", "positive", "surprise"))
    one = opened(tmp_path, "a", "b").against[0]
    assert one.tests == () and "same classes: A has happiness, disgust, surprise, B negative" in one.problem


def test_the_headline_is_each_runs_first_rule_and_other_rules_are_remarked(tmp_path):
    t = table(1, 0)
    inner = np.where(t.selection == "oracle", "inner", t.selection)
    t = dataclasses.replace(t, selection=inner.astype(str))
    leave(tmp_path / "a", table(1, 0))
    leave(tmp_path / "b", table(1, 0))
    predictions.write(tmp_path / "b/reports/predictions.csv", t)
    fabricate.set_params(tmp_path / "b", selection="[inner, last]")
    results.write(tmp_path / "b/reports",
                  results.summarise(t, fabricate.NAMES, ("inner", "last"), bootstrap=200, permutations=200, seed=0))
    c = opened(tmp_path, "a", "b")
    assert [e.selection for e in c.experiments] == ["last", "inner"]
    assert "different rules (A last, B inner)" in compare.told(c) and "different rules" in comparison_page.build(c)
    fabricate.set_params(tmp_path / "b", selection="[oracle, last]")
    with pytest.raises(MerError, match="b: params.yaml: .* may only stand beside it"):
        opened(tmp_path, "a", "b")


def test_costs_stand_side_by_side_where_all_are_known(tmp_path):
    record = {"key": "k", "machine": "Processor", "seconds": 10.4, "memory_mb": 300}
    folders(tmp_path, table(1, 0), table(1, 1))
    both = [str(tmp_path / name) for name in ("run0", "run1")]
    store.write_json(tmp_path / "run0/reports/costs.json", {"align@synthetic": record, "train": record})
    c = opened(tmp_path, *both)
    assert comparison.cost_rows(c) == [] and "memory of" not in compare.told(c)
    other = {"align@synthetic": record, "train": {**record, "seconds": 99.6, "worker_memory_mb": 512}}
    store.write_json(tmp_path / "run1/reports/costs.json", other)
    c = opened(tmp_path, *both)
    assert comparison.cost_rows(c) == [["seconds, all stages", "21", "110"], ["seconds, train", "10", "100"],
                                       ["memory of the largest process, MB", "300", "512"]]
    assert "memory of the largest process, MB" in compare.told(c) and ">110</td>" in comparison_page.build(c)
    (tmp_path / "run1/reports/costs.json").write_text("[3]")
    assert comparison.cost_rows(opened(tmp_path, *both)) == []


def test_one_subject_has_no_interval_and_no_small_p(tmp_path):
    c = folders(tmp_path, table(0, 0, subjects=1), table(3, 1, subjects=1))
    one = c.against[0]
    assert one.difference["accuracy"][1] is None and [t.found.p for t in one.tests[1:3]] == [1, 1]
    assert "with 1 its p cannot be below 1" in one.tests[1].caveat
    assert not any("[" in cell for row in comparison.score_rows(c) for cell in row)
    assert "cannot be below 1" in comparison_page.build(c)


def test_controls_and_synthetic_faces_are_marked_and_real_ones_are_not(tmp_path):
    leave(tmp_path / "a", table(1, 0, dataset="casme2"), datasets="[casme2]")
    leave(tmp_path / "b", table(0, 1), shuffle_labels="true")
    c = opened(tmp_path, "a", "b")
    assert comparison.marks(c.experiments[0]) == []
    assert comparison.marks(c.experiments[1]) == ["SYNTHETIC faces", "CONTROL: training labels shuffled"]
    assert '<span class="badge">SYNTHETIC faces: B</span>' in comparison_page.build(c)


def test_parameters_of_another_version_are_compared_as_written(tmp_path):
    leave(tmp_path / "a", table(1, 0))
    leave(tmp_path / "b", table(1, 0))
    path = tmp_path / "b/params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("shuffle_labels:", "mixed_labels:"), encoding="utf-8")
    c = opened(tmp_path, "a", "b")
    assert c.changed == ("shuffle_labels", "mixed_labels")
    assert "cannot resolve the parameters of B b" in compare.told(c)


def test_a_dataset_that_is_not_there_any_more_is_told_without_its_folder(tmp_path):
    for name in "ab":
        leave(tmp_path / name, table(1, 0, dataset="mine"), datasets="[mine]", classes="all")
    c = opened(tmp_path, str(tmp_path / "a"), str(tmp_path / "b"))
    for text in (compare.told(c), comparison_page.build(c)):
        assert "needs data/raw/mine/clips.csv" in text and str(tmp_path) not in text


def test_a_page_names_no_folder_of_this_machine_and_is_the_same_again(project, tmp_path, monkeypatch, capsys):
    leave(tmp_path / "elsewhere", table(1, 3))
    asked(project, "base", str(tmp_path / "elsewhere"), "--out", str(tmp_path / "page.html"), monkeypatch=monkeypatch)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text == comparison_page.build(opened(project, "base", str(tmp_path / "elsewhere")))
    assert "B elsewhere" in text and str(tmp_path) not in text and str(project) not in text


@pytest.mark.parametrize(("words", "told"), [
    (["base", "bald"], "bald: no DVC experiment, Git revision or folder of this name; did you mean `bold`?"),
    (["base", "bettr"], "did you mean `better`?"),
    (["base"], "expected from 2 to 26 experiments"),
    (["base", "base"], "each once"),
    (["base", "lost"], "lost: the content of reports/predictions.csv is not in the cache; run `dvc fetch"),
    (["base", "HEAD", "--out", "reports"], "--out reports: a folder"),
])
def test_what_cannot_be_compared_is_refused_in_one_line(project, words, told, monkeypatch):
    with pytest.raises(MerError) as error:
        asked(project, *words, monkeypatch=monkeypatch)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_numbers_of_two_runs_are_not_mixed(project, tmp_path):
    moved = shutil.copytree(project, tmp_path / "moved", symlinks=True)
    fabricate.set_params(moved, lambda_f="2.5")
    with pytest.raises(MerError, match=r"workspace: params.yaml: lambda_f = 2.5, but the finished run was made with"):
        opened(moved, "base", "workspace")
    leave(tmp_path / "a", table(1, 0))
    predictions.write(tmp_path / "a/reports/predictions.csv", table(0, 9))
    with pytest.raises(MerError, match=r"a: reports/metrics.json says accuracy = .* gives .* two runs"):
        opened(tmp_path, "a", "a")
    (tmp_path / "a/reports/predictions.csv").unlink()
    with pytest.raises(MerError, match="a: no reports/predictions.csv there; run `dvc checkout`"):
        opened(tmp_path, "a", "a")
    (tmp_path / "a/reports/metrics.json").write_text("[1]")
    leave(tmp_path / "b", table(1, 0))
    (tmp_path / "b/reports/metrics.json").write_text("[1]")
    with pytest.raises(MerError, match="b: reports/metrics.json: expected numbers by name, found list"):
        opened(tmp_path, "b", "b")
    (tmp_path / "b/reports/predictions.csv").write_text("clip_id\n")
    with pytest.raises(MerError, match="b: reports/predictions.csv: "):
        opened(tmp_path, "b", "b")


def test_a_file_that_the_revision_never_had_is_told_apart_from_one_not_in_the_cache(project):
    with contextlib.chdir(project):
        with pytest.raises(MerError, match="base: reports/nothing.csv is not part of this revision"):
            sources.find("base").text("reports/nothing.csv")
        assert sources.find("lost").has("reports/predictions.csv")


def test_the_command_exits_with_2_and_one_line_outside_of_a_repository(tmp_path):
    done = subprocess.run([sys.executable, "-m", "mer.compare", "here", "there"], cwd=tmp_path, text=True,
                          capture_output=True, env=environment(tmp_path), check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: here: no DVC experiment") and done.stderr.count("\n") == 1


def test_every_paired_test_has_its_caveat():
    found = significance.paired(table(1, 0).where("last"), table(1, 1).where("last"))
    assert [test.name for test in found] == list(comparison.CAVEATS)


@pytest.fixture(scope="module")
def page(project) -> Path:
    path = project / "reports/three.html"
    store.write_text(path, comparison_page.build(opened(project, "base", "better", "bold")))
    return path


def test_page_is_accessible_and_needs_nothing_from_outside(page):
    text = page.read_text(encoding="utf-8")
    outline = Outline(text)
    assert len(outline.all("h1")) == len(outline.all("main")) == 1 and not outline.all("script")
    assert all(len(attrs["alt"]) > 40 for attrs in outline.all("img")) and len(outline.all("img")) == 6
    assert all(any(letter in attrs["alt"] for letter in ("A base", "B better", "C bold"))
               for attrs in outline.all("img"))
    assert all("aria-labelledby" in attrs for attrs in outline.all("table")) and len(outline.all("table")) == 8
    assert all(attrs.get("scope") in ("col", "row") for attrs in outline.all("th"))
    ids = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(ids) == len(set(ids)) and not outline.open
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels)), levels
    for _, attrs in outline.elements:
        assert all(attrs[name].startswith(("data:", "#")) for name in ("src", "href") if name in attrs)
    assert "url(" not in text and "@import" not in text


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_page_opens_in_chromium_on_a_phone(page, tmp_path):
    probe = """<script>addEventListener('load', () => { const r = document.documentElement;
      r.dataset.pictures = [...document.images].filter(i => i.complete && i.naturalWidth > 0).length;
      r.dataset.tables = [...document.querySelectorAll('table')].filter(t => t.offsetHeight > 20).length;
      r.dataset.wide = document.body.scrollWidth > innerWidth; });</script></body>"""
    copy = tmp_path / "copy.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    done = browse(copy, tmp_path, "--window-size=500,900", "--dump-dom", "--virtual-time-budget=5000")
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert 'data-pictures="6"' in done.stdout and 'data-tables="8"' in done.stdout
    assert 'data-wide="false"' in done.stdout, "the page scrolls sideways on a narrow screen"


@pytest.mark.slow
def test_dvc_plots_diff_shows_every_declared_plot_of_two_commits(tmp_path):
    """On the project's own dvc.yaml; `dvc commit` takes an invented run for one that was made."""
    checkout(tmp_path)
    for folder in ("flow", "dynamic", "latents"):
        (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
    for skill in (1.0, 2.0):
        fabricate.run_folder(tmp_path, table(skill, int(skill)))
        fabricate.set_params(tmp_path, seeds="[0, 1]", lambda_f=str(skill))
        scratch = fabricate.pretrained(tmp_path / ".scratch/pretraining", reconstruction=False)
        pretraining_plots.draw([scratch], tmp_path / "reports/plots/pretraining", True, "mol")
        store.write_json(tmp_path / "data/costs/pretrain.json", {})
        with contextlib.chdir(tmp_path):
            evaluate.run()
        done = dvc(tmp_path, "commit", "--force", "--quiet", "pretrain", "evaluate")
        assert done.code == 0, done.tail()
        commit(tmp_path, f"skill {skill}")
    done = dvc(tmp_path, "plots", "diff", "HEAD~1", "HEAD", "--json")
    assert done.code == 0, done.tail()
    found = json.loads(done.out)
    assert not found.get("errors"), found["errors"]
    declared = [next(iter(plot)) if isinstance(plot, dict) else plot
                for plot in yaml.safe_load((tmp_path / "dvc.yaml").read_text())["plots"]]
    assert set(found["data"]) == set(declared)
    for name, shown in found["data"].items():
        assert {revision for part in shown for revision in part["revisions"]} == {"HEAD~1", "HEAD"}, name
        assert all(part["type"] == "image" or {point["rev"] for point in part["content"]["data"]["values"]} == {
            "HEAD~1", "HEAD"} for part in shown), name


def test_in_a_fresh_clone_one_is_told_to_commit_an_own_baseline(project, tmp_path, monkeypatch):
    assert command(tmp_path, "git", "clone", "--quiet", str(project), "clone").code == 0
    monkeypatch.chdir(tmp_path / "clone")
    with pytest.raises(MerError, match=r"HEAD: the content of reports/predictions.csv is not in the cache; run `dvc "
                                       r"fetch` if .* else commit your own baseline: `git checkout \. && dvc repro"):
        compare.read("A", "HEAD")
