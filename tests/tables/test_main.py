"""`python -m mer.tables`: which runs count, which experiments a table lacks, how they are written down."""

import csv
import hashlib
import json
import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from mer import params
from mer.base.errors import MerError
from mer.base.knobs import read_yaml
from mer.runs import collect
from mer.runs.finished import Run
from mer.tables import __main__ as command
from mer.tables import queue
from mer.tables import rows as demands

ROOT = Path(__file__).parents[2]
NUMBERS = {"accuracy": 0.8, "accuracy_low": 0.7, "accuracy_high": 0.9, "wf1": 0.75, "uf1": 0.7, "uar": 0.72, "war": 0.8,
           "mse": 0.002, "n_clips": 144, "n_subjects": 12}
NOTHING = collect.Collected([], [], set(), [], Counter())


@pytest.fixture
def raw():
    return read_yaml(ROOT / "params.yaml")


def method(short):
    """The paper's, of several values the first."""
    return {key: value["any"][0] if isinstance(value, dict) else value
            for key, value in demands.paper(short)["method"].items()}


def finished(raw, metrics=NUMBERS, **changes) -> Run:
    """A run of params.yaml, of the paper's method, with changes (`__` for the dot)."""
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    p = collect.resolve(raw, method(changes.get("model", raw["model"])) | changes)
    return collect.run_of(p, metrics, "a1b2c3d")


def planned(name, raw, found=NOTHING, datasets=(), profile="demo", **fixed):
    book = demands.paper(name.split("-")[0])
    fixed = {key.replace("__", "."): value for key, value in fixed.items()}
    return queue.plan(book, name, {"profile": profile} | fixed, list(datasets), found, raw)


def collected(*runs, pending=(), names=()):
    return collect.Collected(list(runs), [run.parameters for run in pending], set(names), [], Counter())


def reset(raw, short, **changes):
    """The keys that a profile, or the workspace, has otherwise than the paper's method."""
    return set(demands.differing(demands.paper(short)["method"], collect.flat(collect.resolve(raw, changes))))


def keys(job):
    return {text.partition("=")[0] for text in job.overrides}


def test_only_what_differs_from_the_workspace_is_set(raw):
    jobs, count = planned("mol-8", raw)
    other = reset(raw, "mol")
    assert "pretrain.sources" in other
    rows = ("mol.tasks=[mer]", "mol.tasks=[mer,flow]", "mol.tasks=[mer,landmark]", None)
    for job, own in zip(jobs, rows, strict=True):
        assert job.overrides[:2] == ("datasets=[casme2]", 'classes="5"')
        assert keys(job) == {"datasets", "classes"} | other | ({"mol.tasks"} if own else set())
        assert own is None or own in job.overrides
    assert [job.name for job in jobs] == ["mol-8-tasks-mer-casme2", "mol-8-tasks-mer-flow-casme2",
                                          "mol-8-tasks-mer-landmark-casme2", "mol-8-full-casme2"]
    assert count == {"missing": 8}
    there = json.loads(json.dumps(raw)) | {"datasets": ["casme2"], "classes": "5", "profile": "paper"}
    there["pretrain"]["sources"] = ["affwild2"]
    assert [job.overrides for job in planned("mol-8", there, profile="paper")[0]][-1] == ()


def test_an_explicit_value_is_undone_and_one_that_the_profile_gives_is_left_alone(raw):
    raw["sampling"]["t"], raw["lambda_f"] = 4, 0.0
    jobs, _ = planned("mol-8", raw)
    assert {"lambda_f=null", "sampling.t=8"} <= set(jobs[-1].overrides)
    assert jobs[-1].params.lambda_f == 1.43 and jobs[-1].params.sampling.t == 8
    paper, _ = planned("mol-8", raw, profile="paper")
    assert "profile=paper" in paper[-1].overrides and paper[-1].params.lambda_f == 10.0
    (job,), _ = planned("ma2mi-6", raw)
    assert {"model=ma2mi", "protocol=kfold", "sampling.t=2"} <= set(job.overrides) and job.params.align.size == 72


def test_cells_that_a_run_fills_are_skipped_and_the_same_experiment_comes_once(raw):
    flow = finished(raw, datasets=["casme2"], classes="5", mol__tasks=["flow", "mer"])
    jobs, count = planned("mol-8", raw, collected(flow))
    assert [job.name for job in jobs] == ["mol-8-tasks-mer-casme2", "mol-8-tasks-mer-landmark-casme2",
                                          "mol-8-full-casme2"]
    assert count == {"done": 2, "missing": 6}
    jobs, _ = planned("mol-8", raw, collected(pending=[flow]))
    assert len(jobs) == 3
    jobs, _ = planned("mol-10", raw, collected(finished(raw, datasets=["casme2"], classes="5")))
    assert [job.name for job in jobs] == ["mol-10-f5c-blocks-2-casme2", "mol-10-f5c-blocks-3-casme2"]
    assert len(planned("fdp-11", raw)[0]) == 7 and len(planned("fdp-9", raw)[0]) == 6


def test_a_run_counts_only_with_the_same_profile_and_the_values_of_S(raw):
    full = finished(raw, datasets=["casme2"], classes="5")
    for fixed, left in (({}, 3), ({"profile": "paper"}, 4), ({"train__steps": 40}, 3), ({"train__steps": 41}, 4),
                        ({"seeds": [0]}, 3), ({"seeds": [0, 1]}, 4), ({"pretrain__sources": []}, 4)):
        jobs, _ = planned("mol-8", raw, collected(full), **fixed)
        assert len(jobs) == left, fixed
    assert "pretrain.sources=[]" in jobs[0].overrides
    jobs, count = planned("mol-8", raw, collected(full), parallel__backend="dask",
                          parallel__cluster="tcp://10.0.0.1:8786")
    assert len(jobs) == 3 and count["done"] == 2  # where it runs changes no number
    assert {"parallel.backend=dask", 'parallel.cluster="tcp://10.0.0.1:8786"'} <= set(jobs[0].overrides)
    assert jobs[0].params.parallel.where == "tcp://10.0.0.1:8786"


def test_a_run_without_the_number_of_the_column_does_not_fill_it(raw):
    full = finished(raw, metrics={"accuracy": 0.5}, datasets=["casme2"], classes="5")
    _, count = planned("mol-8", raw, collected(full))
    assert count == {"done": 1, "missing": 7}


def test_names_are_free_and_valid_for_dvc(raw):
    seen = set()
    for name in demands.names():
        if demands.paper(name.split("-")[0])["tables"][name].get("kind") is None:
            jobs, _ = planned(name, raw)
            assert len({job.name for job in jobs}) == len(jobs) == len({job.params for job in jobs})
            seen |= {job.name for job in jobs}
    assert {"mol-4-full-samm-3-classes", "fdp-10-mhc-conv-pw-samm", "fdp-11-lambda-d-100-lambda-r-0.01-samm",
            "ma2mi-fig4-interval-1-1-mmew", "fdp-8-full-casme2-samm", "fdp-9-n-local-0-n-global-0-samm"} <= seen
    for name in seen:
        done = subprocess.run(["git", "check-ref-format", f"refs/exps/ab/cd/{name}"], check=False)
        assert done.returncode == 0 and "/" not in name, name
    jobs, _ = planned("mol-8", raw, collected(names=["mol-8-full-casme2", "mol-8-full-casme2-2"]))
    assert jobs[-1].name == "mol-8-full-casme2-3"


def test_only_columns_of_the_datasets_at_hand(raw):
    assert {job.params.datasets for job in planned("fdp-4", raw, datasets=["samm"])[0]} == {("samm",)}
    (job,), _ = planned("fdp-8", raw, datasets=["casme2", "samm"], found=collected(finished(
        raw, model="fdp", protocol="cross_dataset", classes="3-shared", datasets=["casme2", "samm"])))
    assert job.overrides[1] == "datasets=[samm,casme2]"  # the other direction
    with pytest.raises(MerError, match=r"--dataset smic: table mol-4 has no column .* it has casme2, samm"):
        planned("mol-4", raw, datasets=["smic"])


def test_contradictions_are_refused(raw):
    with pytest.raises(MerError, match=r"table mol-8, .* wants lambda_f = .*, not 0.0; leave out this -S"):
        planned("mol-8", raw, lambda_f=0)
    with pytest.raises(MerError, match=r"-S train.stpes=3: train.stpes is no key .* did you mean train.steps\?"):
        planned("mol-8", raw, train__stpes=3)
    with pytest.raises(MerError, match=r"params.yaml: train.steps = 'many'; expected a whole number"):
        planned("mol-8", raw, train__steps="many")
    raw["pretrain"]["steps"] = 0
    with pytest.raises(MerError, match=r"wants pretrain.steps other than 0; name it"):
        planned("ma2mi-4", raw)
    assert planned("ma2mi-4", raw, pretrain__steps=7)[0][0].params.pretrain.sources == ("dfew",)


@pytest.mark.parametrize("value", ["5", "3-megc", "off", "none", "casme2", "null", "true", "1e-5", 5, 0.7, 1e-5, True,
                                   None, ["mer", "flow"], ["5", "a b"], [0, 0, 0, 0], [], 10.0])
def test_a_value_comes_out_of_dvcs_parser_as_it_went_in(value):
    """-S gives what was meant: '5' stays text, lists stay lists; also after the shell."""
    from dvc.utils.hydra import to_hydra_overrides

    (word,) = shlex.split(shlex.join([queue._hydra("mol.x", value)]))
    (override,) = to_hydra_overrides([word])
    assert override.key_or_group == "mol.x" and override.value() == value
    assert type(override.value()) is type(value)


@pytest.mark.parametrize("text", ["a", "=3", "+a=3", "~a", "a=1,2", "a=range(1,3)", "a=[1"])
def test_what_is_no_single_value_is_refused(text):
    with pytest.raises(MerError, match="expected key=value with one value"):
        queue._setting(text)


def test_words_that_yaml_1_1_takes_for_truth_values_survive_dvc(tmp_path, raw):
    """DVC writes `ccc: off` without quotes."""
    from dvc.utils.hydra import apply_overrides

    jobs, _ = planned("mol-9", raw)
    (job,) = [job for job in jobs if job.params.mol.ccc == "off"]
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(tmp_path / "params.yaml", list(job.overrides))
    assert params.load(tmp_path / "params.yaml") == job.params


def called(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["mer.tables", *words])
    command.run()
    return capsys.readouterr()


def test_commands_stand_alone_on_stdout(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(collect, "collect", lambda: NOTHING)
    told = called(monkeypatch, capsys, "queue", "mol-5", "-S", "train.steps=2")
    (line,) = told.out.splitlines()
    assert line.startswith("dvc exp run --queue --name mol-5-full-smic -S 'datasets=[smic]' -S ")
    assert {"train.steps=2", "pretrain.sources=[affwild2]"} <= set(shlex.split(line)) and "variants" not in told.err
    assert "data/raw/smic does not exist" in told.err
    assert "cells 2 missing, 20 of other people's methods, which this project does not run; 1 experiments" in told.err
    told = called(monkeypatch, capsys, "queue", "mol-5", "-S", "mol.k=5")
    assert "mol.k 5 (paper 4): such runs stand below the rows, as variants" in told.err
    told = called(monkeypatch, capsys, "queue", "fdp-12")
    assert told.out == "" and "recomputed from the paper's own numbers, there is nothing to run" in told.err
    told = called(monkeypatch, capsys, "queue", "fdp-1")
    assert told.out == "" and "fdp-1 counts clips of releases, there is nothing to run" in told.err
    with pytest.raises(MerError, match="table 'mol8' is in none of the papers; did you mean mol-8?"):
        called(monkeypatch, capsys, "queue", "mol8")
    with pytest.raises(MerError, match="data/raw/smic does not exist"):
        called(monkeypatch, capsys, "queue", "mol-5", "--run")
    queued = []
    monkeypatch.setattr(queue, "invisible", lambda p: [])
    monkeypatch.setattr(queue, "_dvc", lambda job: queued.append(job.command))
    told = called(monkeypatch, capsys, "queue", "mol-5", "--run")
    assert "1 experiments queued" in told.err and "Dask" not in told.err
    on = ("-S", "parallel.backend=dask", "-S", "parallel.cluster=tcp://10.0.0.1:8786")
    told = called(monkeypatch, capsys, "queue", "mol-5", "--run", *on)
    assert told.err.rstrip().endswith("here; their folds on the Dask cluster: tcp://10.0.0.1:8786")
    assert len(queued) == 2 and 'parallel.cluster="tcp://10.0.0.1:8786"' in queued[1]


@pytest.fixture
def repository(tmp_path, monkeypatch, raw):
    """A Git repository with a finished run committed, as `dvc exp show` would list it; the DVC side is faked."""
    monkeypatch.chdir(tmp_path)
    for key in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{key}_NAME", "test")
        monkeypatch.setenv(f"GIT_{key}_EMAIL", "test@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    collect.git("init", "--quiet")
    listed = []
    monkeypatch.setattr(collect, "_listed", lambda: listed)

    def put(message, name="", state=None, metrics=NUMBERS, lock=None, **changes):
        values = json.loads(json.dumps(raw))
        for key, value in changes.items():
            *parents, last = key.split("__")
            section = values
            for parent in parents:
                section = section[parent]
            section[last] = value
        text = json.dumps(metrics)
        Path("reports").mkdir(exist_ok=True)
        Path("params.yaml").write_text(yaml.safe_dump(values))
        Path("reports/metrics.json").write_text(text)
        Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"report": {
            "deps": [{"path": "reports/metrics.json", "md5": hashlib.md5(text.encode()).hexdigest()}],
            "params": {"params.yaml": values if lock is None else lock}}}}))
        collect.git("add", "--all")
        collect.git("commit", "--quiet", "--allow-empty", "--message", message)
        rev = collect.git("rev-parse", "HEAD")
        listed.append({"Experiment": name or None, "State": state, "rev": rev[:7]})
        return rev

    put.listed = listed
    return put


def test_every_finished_experiment_is_collected_with_resolved_parameters(repository, capsys, monkeypatch):
    papers = {key.replace(".", "__"): value for key, value in method("mol").items()}
    full = repository("full", name="proud-fern", datasets=["casme2"], classes=5, **papers)
    repository("sixteen", name="mol-13-t-16", datasets=["casme2"], classes="5", sampling__t=16,
               metrics=NUMBERS | {"accuracy": 0.9}, **papers)
    repository("queued", name="later", state="Queued", datasets=["casme2"], classes="5", sampling__t=4,
               **papers)
    repository("failed", name="broken", state="Failed")
    repository("old", name="ancient", mol__fcc="no such thing")
    repository("stale", name="stale", lock={})
    repository("changed", name="changed", datasets=["samm"])
    Path("reports/metrics.json").write_text(json.dumps(NUMBERS | {"accuracy": 0.1}))
    repository.listed.append({"Experiment": None, "State": None, "rev": "workspace"})
    found = collect.collect()
    assert [run.label.split()[1:] for run in found.runs] == [["proud-fern"], ["mol-13-t-16"], ["changed"]]
    assert found.runs[0].parameters["lambda_f"] == 1.43 and found.runs[0].parameters["classes"] == "5"
    assert found.runs[0].metrics == NUMBERS
    assert [p["sampling.t"] for p in found.pending] == [4]
    assert found.states == {"Success": 5, "Queued": 1, "Failed": 1}
    assert len(found.left_out) == 3
    assert "ancient is left out: params.yaml: mol.fcc = 'no such thing'" in found.left_out[0]
    assert "stale is left out: params.yaml was changed after reports/metrics.json was made" in found.left_out[1]
    assert "workspace is left out: reports/metrics.json is not the one in dvc.lock" in found.left_out[2]

    told = called(monkeypatch, capsys, "mol-13", "--out", "there")
    assert "mol-13: 4 cells filled in 4 rows" in told.out
    assert "1 from 3 runs to there; 3 left out; experiments without a result: 1 failed, 1 queued" in told.out
    text = Path("there/mol-13.md").read_text()
    assert f"commit {collect.git('rev-parse', '--short', full)} proud-fern" in text
    assert "| 78.98 | 75.25 | 90.00 " in text
    assert {path.name for path in Path("there").iterdir()} == {
        "mol-13.md", "mol-13.csv", "mol-13.tex", "cells.csv", "index.html"}
    rows = [row for row in csv.DictReader(Path("there/cells.csv").read_text().splitlines()) if row["ours"]]
    assert [row["row"] for row in rows] == ["8", "8", "16", "16"]
    jobs, count = planned("mol-13", read_yaml(Path("params.yaml")), found)
    assert count == {"done": 4, "pending": 2, "missing": 2} and [job.params.sampling.t for job in jobs] == [2]


def test_a_workspace_that_is_an_experiment_goes_by_the_experiments_name(repository):
    repository("full", name="proud-fern", datasets=["casme2"], classes="5")
    repository.listed.append({"Experiment": None, "State": None, "rev": "workspace"})
    (run,) = collect.collect().runs
    assert run.label.endswith(" proud-fern")


def test_outside_a_project_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MerError, match="DVC cannot list the experiments: .* project's root"):
        collect.collect()


def test_a_table_is_tried_on_rendered_faces_in_columns_of_its_own(raw, tmp_path):
    jobs, count = planned("mol-8", raw, datasets=["synthetic"])
    assert [job.name for job in jobs] == ["mol-8-tasks-mer-synthetic", "mol-8-tasks-mer-flow-synthetic",
                                          "mol-8-tasks-mer-landmark-synthetic", "mol-8-full-synthetic"]
    assert count == {"missing": 8}
    for job in jobs:
        assert job.params.datasets == ("synthetic",) and job.params.classes == "3"
        assert job.params.pretrain.sources == ("synthetic_macro",) and "datasets" not in keys(job)
    assert len(planned("mol-4", raw, datasets=["synthetic"])[0]) == 1  # every column is the same experiment there
    with pytest.raises(MerError, match="--dataset casme2 synthetic: rendered and real faces; expected one kind"):
        planned("mol-8", raw, datasets=["casme2", "synthetic"])

    runs = [collect.run_of(job.params, NUMBERS | {"accuracy": 0.5 + i / 10}, "a1b2c3d") for i, job in enumerate(jobs)]
    assert planned("mol-8", raw, collected(*runs), datasets=["synthetic"]) == ([], {"done": 8})
    (table,) = command.write(["mol-8"], collected(*runs), tmp_path)
    assert (table.filled, table.elsewhere, table.variants) == (0, 8, 0)
    ours = table.header.index("Synthetic Acc")
    assert [row.cells[ours].split()[0] for row in table.rows] == ["50.00", "60.00", "70.00", "80.00"]
    assert all("SYNTHETIC faces, not the paper's" in note for note in table.notes if note.startswith("("))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Synthetic Acc" in page and 'id="mol-8"' in page and "70.00" in page and "<script>" not in page
