"""The flat numbers of metrics.json: finite, order-independent, recomputable, honest about what is missing."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from reporting import fabricate

from mer.base.errors import MerError
from mer.evaluation import measures, metrics, predictions, results

NAMES = ("happiness", "disgust", "surprise")
SETTINGS = {"bootstrap": 300, "permutations": 200, "seed": 0}


def table(people=6, seeds=(0,), rules=("last", "oracle"), dataset="synthetic", aux=True, skill=1.5):
    rng = np.random.default_rng(0)
    parts = []
    for seed in seeds:
        for rule in rules:
            for s in range(people):
                labels = np.array([0, 0, 1, 1, 2, 2])
                p = np.exp(rng.normal(size=(6, 3)) + skill * np.eye(3)[labels])
                name = f"{dataset}/s{s}"
                parts.append(predictions.table([f"{s}_{i}" for i in range(6)], [name] * 6, name, seed, rule, labels,
                                               p / p.sum(axis=1, keepdims=True),
                                               {"epe": rng.random(6), "epe_zero": rng.random(6)}
                                               if aux and rule == "last" else None))
    return predictions.concat(parts)


def test_numbers_are_flat_finite_and_pooled():
    t = table()
    found = results.summarise(t, NAMES, ("last", "oracle"), **SETTINGS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in found.values())
    head = t.where("last")
    assert found["accuracy"] == np.mean(head.predicted == head.label)
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
    assert found["uf1"] == metrics.uf1(metrics.confusion(head.label, head.predicted, 3))
    assert (found["n_clips"], found["n_subjects"], found["n_seeds"]) == (36, 6, 1)
    assert found["chance"] == found["majority"] == pytest.approx(1 / 3)
    assert found["oracle_excess"] == found["oracle_accuracy"] - found["last_accuracy"]
    assert found["epe"] == pytest.approx(head.aux["epe"].mean())
    assert "nme" not in found and found["clips_disgust"] == 12


def test_shuffling_rows_changes_nothing():
    t = table(seeds=(0, 1))
    order = np.random.default_rng(9).permutation(len(t))
    assert results.summarise(t, NAMES, ("last", "oracle"), **SETTINGS) == pytest.approx(
        results.summarise(t.rows(order), NAMES, ("last", "oracle"), **SETTINGS), abs=1e-12)


def test_seeds_have_their_own_numbers_and_a_spread():
    t = table(seeds=(0, 3))
    found = results.summarise(t, NAMES, ("last",), **SETTINGS)
    both = [found["seed0_accuracy"], found["seed3_accuracy"]]
    assert found["accuracy"] == pytest.approx(np.mean(both))
    assert found["accuracy_sd"] == pytest.approx(np.std(both, ddof=1))
    assert found["n_clips"] == 36 and found["n_seeds"] == 2
    alone = results.summarise(t.where(seed=3), NAMES, ("last",), **SETTINGS)
    assert found["seed3_p_value"] == alone["p_value"]


def test_parts_of_a_composite_are_slices_of_its_predictions():
    t = predictions.concat([table(dataset="casme2", rules=("last",)), table(dataset="smic", rules=("last",), skill=0)])
    found = results.summarise(t, NAMES, ("last",), **SETTINGS)
    mine = t.rows(np.char.startswith(t.subject, "smic/"))
    assert found["smic_uar"] == metrics.uar(metrics.confusion(mine.label, mine.predicted, 3))
    assert found["casme2_accuracy"] != found["smic_accuracy"]


def test_test_sets_of_one_training_set_have_their_own_numbers_beside_the_pooled_ones():
    t = table(seeds=(0, 1))
    t = replace(t, fold=np.where(np.isin(t.subject, ["synthetic/s0", "synthetic/s1"]), "test1", "test2"))
    pooled = results.summarise(t, NAMES, ("last", "oracle"), **SETTINGS)
    found = results.summarise(t, NAMES, ("last", "oracle"), **SETTINGS, parts=("test1", "test2"))
    assert pooled == {key: found[key] for key in pooled} and not any(key.startswith("test") for key in pooled)
    for name, clips in (("test1", 12), ("test2", 24)):
        mine = t.where("last").rows(t.where("last").fold == name)
        counts = metrics.confusion(mine.label, mine.predicted, 3)
        assert (found[f"{name}_clips"], found[f"{name}_accuracy"], found[f"{name}_uf1"], found[f"{name}_uar"]) == (
            clips, metrics.accuracy(counts), metrics.uf1(counts), metrics.uar(counts))
    lines = results.part_lines(found, ("test1", "test2"))
    assert [line.split(":")[1] for line in lines] == [" test1", " test2"]
    assert f"UF1 {found['test2_uf1']:.3f}" in lines[1] and lines[1].endswith("24 clips")
    assert results.part_lines(pooled, ()) == []


def test_one_subject_has_no_interval():
    found = results.summarise(table(people=1), NAMES, ("last", "oracle"), **SETTINGS)
    assert "accuracy_low" not in found and "no interval" in results.line(found)


def test_one_clip_of_one_subject_has_every_number_but_intervals():
    t = table(people=1, rules=("last",)).rows(np.array([2]))
    found = results.summarise(t, NAMES, ("last",), **SETTINGS)
    assert found["n_clips"] == found["n_subjects"] == 1 and found["p_value"] == 1
    assert found["accuracy"] in (0, 1) and not any(key.endswith(("_low", "_high")) for key in found)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_class_without_a_clip_counts_zero_and_is_shown():
    """UF1 and UAR are over the label set: a data set that lacks a class cannot reach 1."""
    t = table(skill=50)
    t = t.rows(t.label != 2)
    found = results.summarise(t, NAMES, ("last", "oracle"), **SETTINGS)
    assert found["accuracy"] == found["war"] == found["wf1"] == 1 and found["uf1"] == found["uar"] == 2 / 3
    assert found["clips_surprise"] == found["recall_surprise"] == 0 and found["majority"] == 0.5


def test_auxiliary_errors_come_from_the_last_step_also_when_inner_is_the_headline():
    t = table(rules=("last", "inner"))
    found = results.summarise(t, NAMES, ("inner",), **SETTINGS)
    assert found["epe"] == pytest.approx(np.nanmean(t.where("last").aux["epe"]))
    assert found["accuracy"] == found["inner_accuracy"]


def test_zero_shot_stands_beside():
    before = table(rules=("zero_shot",), aux=False, skill=0)
    found = results.summarise(table(), NAMES, ("last", "oracle"), before, **SETTINGS)
    assert found["zero_shot_accuracy"] == np.mean(before.predicted == before.label)
    assert f"{found['zero_shot_accuracy']:.3f}" in results.line(found)


def test_a_fold_missing_for_one_seed_is_refused():
    t = table(seeds=(0, 1))
    part = t.rows(~((t.seed == 1) & (t.subject == "synthetic/s2") & (t.selection == "oracle")))
    with pytest.raises(MerError, match="of synthetic/s2 is predicted for only one of"):
        results.summarise(part, NAMES, ("last", "oracle"), **SETTINGS)


def test_headline_without_rows_and_wrong_classes_are_refused():
    with pytest.raises(MerError, match="no row of selection inner"):
        results.summarise(table(), NAMES, ("inner",), **SETTINGS)
    with pytest.raises(MerError, match="expected 2: a, b"):
        results.summarise(table(), ("a", "b"), ("last",), **SETTINGS)


def test_predictions_from_anywhere_are_scored_like_a_run_s():
    t = table(rules=("last",))
    found = results.score(t.label, t.predicted, 3, t.subject, bootstrap=300)
    ours = results.summarise(t, NAMES, ("last",), **SETTINGS)
    assert found == {key: ours[key] for key in found} and len(found) == 3 * len(measures.SCORES)
    assert len(results.score(t.label, t.predicted, 3)) == len(measures.SCORES)


@pytest.mark.parametrize(("labels", "predicted", "words"), [
    ([0, 1], [0], "2 labels, 1 predictions"), ([], [], "at least one clip"),
    ([0, 3], [0, 1], r"labels\[1\] = 3; expected a class from 0 to 2"),
    ([0, 1], [0, -1], r"predicted\[1\] = -1")])
def test_what_cannot_be_scored_is_named(labels, predicted, words):
    with pytest.raises(MerError, match=words):
        results.score(labels, predicted, 3)


def test_a_few_numbers_are_the_headline_and_all_others_stand_in_another_file(tmp_path):
    """`dvc exp show` makes a column of each number of metrics.json, `dvc metrics diff` a row."""
    for model in ("mol", "fdp", "ma2mi"):
        numbers = results.summarise(fabricate.table(subjects=3, seeds=(0, 1), model=model), fabricate.NAMES,
                                    ("last", "oracle"), **SETTINGS)
        results.write(tmp_path, numbers)
        first, rest = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("metrics", "details"))
        assert 10 <= len(first) <= 17 and not first.keys() & rest.keys()
        assert results.read(tmp_path) == numbers and {"accuracy", "uf1", "n_clips"} <= first.keys()
    (tmp_path / "details.json").unlink()
    assert results.read(tmp_path) == first  # what an earlier version left has the one file
