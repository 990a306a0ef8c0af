"""Every cell of the papers' own method in every table: an experiment that this project can make and build."""

import functools
import json
import types
from pathlib import Path

import pytest
import torch

from mer import params
from mer.base.knobs import read_yaml
from mer.datasets.class_sets import label_set
from mer.runs import collect
from mer.tables import queue
from mer.tables import rows as demands
from mer.training import task as tasks

ROOT = Path(__file__).parents[2]
NAMES = [(short, name) for short in demands.PAPERS for name, spec in demands.paper(short)["tables"].items()
         if "kind" not in spec]
LAMBDAS = dict.fromkeys(("lambda_f", "lambda_m", "lambda_d", "lambda_r"), 1.0)
RAW = read_yaml(ROOT / "params.yaml")


def experiments(short, name):
    """(row, wanted) of each different experiment of a table."""
    book, seen = demands.paper(short), set()
    spec = book["tables"][name]
    for group, row, column in ((g, r, c) for g in spec["groups"] for r in g["rows"] for c in spec["columns"]):
        wanted = demands.experiment(book, spec, group, column, row)
        if wanted is not None and "mean_of" not in column and json.dumps(wanted) not in seen:
            seen.add(json.dumps(wanted))
            yield row, wanted


@functools.cache
def size(model, config, classes):
    """Parameters of the network with this section of params.yaml, built without memory; each once."""
    with torch.device("meta"):
        network = tasks.task(types.SimpleNamespace(model=model, **LAMBDAS, **{model: config})).build(classes)
    return sum(w.numel() for w in network.parameters())


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """`resolve` writes JSON, which is YAML; PyYAML takes 0.3 s for it."""
    monkeypatch.setattr(params, "read_yaml", lambda path: json.loads(path.read_text()))


@pytest.mark.parametrize("profile", ["demo", "paper"])
@pytest.mark.parametrize(("short", "name"), NAMES)
def test_every_row_is_valid_and_builds(short, name, profile):
    found = list(experiments(short, name))
    assert found
    for row, wanted in found:
        assert set(demands.together(wanted, {}, {})) <= {*collect._leaves(RAW)}, row
        p, _ = queue._overrides(RAW, wanted, {"profile": profile}, name)
        assert p.profile == profile and p.model == short
        assert not demands.differing(wanted, collect.flat(p))
        assert size(p.model, getattr(p, p.model), len(label_set(p.datasets[0], p.classes).names)) > 0
        pretraining = tasks.pretraining(p)
        assert short != "ma2mi" or (pretraining is None) == (p.ma2mi.pretraining == "none")


def test_the_shipped_parameters_are_the_full_method_of_each_paper_but_for_the_data():
    """A default that moves away from the tables' rows would make every row need overrides that nobody asked for."""
    for short in demands.PAPERS:
        book = demands.paper(short)
        _, changes = queue._overrides(RAW, book["defaults"], {"profile": RAW["profile"]}, short)
        assert set(dict(changes)) <= {"model"}, changes


def test_sizes_of_fdps_backbones_without_global_blocks_are_those_the_paper_prints():
    """With global blocks, as its text says, they are larger; rows C and C' are exchanged in print."""
    book = demands.paper("fdp")
    (group,) = book["tables"]["fdp-10"]["groups"]
    printed = [row["values"][2] for row in group["rows"]]
    found = []
    for _, wanted in experiments("fdp", "fdp-10"):
        p, _ = queue._overrides(RAW, wanted | {"fdp.n_global": [0, 0, 0, 0]}, {"profile": "paper"}, "fdp-10")
        found.append(round(collect.run_of(p, {}).metrics["backbone_parameters"] / 1e6, 2))
    assert found == [printed[0], printed[2], printed[1], *printed[3:]]
