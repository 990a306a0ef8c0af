"""Splitters: nobody is trained and tested in one fold, no fold is empty, the same folds in any order."""

import numpy as np
import pytest

from mer.base.errors import MerError
from mer.evaluation import protocols


def clips(people: dict[str, list]) -> tuple[list, list, list]:
    """{'a/s1': [label, ...]} -> clip ids, labels, subjects."""
    rows = [(f"{name.replace('/', '_')}_{i}", label, name) for name, labels in people.items()
            for i, label in enumerate(labels)]
    return tuple(map(list, zip(*rows, strict=True)))


PEOPLE = {"casme2/sub01": [0, 1, None], "casme2/sub18": [None, None], "casme2/sub02": [2], "samm/006": [1, 1],
          "samm/007": [0]}


def check(folds, labels, subjects):
    used = {i for i, label in enumerate(labels) if label is not None}
    tested = np.concatenate([fold.test for fold in folds])
    assert len(tested) == len(set(tested.tolist())), "a clip is tested twice"
    for fold in folds:
        assert len(fold.train) and len(fold.test)
        assert set(fold.train.tolist()) | set(fold.test.tolist()) <= used
        assert not {subjects[i] for i in fold.train} & {subjects[i] for i in fold.test}, "a subject crosses the fold"


def test_loso_has_one_fold_for_each_subject_with_a_class():
    ids, labels, subjects = clips(PEOPLE)
    folds = protocols.loso(ids, labels, subjects)
    check(folds, labels, subjects)
    assert [fold.name for fold in folds] == ["casme2/sub01", "casme2/sub02", "samm/006", "samm/007"]
    assert sum(len(fold.test) for fold in folds) == 6
    for fold in folds:
        assert {subjects[i] for i in fold.test} == {fold.name}
        assert len(fold.train) + len(fold.test) == 6


def test_loso_does_not_depend_on_the_order_of_clips():
    ids, labels, subjects = clips(PEOPLE)
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = [[column[i] for i in order] for column in (ids, labels, subjects)]
    for a, b in zip(protocols.loso(ids, labels, subjects), protocols.loso(*shuffled), strict=True):
        assert a.name == b.name
        assert {ids[i] for i in a.test} == {shuffled[0][i] for i in b.test}
        assert {ids[i] for i in a.train} == {shuffled[0][i] for i in b.train}


def test_same_number_in_two_datasets_is_two_subjects():
    ids, labels, subjects = clips({"casme2/01": [0, 1], "smic/01": [1, 0]})
    assert len(protocols.loso(ids, labels, subjects)) == 2


def test_one_subject_cannot_be_tested():
    with pytest.raises(MerError, match="1 subject"):
        protocols.loso(*clips({"a/1": [0, 1], "a/2": [None]}))


def test_a_clip_twice_is_refused_but_not_across_datasets():
    with pytest.raises(MerError, match="x stands twice in dataset a"):
        protocols.loso(["x", "x"], [0, 1], ["a/1", "a/2"])
    assert len(protocols.loso(["x", "x"], [0, 1], ["a/1", "b/1"])) == 2


def test_a_subject_without_dataset_is_refused():
    with pytest.raises(MerError, match="'sub01'"):
        protocols.loso(["x", "y"], [0, 1], ["sub01", "a/2"])


def test_composite_is_loso_over_all_and_needs_two_datasets():
    ids, labels, subjects = clips(PEOPLE)
    folds = protocols.split("composite", ids, labels, subjects, ["casme2", "samm"])
    check(folds, labels, subjects)
    first = folds[0]
    assert {subjects[i].split("/")[0] for i in first.train} == {"casme2", "samm"}
    with pytest.raises(MerError, match="casme2 only"):
        protocols.composite(*clips({"casme2/1": [0], "casme2/2": [1]}))


def test_cross_dataset_trains_on_all_but_the_last():
    ids, labels, subjects = clips(PEOPLE)
    (fold,) = protocols.split("cross_dataset", ids, labels, subjects, ["casme2", "samm"])
    check([fold], labels, subjects)
    assert fold.name == "samm"
    assert {subjects[i].split("/")[0] for i in fold.train} == {"casme2"}
    assert {subjects[i].split("/")[0] for i in fold.test} == {"samm"}
    for datasets in (["samm"], ["casme2", "smic"], ["samm", "samm"]):
        with pytest.raises(MerError):
            protocols.split("cross_dataset", ids, labels, subjects, datasets)


def test_kfold_keeps_subjects_together_and_balances_clips():
    rng = np.random.default_rng(0)
    people = {f"mmew/S{i:02d}": [0] * int(rng.integers(1, 20)) for i in range(30)}
    ids, labels, subjects = clips(people)
    folds = protocols.kfold(ids, labels, subjects, k=5, seed=0)
    check(folds, labels, subjects)
    sizes = [len(fold.test) for fold in folds]
    assert sum(sizes) == len(ids) and max(sizes) - min(sizes) <= 20
    same = protocols.kfold(ids, labels, subjects, k=5, seed=0)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(folds, same, strict=True))
    with pytest.raises(MerError, match="k = 31"):
        protocols.kfold(ids, labels, subjects, k=31, seed=0)


def test_kfold_seeds_give_other_parts():
    ids, labels, subjects = clips({f"mmew/S{i:02d}": [0, 1] for i in range(30)})
    a, b = (protocols.kfold(ids, labels, subjects, k=5, seed=seed) for seed in (0, 1))
    assert any(not np.array_equal(x.test, y.test) for x, y in zip(a, b, strict=True))


def test_kfold_lets_any_two_subjects_meet():
    """Sorted by their clips, 167 of 435 pairs never stood in one part, whatever the seed."""
    people = {f"mmew/S{i:02d}": [0] * (1 + i * i // 30) for i in range(30)}
    ids, labels, subjects = clips(people)
    met = set()
    for seed in range(200):
        for fold in protocols.kfold(ids, labels, subjects, k=5, seed=seed):
            part = sorted({subjects[i] for i in fold.test})
            met |= {(a, b) for a in part for b in part if a < b}
    assert len(met) == 435


def test_predefined_folds_test_every_clip_once():
    ids, labels, _ = clips({"dfew/x": [0, 1, None, 1, 0, 1]})
    folds = protocols.predefined(ids, labels, ["1", "2", "2", "1", "3", "3"])
    assert [fold.name for fold in folds] == ["1", "2", "3"]
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == [0, 1, 3, 4, 5]
    assert all(not set(fold.train) & set(fold.test) for fold in folds)


def test_official_folds_are_those_of_the_flags():
    ids, labels, subjects = clips({"dfew/x": [0, 1, 1, 0]})
    flags = ["subject_unknown;test1", "subject_unknown;test2", "test1", "test3;fps_nominal"]
    folds = protocols.split("official", ids, labels, subjects, ["dfew"], flags=flags)
    assert [(fold.name, fold.test.tolist()) for fold in folds] == [("test1", [0, 2]), ("test2", [1]), ("test3", [3])]
    assert protocols.parts(folds) == ()  # they take turns: pooled
    for lost in ("subject_unknown", "test", "test1;test2"):
        with pytest.raises(MerError, match=rf"clip {ids[3]} of dfew is in \d test parts.*use loso or kfold"):
            protocols.split("official", ids, labels, subjects, ["dfew"], flags=[*flags[:3], lost])


def test_a_release_with_a_training_part_is_trained_on_it_alone():
    ids, labels, subjects = clips({"dfme/x": [0, 1, None, 1, 0]})
    flags = ["train", "no_apex;train", "train", "test1", "test2;clamped"]
    folds = protocols.split("official", ids, labels, subjects, ["dfme"], flags=flags)
    assert [(fold.name, fold.train.tolist(), fold.test.tolist()) for fold in folds] == [
        ("test1", [0, 1], [3]), ("test2", [0, 1], [4])]
    assert protocols.parts(folds) == ("test1", "test2") and protocols.parts(folds[:1]) == ()
    assert len(protocols.split("official", ids, labels, subjects, ["dfme"], flags=[*flags[:4], "train"])) == 1
    with pytest.raises(MerError, match="1 folds"):
        protocols.split("official", ids, labels, subjects, ["dfme"], flags=["train"] * 5)
    with pytest.raises(MerError, match="in 2 test parts"):
        protocols.split("official", ids, labels, subjects, ["dfme"], flags=[*flags[:4], "train;test2"])


def test_unknown_protocol_is_named():
    with pytest.raises(MerError, match="'lopo'"):
        protocols.split("lopo", *clips(PEOPLE), ["casme2"])


def test_inner_subjects_are_the_same_in_any_order_and_depend_on_the_fold():
    people = [f"a/s{i}" for i in range(12)]
    chosen = protocols.inner_subjects(people, 3, (0, "a/s99"))
    assert chosen == protocols.inner_subjects(people[::-1] * 2, 3, (0, "a/s99"))
    assert len(chosen) == 3 and set(chosen) <= set(people)
    others = [protocols.inner_subjects(people, 3, (seed, "a/s99")) for seed in range(1, 6)]
    assert any(other != chosen for other in others)


def test_inner_subjects_change_little_when_a_subject_joins():
    people = [f"a/s{i}" for i in range(12)]
    for seed in range(20):
        before = set(protocols.inner_subjects(people, 3, (seed,)))
        assert len(before & set(protocols.inner_subjects([*people, "a/new"], 3, (seed,)))) >= 2


@pytest.mark.parametrize("n", [0, 4, 5])
def test_inner_subjects_leave_somebody_to_train_on(n):
    with pytest.raises(MerError, match="inner_subjects"):
        protocols.inner_subjects(["a/1", "a/2", "a/3", "a/4"], n, (0,))
