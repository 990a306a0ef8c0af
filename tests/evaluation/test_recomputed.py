"""Every cell of every table again, from predictions.csv alone, by scikit-learn and plain sums, not by our metrics."""

import csv
import dataclasses
import itertools
import json
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from mer import params
from mer.base import store
from mer.base.knobs import flatten
from mer.evaluation import measures, predictions, results, significance
from mer.runs.finished import Run
from mer.runs.sources import Source
from mer.tables import fill
from mer.tables import rows as demands

ROOT = Path(__file__).parents[2]
NAMES = ("negative", "positive", "surprise")
SETTINGS = {"bootstrap": 2000, "permutations": 5000, "seed": 0}  # of params.yaml
PEOPLE = {"casme2": 24, "samm": 28, "smic": 16}  # MEGC2019: 68 subjects, 442 clips; here 438
SCORES = {score.key for score in measures.SCORES}
NOT_MEASURED = {"backbone_parameters"}  # counted in the network
TABLES = [(short, name) for short in demands.PAPERS for name, spec in demands.paper(short)["tables"].items()
          if "kind" not in spec]


def composite(rng) -> predictions.Predictions:
    """A run as large as MEGC2019, three seeds, two rules, all auxiliary columns; a class that some subjects lack."""
    parts = []
    for (dataset, people), seed, rule in itertools.product(PEOPLE.items(), (0, 1, 2), ("last", "oracle")):
        for person in range(people):
            labels = np.array([0, 0, 0, 1, 1, 2, 2][:7 - person % 2])[:1 if person == 3 else None]
            p = np.exp(rng.normal(size=(len(labels), 3)) + 0.9 * np.eye(3)[labels])
            name = f"{dataset}/{person:02d}"
            aux = {key: rng.random(len(labels)) for key in predictions.AUX} if rule == "last" else None
            parts.append(predictions.table([f"{person}_{i}" for i in range(len(labels))], [name] * len(labels), name,
                                           seed, rule, labels, p / p.sum(axis=1, keepdims=True), aux))
    return predictions.concat(parts)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A folder with predictions.csv and metrics.json, as `evaluate` leaves them."""
    folder = tmp_path_factory.mktemp("reports")
    predictions.write(folder / "predictions.csv", composite(np.random.default_rng(0)))
    store.write_json(folder / "metrics.json", results.summarise(predictions.read(folder / "predictions.csv"), NAMES,
                                                                ("last", "oracle"), **SETTINGS))
    return folder


@cache
def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["selection"] == "last"]


@cache
def again(path: Path, metric: str) -> float:
    """A metric from the file, by other means than mer.evaluation.metrics."""
    dataset, _, score = metric.rpartition("_")
    mine = [row for row in rows(path) if dataset not in PEOPLE or row["subject"].startswith(f"{dataset}/")]
    column = next((name for name, measure in measures.columns().items() if measure.key == metric), None)
    if column:
        values = [float(row[column]) for row in mine if row[column]]
        return sum(values) / len(values)
    labels = [int(row["label"]) for row in mine]
    guessed = [max(range(3), key=lambda j, row=row: float(row[f"p_{j}"])) for row in mine]
    known = {"labels": range(3), "zero_division": 0}
    return {"accuracy": lambda: accuracy_score(labels, guessed),
            "war": lambda: recall_score(labels, guessed, average="weighted", **known),
            "uar": lambda: recall_score(labels, guessed, average="macro", **known),
            "uf1": lambda: f1_score(labels, guessed, average="macro", **known),
            "wf1": lambda: f1_score(labels, guessed, average="weighted", **known)}[score if dataset else metric]()


@cache
def interval_again(path: Path, metric: str) -> tuple[float, float]:
    by_subject = significance.subject_confusions(predictions.read(path).where("last"))
    return significance.bootstrap(by_subject, measures.every()[metric].compute, SETTINGS["bootstrap"], SETTINGS["seed"])


def concrete(value: object, default: object) -> object:
    """A value that a table's demand accepts."""
    if isinstance(value, dict):
        return value["any"][0] if "any" in value else default if default != value["not"] else f"not {value['not']}"
    return value


@cache
def shipped() -> dict[str, object]:
    return flatten(dataclasses.asdict(params.load(ROOT / "params.yaml")))


@pytest.mark.parametrize(("short", "name"), TABLES)
def test_every_cell_of_every_table_is_recomputed_to_the_last_digit(run, short, name):
    book = demands.paper(short)
    spec, path = book["tables"][name], run / "predictions.csv"
    numbers = json.loads((run / "metrics.json").read_text()) | dict.fromkeys(NOT_MEASURED, 1e7)
    runs = []
    for group, row, column in ((g, r, c) for g in spec["groups"] for r in g["rows"] for c in spec["columns"]):
        wanted = demands.experiment(book, spec, group, column, row)
        if wanted is not None and "mean_of" not in column:
            wanted = demands.method(book, spec, group, column, row) | demands.together(wanted, {}, shipped())
            own = {key: concrete(value, shipped().get(key)) for key, value in wanted.items()}
            runs.append(Run(Source("made"), parameters=shipped() | own, metrics=numbers))
    table = fill.fill(book, name, runs)
    columns, checked = spec["columns"], 0
    for row in table.rows:
        for column, cell in zip(columns, row.cells[-len(columns):], strict=True) if row.kind == "own" else ():
            if column["metric"] in NOT_MEASURED:
                continue
            value, digits = column["scale"] * again(path, column["metric"]), column["digits"]
            assert cell.split()[0] == f"{value:.{digits}f}", (row.cells[0], column["label"])
            if "[" in cell:
                low, high = (f"{column['scale'] * end:.{max(digits - 1, 1)}f}"
                             for end in interval_again(path, column["metric"]))
                assert f" [{low}, {high}] " in cell, (row.cells[0], column["label"])
            checked += 1
    assert checked and table.filled >= checked


METRICS = sorted({column["metric"] for short, name in TABLES
                  for column in demands.paper(short)["tables"][name]["columns"]} - NOT_MEASURED)


@pytest.mark.parametrize("metric", METRICS)
def test_a_cell_with_its_interval_takes_less_than_five_seconds(run, metric):
    for kept in (rows, again, interval_again):
        kept.cache_clear()
    began = time.process_time()
    value = again(run / "predictions.csv", metric)
    interval = interval_again(run / "predictions.csv", metric) if metric in SCORES else ()
    assert time.process_time() - began < 5
    numbers = json.loads((run / "metrics.json").read_text())
    assert numbers[metric] == pytest.approx(value, rel=1e-13)
    assert interval in ((), (numbers.get(f"{metric}_low"), numbers.get(f"{metric}_high")))


def test_the_whole_of_metrics_json_comes_back_from_the_file_in_any_order_of_its_rows(run, tmp_path):
    numbers = json.loads((run / "metrics.json").read_text())
    header, *lines = (run / "predictions.csv").read_text().splitlines()
    order = np.random.default_rng(4).permutation(len(lines))
    (tmp_path / "mixed.csv").write_text("\n".join([header, *(lines[i] for i in order)]) + "\n")
    t = predictions.read(tmp_path / "mixed.csv")
    mixed = results.summarise(t, NAMES, ("last", "oracle"), **SETTINGS)
    assert mixed == pytest.approx(numbers, rel=1e-13)  # sums of errors in another order: the last bit
    counted = [key for key in numbers if key not in {measure.key for measure in measures.columns().values()}]
    assert {key: mixed[key] for key in counted} == {key: numbers[key] for key in counted}
    predictions.write(tmp_path / "sorted.csv", t)
    assert (tmp_path / "sorted.csv").read_bytes() == (run / "predictions.csv").read_bytes()
