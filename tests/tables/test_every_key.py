"""A run with any one key changed does not fill the rows of the paper's method; its budget may differ, and is named."""

import dataclasses
import functools
from pathlib import Path

import pytest

from mer import params
from mer.base.knobs import flatten, read_yaml
from mer.params import CONFIGS
from mer.runs import collect
from mer.runs.finished import Run
from mer.runs.sources import Source
from mer.tables import fill
from mer.tables import rows as demands

RAW = read_yaml(Path(__file__).parents[2] / "params.yaml")
NAMES = [(short, name) for short in demands.PAPERS for name, spec in demands.paper(short)["tables"].items()
         if "kind" not in spec]
# What says which data, which split, where it ran and how it was judged, which a table's columns and notes tell
BESIDE = {"model", "datasets", "classes", "protocol", "seeds", "profile", "selection", "shuffle_labels",
          "ma2mi.sd_vae", *(f"train.{key}" for key in (
              "device", "workers", "eval_every", "inner_subjects", "keep_checkpoints", "portable", "threads",
              "checkpoint_every", "resident_gb")), "pretrain.threads", "pretrain.checkpoint_every", "sampling.seed"}
SECTIONS = {"kfold", "parallel", "synthetic", "index", "landmarks", "evaluate", "report"}
# Of labels that a model does not read, and of pretraining where the paper has none
UNUSED = {"mol": ("dynamic.",), "fdp": ("flow.", "pretrain.", "train.flow_pairs"),
          "offapexnet": ("dynamic.", "pretrain."),
          "ma2mi": ("dynamic.", "flow.", "pretrain.flow_pairs", "train.flow_pairs")}


@functools.cache
def resolved(short):
    """The parameters of the paper's profile."""
    return collect.flat(collect.resolve(RAW, {"model": short, "profile": "paper"}))


def parts(block):
    return {part for key in block for part in key.split(demands.PAIR)}


def own(short):
    """Every key that can change what this model computes."""
    mine = getattr(CONFIGS[short], "TopLevel", None)
    top = {field.name for field in dataclasses.fields(mine)} if mine else set()
    others = {field.name for name, config in CONFIGS.items() if getattr(config, "TopLevel", None)
              for field in dataclasses.fields(config.TopLevel)} - top
    shared = {f"{short}.{key}" for key in getattr(CONFIGS[short], "SHARED", {})}  # a knob of another section
    return {key for key in resolved(short)
            if key not in BESIDE | others | shared and key.split(".")[0] not in (SECTIONS | set(CONFIGS)) - {short}
            and not key.startswith(UNUSED[short])}


@pytest.mark.parametrize("short", demands.PAPERS)
def test_every_key_of_a_model_is_demanded_or_is_budget(short):
    book = demands.paper(short)
    listed = [parts(book[name]) for name in ("defaults", "method", "budget")]
    assert own(short) - set().union(*listed) == set(), "name it in paper.yaml: method or budget"
    anything_but = {key for key, value in book["defaults"].items() if isinstance(value, dict) and "not" in value}
    assert not listed[0] & listed[1] and not listed[1] & listed[2] and listed[0] & listed[2] <= anything_but
    assert set().union(*listed) <= set(resolved(short)), "a key that params.yaml does not have"


@pytest.mark.parametrize("short", demands.PAPERS)
def test_profile_paper_is_the_papers_method_but_for_data_that_cannot_be_shipped(short):
    book = demands.paper(short)
    assert set(demands.differing(book["method"] | book["budget"], resolved(short))) <= {"pretrain.sources"}


def other(key, value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value / 3 + 0.01
    if isinstance(value, list | tuple):
        return tuple(f"not {one}" if isinstance(one, str) else one + 1 for one in value) or ("another",)
    return f"not {value}"


def run_of(flat, columns):
    return Run(Source("made"), parameters=flat, clip_list="0",
               metrics={"n_clips": 1, "n_subjects": 1} | {column["metric"]: 0.5 for column in columns})


def cell_of(wanted, papers, short):
    """Parameters that fill the cell: of the paper's profile, method and budget."""
    book = demands.paper(short)
    return resolved(short) | book["budget"] | {
        key: (value["any"][0] if "any" in value else 100) if isinstance(value, dict) else value
        for key, value in (papers | demands.together(wanted, {}, {})).items()}


@pytest.mark.parametrize(("short", "name"), NAMES)
def test_a_run_with_one_other_key_does_not_fill_the_row(short, name):
    book = demands.paper(short)
    spec = book["tables"][name]
    columns = [column for column in spec["columns"] if "mean_of" not in column][:1]
    small, tried = {**spec, "columns": columns}, 0
    for group in spec["groups"]:
        for row in (row for row in group["rows"] if "own" in row):
            only = {**small, "groups": [{**group, "rows": [{**row, "values": row["values"][:1]}]}]}
            alone = {**book, "tables": {name: only}}
            wanted = demands.experiment(book, spec, group, columns[0], row)
            papers = demands.method(book, spec, group, columns[0], row)
            flat = cell_of(wanted, papers, short)
            assert fill.fill(alone, name, [run_of(flat, columns)]).filled == 1, (row, "a cell that nothing fills")
            for key in parts(wanted) | parts(papers):
                changed = flat | {key: other(key, flat[key])}
                if key == "pretrain.steps" and isinstance(wanted.get(key), dict):
                    changed[key] = 0  # any budget but none
                table = fill.fill(alone, name, [run_of(changed, columns)])
                assert table.filled == 0, (row, key)
                assert table.variants == (key in papers), (row, key)
                tried += 1
            for key in set(book["budget"]) - parts(wanted):
                table = fill.fill(alone, name, [run_of(flat | {key: other(key, flat[key])}, columns)])
                assert table.filled == 1 and any(f"{key} " in note for note in table.notes), (row, key)
    assert tried


def test_the_shipped_run_says_what_it_is():
    """The demo is smaller than the paper's and pretrained on rendered faces: a variant, on other data."""
    flat = flatten(dataclasses.asdict(params.resolve(RAW)))
    table = fill.fill(demands.paper("mol"), "mol-5", [run_of(flat, [{"metric": "accuracy"}])])
    (line,) = [row for row in table.rows if row.kind == "variant"]
    assert table.filled == table.elsewhere == 0 and table.variants == 1
    assert "pretrain.sources [synthetic_macro] (paper [affwild2])" in line.cells[0]
