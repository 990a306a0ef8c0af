"""The papers' tables: published numbers as printed, rows that can be run, ours never in a published cell."""

import csv
import io
from pathlib import Path

import pytest
import yaml

from mer import params
from mer.base.errors import MerError
from mer.base.knobs import flatten
from mer.datasets.clips import Clip, write_clips
from mer.runs.finished import Run
from mer.runs.sources import Source
from mer.tables import fill, formats
from mer.tables import rows as demands

ROOT = Path(__file__).parents[2]
BOOKS = {path.parent.name: demands.paper(path.parent.name) for path in (ROOT / "mer/models").glob("*/paper.yaml")}
ALL = [(short, name) for short, book in BOOKS.items() for name in book["tables"]]
METRICS = {"accuracy": 0.8, "accuracy_low": 0.7, "accuracy_high": 0.9, "wf1": 0.75, "uf1": 0.7, "uar": 0.72, "war": 0.8,
           "epe": 0.3, "epe_zero_flow": 0.35, "nme": 0.05, "nme_mean_face": 0.06, "failure_rate": 0.1, "mse": 0.002,
           "n_clips": 144, "n_subjects": 12}


def spec(short):
    """The paper's numbers, written down a second time and by another hand than the model's paper.yaml."""
    path = Path(__file__).with_name("published") / f"{short}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def full_method(short):
    """A run's parameters as the paper's full method has them: of several values the first."""
    def one(value):
        if isinstance(value, dict):
            return value["any"][0] if "any" in value else 100
        return tuple(value) if isinstance(value, list) else value

    book, flat = BOOKS[short], {}
    for key, value in {**book["budget"], **book["method"], **book["defaults"]}.items():
        flat |= dict(zip(parts, one(value), strict=True)) if len(parts := key.split(" + ")) > 1 else {key: one(value)}
    return flat | {"datasets": ("casme2",), "classes": "5", "seeds": (0,), "selection": ("last",), "profile": "demo"}


def made(parameters, metrics, label=""):
    """A run of these flat parameters and numbers, which lies nowhere."""
    return Run(Source("made"), label, parameters=parameters, metrics=metrics, clip_list="0a1b2c3d4e5f")


def run(metrics=METRICS, label="", **parameters):
    return made({**full_method("mol"), **parameters}, metrics, label)


def numbers(value):
    """All numbers and dashes of a table in reading order, titles and settings left out."""
    if isinstance(value, dict):
        return numbers(value["values"]) if "values" in value else [value["value"]]
    return list(value)


@pytest.mark.parametrize(("short", "name"), ALL)
def test_structure(short, name):
    spec = BOOKS[short]["tables"][name]
    assert {"number", "title", "stub", "columns", "groups"} <= set(spec)
    if "kind" in spec:
        return
    own = 0
    for column in spec["columns"]:
        assert set(column) - {"experiment", "mean_of"} == {"label", "metric", "scale", "digits"}
    for group in spec["groups"]:
        assert group["rows"]
        for row in group["rows"]:
            assert len(row["values"]) == len(spec["columns"])
            assert set(spec["stub"]) & set(row)
            assert set(row) <= {*spec["stub"], "values", "own", "note"}
            own += "own" in row
    assert own, "a table without a row of the paper's own method has nothing to fill"


MOL = {"mol-5": "table5_single_smic", "mol-6": "table6_composite", "mol-7": "table7_cross_dataset",
       "mol-8": "table8_aux_tasks_casme2_5", "mol-9": "table9_f5c_casme2_5", "mol-10": "table10_n_f5c_casme2_5",
       "mol-11": "table11_fcc_vs_transformer_casme2_5", "mol-12": "table12_mer_input_casme2_5",
       "mol-13": "table13_n_frames_casme2_5", "mol-14": "table14_flow_casme2", "mol-15": "table15_landmark_casme2"}


@pytest.mark.parametrize("name", MOL)
def test_mol_equals_the_paper(name):
    theirs = spec("mol")[MOL[name]]["rows"]
    (group,) = BOOKS["mol"]["tables"][name]["groups"]
    for row, printed in zip(group["rows"], theirs, strict=True):
        if isinstance(printed, list):
            assert row["values"] == printed[1:]
        else:
            assert row["values"] == (printed["values"] if "values" in printed else [printed["value"]])
            if "method" in printed:
                assert row["method"] == printed["method"]


def test_mol_4_equals_the_paper():
    theirs = spec("mol")["table4_single_casme2_samm"]
    for group, key in zip(BOOKS["mol"]["tables"]["mol-4"]["groups"], ("three_class", "five_class"), strict=True):
        assert [(r["method"], r["type"], r["values"]) for r in group["rows"]] == [
            (r["method"], r["type"], r["values"]) for r in theirs[key]]


def test_every_table_of_mol_is_there():
    assert list(BOOKS["mol"]["tables"]) == [f"mol-{i}" for i in range(4, 16)]


def params_as_dict():
    from dataclasses import asdict

    return asdict(params.load(ROOT / "params.yaml"))


def test_the_default_run_is_the_full_method():
    """If a default of params.yaml moves away from the tables' rows, the demo would be a row of no table."""
    flat = flatten(params_as_dict())
    assert all(demands.matches({key: value}, made(flat, {})) for key, value in BOOKS["mol"]["defaults"].items())


def test_the_full_method_fills_its_rows_and_only_these():
    table = fill.fill(BOOKS["mol"], "mol-8", [run()])
    assert table.filled == 2 and table.elsewhere == 0
    own = {row.cells[0]: row.cells for row in table.rows}
    assert own["MOL"] == ("MOL", "79.23", "75.85", "80.00 [70.0, 90.0] (a)", "75.00 (a)")
    assert own["MOL w/o FLD"] == ("MOL w/o FLD", "76.60", "72.74", "", "")
    assert any("N = 144 clips of 12 subjects" in note and "selection last" in note and "seeds 0" in note
               for note in table.notes)


@pytest.mark.parametrize(("changed", "filled"), [
    ({"mol.tasks": ("flow", "mer")}, "MOL w/o FLD"), ({"mol.tasks": ("mer",)}, "MOL w/o OFE&FLD")])
def test_a_variant_fills_its_own_row(changed, filled):
    table = fill.fill(BOOKS["mol"], "mol-8", [run(**changed)])
    assert [row.cells[0] for row in table.rows if row.cells[3]] == [filled]


@pytest.mark.parametrize("changed", [{"lambda_f": 0.0}, {"shuffle_labels": True}, {"model": "fdp"}, {"classes": "3"},
                                     {"mol.fcc": "off"}, {"sampling.t": 4}, {"protocol": "composite"}])
def test_another_experiment_does_not_pass_for_the_row(changed):
    assert fill.fill(BOOKS["mol"], "mol-8", [run(**changed)]).filled == 0


def test_published_and_ours_never_share_a_cell():
    for name in BOOKS["mol"]["tables"]:
        empty = fill.fill(BOOKS["mol"], name, [])
        full = fill.fill(BOOKS["mol"], name, [run(datasets=(d,), classes=c) for d in ("casme2", "samm", "smic")
                                                for c in ("3", "5")])
        split = empty.spans[0][1] + empty.spans[1][1]
        assert [row.cells[:split] for row in empty.rows] == [row.cells[:split] for row in full.rows]
        assert all(not cell for row in empty.rows for cell in row.cells[split:])
        assert all(not any(row.cells[split:]) for row in full.rows if row.kind == "other")


def test_synthetic_runs_get_columns_of_their_own_and_say_so():
    table = fill.fill(BOOKS["mol"], "mol-4", [run(datasets=("synthetic",), classes="3")])
    assert table.filled == 0 and table.elsewhere == 2
    assert "Synthetic Acc" in table.header
    assert any("SYNTHETIC faces" in note for note in table.notes)
    mol = [row for row in table.rows if row.kind == "own"]
    assert mol[0].cells[7].startswith("80.00") and mol[1].cells[7] == ""  # three classes, not five
    real = fill.fill(BOOKS["mol"], "mol-4", [run(classes="3")])
    assert not any("SYNTHETIC" in note for note in real.notes) and "Synthetic Acc" not in real.header


def test_cross_dataset_minds_the_direction():
    there, back = (fill.fill(BOOKS["mol"], "mol-7", [run(protocol="cross_dataset", datasets=order, classes="3")])
                   for order in (("casme2", "smic"), ("smic", "casme2")))
    assert there.filled == 2 and back.filled == 0


def test_runs_have_their_own_marks_and_the_last_one_wins():
    first, second = run(classes="3"), run(metrics={**METRICS, "accuracy": 0.5}, classes="3", seeds=(1,))
    table = fill.fill(BOOKS["mol"], "mol-4", [first, second, run()])
    cells = [row.cells[7] for row in table.rows if row.kind == "own"]
    assert cells[0].startswith("50.00") and cells[0].endswith("(a)") and cells[1].endswith("(b)")
    assert any(note.startswith("(a)") and "seeds 1" in note for note in table.notes)


def test_auxiliary_tables_name_the_constants():
    flow = fill.fill(BOOKS["mol"], "mol-14", [run()])
    assert flow.rows[-1].cells == ("MOL", "0.650", "0.300 (a)") and any("zero flow 0.350 px" in n for n in flow.notes)
    marks = fill.fill(BOOKS["mol"], "mol-15", [run()])
    assert marks.rows[-1].cells[3:] == ("5.00 (a)", "10.00 (a)") and any("mean face 6.00 %" in n for n in marks.notes)


@pytest.mark.parametrize(("short", "name"), ALL)
def test_formats_hold_the_same_cells(short, name):
    table = fill.fill(BOOKS[short], name, [run()])
    width = len(table.header)
    assert sum(n for _, n in table.spans) == width
    lines = formats.markdown(table).splitlines()
    body = [line for line in lines if line.startswith("|")]
    assert len(body) == 2 + len(table.rows)
    assert all(line.replace("\\|", "").count("|") == width + 1 for line in body)
    read = list(csv.reader(io.StringIO(formats.as_csv(table))))
    assert len(read) == 1 + sum(row.kind != "group" for row in table.rows)
    assert all(len(line) == width + 1 for line in read)
    cells = [tuple(line[1:]) for line in read[1:]]
    assert cells == [row.cells for row in table.rows if row.kind != "group"]
    tex = formats.latex(table)
    assert tex.count("\\begin") == tex.count("\\end") == 2
    assert all(line.replace("\\&", "").count("&") == width - 1 for line in tex.splitlines()
               if line.endswith(r"\\") and "multicolumn" not in line)


FDP = {"fdp-4": "table4_five_class", "fdp-5": "table5_three_class", "fdp-6": "table6_casme2_sq",
       "fdp-7": "table7_casme3", "fdp-8": "table8_cross_dataset", "fdp-9": "table9_ablation_samm5",
       "fdp-10": "table10_backbones_samm5", "fdp-11": "table11_loss_weights_samm5",
       "fdp-14": "table14_dynamic_image_mse_samm"}


@pytest.mark.parametrize("name", FDP)
def test_fdp_equals_the_paper(name):
    theirs = spec("fdp")[FDP[name]]["rows"]
    (group,) = BOOKS["fdp"]["tables"][name]["groups"]
    for row, printed in zip(group["rows"], theirs, strict=True):
        if isinstance(printed, list):
            assert [row["lambda_d"], row["lambda_r"], *row["values"]] == printed
        else:
            assert row["values"] == (printed["values"] if "values" in printed else [printed["value"]])
            assert row.get("method") == printed.get("method")


RELEASES = {"fdp-1": ("table1_class_counts", ("CASME_II", "SAMM", "CASME3")),
            "fdp-2": ("table2_class_counts_coarse", ("CASME_II", "SAMM", "CASME2_sq")),
            "fdp-3": ("table3_dataset_attributes", ("CASME_II", "SAMM", "CASME2_sq", "CASME3"))}
FACTS = {"subjects": "subjects", "fps": "fps", "clips": "n_me", "frames": "avg_frames"}


@pytest.mark.parametrize("name", RELEASES)
def test_counts_of_releases_equal_the_paper_and_stand_beside_the_readers(name):
    key, releases = RELEASES[name]
    table, (group,) = fill.fill(BOOKS["fdp"], name, []), BOOKS["fdp"]["tables"][name]["groups"]
    assert [text for text, _ in table.spans[1:]] == ["published (FDP paper)", "expected by the reader",
                                                     "counted in a run"]
    assert len(group["rows"]) == len(table.rows) > 3 and {n for _, n in table.spans[1:]} == {len(releases)}
    for row, line in zip(group["rows"], table.rows, strict=True):
        theirs = [spec("fdp")[key][release][FACTS.get(row["is"], row["is"])] for release in releases]
        printed, expected, own = (line.cells[1 + i * len(releases):1 + (i + 1) * len(releases)] for i in range(3))
        assert row["values"] == theirs and list(printed) == ["-" if value is None else str(value) for value in theirs]
        assert own == ("",) * len(releases)
        for release, value, ours in zip(releases, theirs, expected, strict=True):
            if release in ("CASME_II", "SAMM") and row["is"] not in ("fps", "frames"):
                assert ours == ("" if value is None else str(value)), "the very tables that the paper counted"


def test_a_run_with_the_release_is_counted_from_its_index(tmp_path):
    rows = [Clip(f"c{i}", "samm", "v2", f"samm/{i % 2}", ".", 1, 9, 1, 3, last, 200.0, word, "", "")
            for i, (word, last) in enumerate((("anger", 10), ("other", 20), ("others", 31)))]
    write_clips(tmp_path / "data/index/samm/clips.csv", rows)
    runs = [Run(Source("here", folder=folder), "here", parameters={"datasets": ("samm",)}, metrics={})
            for folder in (tmp_path, tmp_path / "gone")]

    def own(name: str) -> dict[str, tuple[str, ...]]:
        table = fill.fill(BOOKS["fdp"], name, runs)
        assert any(note == "counted: SAMM, release v2, run here" for note in table.notes)
        count = table.spans[-1][1]
        return {row.cells[0]: row.cells[-count:] for row in table.rows}

    assert own("fdp-1")["Anger"] == ("", "1", "") and own("fdp-1")["Others"] == ("", "2", "")
    assert own("fdp-1")["Repression"] == ("", "", "") and own("fdp-2")["Negative"] == ("", "1", "")
    assert [cells[1] for cells in own("fdp-3").values()] == ["2", "200", "3", "20.33"]


@pytest.mark.parametrize(("name", "key"), [("fdp-12", "table12_significance_sota"),
                                           ("fdp-13", "table13_significance_ablation")])
def test_rank_sums_are_recomputed_from_the_published_numbers(name, key):
    """As printed, and to the digits of the spec's own recomputation; one number alone proves nothing."""
    table = fill.fill(BOOKS["fdp"], name, [])
    theirs = spec("fdp")[key]["rows"]
    for row, printed in zip(table.rows, theirs, strict=True):
        copies, others, z, p, z_again, p_again, z_once, p_once = row.cells[1:]
        assert (int(copies), int(others)) == (printed["n_fdp_copies"], printed["n_others"])
        assert (float(z), float(p)) == (pytest.approx(printed["statistic"]), pytest.approx(printed["p"], rel=1e-2))
        assert float(z_again) == pytest.approx(printed["reproduced"]["statistic"], abs=6e-4)
        assert float(p_again) == pytest.approx(printed["reproduced"]["p"], rel=6e-3)
        assert float(p_once) > 0.05 and float(z_once) < 1.65
    assert any("Copies are no evidence" in note for note in table.notes)


def test_ma2mi_equals_the_paper():
    theirs, ours = spec("ma2mi"), BOOKS["ma2mi"]["tables"]
    for name, key, skip in (("ma2mi-1", "table1_pretraining_strategies", 1),
                            ("ma2mi-2", "table2_finetuning_strategies", 3), ("ma2mi-3", "table3_source_datasets", 0),
                            ("ma2mi-4", "table4_position_encoder", 2), ("ma2mi-5", "table5_casme2_sota", 0)):
        printed = [row if isinstance(row, list) else row["values"] for row in theirs[key]["rows"]]
        rows = ours[name]["groups"][0]["rows"]
        for row, values in zip(rows, printed, strict=True):
            assert row["values"][:len(values) - skip] == values[skip:]
    last = ours["ma2mi-5"]["groups"][0]["rows"][-1]["values"][2:]
    assert last == [theirs["table5b_samm_sota"]["ours"][key] for key in ("acc", "uf1")]
    assert ours["ma2mi-6"]["groups"][0]["rows"][0]["values"] == [theirs["table6_mmew_sota"]["ours"]["acc"]]


def test_tables_of_fdp_and_ma2mi_are_all_there():
    assert list(BOOKS["fdp"]["tables"]) == [f"fdp-{i}" for i in range(1, 15)]
    assert list(BOOKS["ma2mi"]["tables"]) == [*(f"ma2mi-{i}" for i in range(1, 7)), "ma2mi-fig4"]


def test_mean_of_both_directions_needs_both():
    flat = {**full_method("fdp"), "protocol": "cross_dataset", "classes": "3-shared"}
    there = made({**flat, "datasets": ("casme2", "samm")}, {**METRICS, "war": 0.5})
    back = made({**flat, "datasets": ("samm", "casme2")}, {**METRICS, "war": 0.7})
    ours = [row.cells[9:] for row in fill.fill(BOOKS["fdp"], "fdp-8", [there]).rows if row.kind == "own"]
    assert ours == [("50.0 (a)", "72.0 (a)", "", "", "", "")]
    ours = [row.cells[9:] for row in fill.fill(BOOKS["fdp"], "fdp-8", [there, back]).rows if row.kind == "own"]
    assert ours == [("50.0 (a)", "72.0 (a)", "70.0 (b)", "72.0 (b)", "60.0 (a, b)", "72.0 (a, b)")]


def test_a_run_of_another_method_stands_apart_with_what_differs():
    flat = full_method("ma2mi")
    for autoencoder, filled, apart in (("sd_vae", 2, 0), ("conv_ae", 0, 2), ("none", 0, 2)):
        turn = flat["ma2mi.turn"] + (autoencoder == "none")
        run = made({**flat, "ma2mi.autoencoder": autoencoder, "ma2mi.turn": turn}, METRICS)
        table = fill.fill(BOOKS["ma2mi"], "ma2mi-4", [run])
        assert (table.filled, table.elsewhere, table.variants) == (filled, 0, apart)
        own = [row.cells for row in table.rows if row.kind == "variant"]
        if autoencoder == "none":
            assert own[0][0] == "yes, but ma2mi.autoencoder none (paper sd_vae); ma2mi.turn 4 (paper 3)"
        assert len(own) == bool(apart) and all(not any(cells[2:6]) for cells in own), "nothing published"
        rows = fill.records(BOOKS["ma2mi"], "ma2mi-4", [run])
        assert [row["variant"] for row in rows if row["ours"]] == [
            own[0][0].removeprefix("yes, but ") if own else ""] * 2


def test_variants_that_differ_alike_share_a_row_and_the_newest_wins():
    runs = [run(metrics=METRICS | {"accuracy": a}, **{"mol.k": k}) for a, k in ((.1, 5), (.2, 6), (.3, 5))]
    table = fill.fill(BOOKS["mol"], "mol-8", runs)
    own = [row.cells for row in table.rows if row.kind == "variant"]
    assert [cells[0] for cells in own] == ["MOL, but mol.k 5 (paper 4)", "MOL, but mol.k 6 (paper 4)"]
    assert [cells[3].split()[0] for cells in own] == ["30.00", "20.00"] and table.variants == 4
    assert table.name == "mol-8"


def test_a_smaller_budget_is_named_and_is_no_other_method():
    table = fill.fill(BOOKS["mol"], "mol-8", [run(**{"train.steps": 40, "lr": 0.001})])
    assert table.filled == 2 and not table.variants
    assert any("budget not the paper's: lr 0.001 (paper 0.0001); train.steps 40 (paper 1000)" in note
               for note in table.notes)
    assert not any("budget" in note for note in fill.fill(BOOKS["mol"], "mol-8", [run()]).notes)


def test_pretraining_on_rendered_faces_is_marked_and_fills_no_row():
    table = fill.fill(BOOKS["mol"], "mol-8", [run(**{"pretrain.sources": ("synthetic_macro",)})])
    assert table.filled == 0 and table.variants == 2
    assert any("pretrained on synthetic_macro (RENDERED faces)" in note for note in table.notes)


def test_two_weights_go_together():
    for flow, landmark, filled in ((10.0, 0.1, 2), (1.43, 0.7, 2), (10.0, 0.7, 0), (1.43, 0.1, 0)):
        table = fill.fill(BOOKS["mol"], "mol-8", [run(lambda_f=flow, lambda_m=landmark)])
        assert (table.filled, table.variants) == (filled, 0), (flow, landmark)


@pytest.mark.parametrize(("changed", "filled"), [({"pretrain.sources": ()}, False), ({"pretrain.steps": 0}, False),
                                                 ({"pretrain.sources": ("dfew",)}, True)])
def test_a_run_without_pretraining_is_no_ma2mi(changed, filled):
    table = fill.fill(BOOKS["ma2mi"], "ma2mi-4", [made(full_method("ma2mi") | changed, METRICS)])
    assert bool(table.filled) == filled
    assert any("pretrained on dfew" in note for note in table.notes) == filled
    bare = full_method("ma2mi") | changed | {"ma2mi.pretraining": "none"}
    baseline = fill.fill(BOOKS["ma2mi"], "ma2mi-1", [made(bare, METRICS)])
    assert [row.cells[0] for row in baseline.rows if any(row.cells[7:])] == ["w/o (baseline)"]
    assert any("not pretrained" in note for note in baseline.notes)


def test_the_weight_of_a_loss_that_is_left_out_is_of_no_account():
    flat = full_method("fdp") | {"datasets": ("samm",), "fdp.tasks": ("mer", "rank")}
    for weight in (0.0, 100.0):
        table = fill.fill(BOOKS["fdp"], "fdp-9", [made(flat | {"lambda_d": weight}, METRICS)])
        assert [row.cells[0] for row in table.rows if row.cells[3]] == ["FDP w/o L_DIC"]
    off = flat | {"fdp.tasks": ("mer", "dynamic", "rank"), "lambda_d": 0.0}
    assert fill.fill(BOOKS["fdp"], "fdp-9", [made(off, METRICS)]).filled == 0


def test_order_matters_in_a_list_of_numbers_and_not_of_names():
    flat = full_method("fdp") | {"datasets": ("samm",)}
    mixed = flat | {"fdp.tasks": ("rank", "mer", "dynamic")}
    assert fill.fill(BOOKS["fdp"], "fdp-9", [made(mixed, METRICS)]).filled == 2
    book = {**BOOKS["fdp"], "defaults": BOOKS["fdp"]["defaults"] | {"fdp.n_local": [3, 4, 10, 3]}}
    for depths, filled in (((3, 4, 10, 3), 2), ((3, 3, 4, 10), 0)):
        run = made(flat | {"fdp.n_local": depths}, METRICS)
        assert fill.fill(book, "fdp-9", [run]).filled == filled


def test_records_hold_what_the_cells_say_and_where_it_is_from():
    one = run(label="a1b2c3d mol-8-full-casme2")
    rows = fill.records(BOOKS["mol"], "mol-8", [one])
    table = fill.fill(BOOKS["mol"], "mol-8", [one])
    printed = [cell for row in table.rows for cell in row.cells[1:]]
    assert len(rows) == sum(bool(cell) for cell in printed) - 2  # ours stand beside the published
    (accuracy,) = [row for row in rows if row["ours"] and row["metric"] == "accuracy"]
    assert accuracy == {
        "table": "mol-8", "group": "", "row": "MOL", "column": "Acc", "metric": "accuracy", "published": 79.23,
        "ours": "80.000000", "low": "70.000000", "high": "90.000000", "n_clips": "144", "n_subjects": "12",
        "datasets": "casme2", "classes": "5", "list": "0a1b2c3d4e5f", "selection": "last", "seeds": "0",
        "profile": "demo", "variant": "", "budget": "", "synthetic": "False", "run": "a1b2c3d mol-8-full-casme2"}
    flat = full_method("fdp") | {"protocol": "cross_dataset", "classes": "3-shared"}
    pair = [made(flat | {"datasets": order}, METRICS | {"war": war, "war_low": 0.1, "war_high": 0.9}, commit)
            for order, war, commit in ((("casme2", "samm"), 0.5, "x"), (("samm", "casme2"), 0.7, "y"))]
    (mean,) = [row for row in fill.records(BOOKS["fdp"], "fdp-8", pair)
               if row["column"] == "mean WAR" and row["ours"]]
    assert (mean["ours"], mean["low"], mean["run"]) == ("60.00000", "", "x | y")
    synthetic = fill.records(BOOKS["mol"], "mol-4", [run(datasets=("synthetic",), classes="3")])
    assert [row["published"] for row in synthetic if row["synthetic"] == "True"] == ["", ""]


def test_unknown_paper():
    with pytest.raises(MerError, match="'mols'"):
        demands.paper("mols")
