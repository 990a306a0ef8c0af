"""Pooled metrics: golden numbers, agreement with scikit-learn, what pooling is for, absent classes."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

from mer.evaluation import measures, metrics

GOLDEN = np.array([[3, 1, 0], [1, 4, 1], [0, 0, 2]])


def test_golden_numbers_worked_by_hand():
    """MOL Eq. (10) on these counts."""
    assert metrics.accuracy(GOLDEN) == 0.75
    assert metrics.wf1(GOLDEN) == pytest.approx(0.746970, abs=5e-7)
    assert metrics.uf1(GOLDEN) == pytest.approx(0.759091, abs=5e-7)
    assert metrics.uar(GOLDEN) == pytest.approx(0.805556, abs=5e-7)


def test_rows_of_the_confusion_are_true_classes():
    """A published confusion matrix had its axes swapped."""
    cm = metrics.confusion(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 1]), 2)
    assert cm.tolist() == [[1, 2], [0, 1]]
    assert metrics.recall(cm).tolist() == [1 / 3, 1]
    assert metrics.precision(cm).tolist() == [1, 1 / 3]


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n = 5
    labels, predicted = rng.integers(0, n, 200), rng.integers(0, n, 200)
    cm = metrics.confusion(labels, predicted, n)
    scores = measures.scores(cm)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert scores["war"] == pytest.approx(accuracy_score(labels, predicted))
    assert scores["uar"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert scores["uf1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert scores["wf1"] == pytest.approx(f1_score(labels, predicted, average="weighted"))


def test_a_class_that_is_never_seen_nor_predicted_counts_zero():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    cm = metrics.confusion(labels, predicted, 3)
    expected = f1_score(labels, predicted, labels=[0, 1, 2], average="macro", zero_division=0)
    assert metrics.uf1(cm) == pytest.approx(expected)
    assert metrics.f1(cm)[2] == 0 and metrics.recall(cm)[2] == 0 and metrics.precision(cm)[2] == 0
    assert metrics.uar(cm) == pytest.approx((1 + 0.5 + 0) / 3)


def test_no_clip_at_all_gives_zeros_and_no_warning():
    scores = measures.scores(np.zeros((3, 3), int))
    assert all(value == 0 for value in scores.values())


def test_pooled_uf1_is_not_the_mean_over_folds():
    """By hand: fold 1 holds classes 0, 0, 1 -> predicted 0, 0, 0; fold 2 holds 1 -> predicted 1.

    Pooled: F1_0 = 4/5, F1_1 = 2/3, UF1 = 11/15. Fold by fold: (4/5 + 0)/2 = 0.4 and (0 + 1)/2 = 0.5, mean 0.45.
    """
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    _, folds = metrics.confusion_by(np.array(["a", "a", "a", "b"]), labels, predicted, 2)
    assert metrics.uf1(folds.sum(axis=0)) == pytest.approx(11 / 15)
    assert metrics.uf1(folds).mean() == pytest.approx(0.45)


def test_pooled_uar_is_not_the_mean_over_folds_and_an_empty_fold_adds_nothing():
    """By hand: fold 1 holds 0, 0, 1 -> 0, 0, 0; fold 2 holds 1, 1 -> 1, 0; fold 3 holds nothing.

    Pooled: recalls 2/2 and 1/3, UAR 2/3; F1_0 = 4/6, F1_1 = 2/4, UF1 = 7/12. Fold by fold: UAR (1 + 0)/2 and
    (0 + 1/2)/2, mean 3/8; UF1 (4/5 + 0)/2 and (0 + 2/3)/2, mean 11/30; with the empty fold's zeros 1/4 and 11/45.
    """
    folds = np.array([[[2, 0], [1, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 0]]])
    for n in (2, 3):
        assert metrics.uar(folds[:n].sum(axis=0)) == pytest.approx(2 / 3)
        assert metrics.uf1(folds[:n].sum(axis=0)) == pytest.approx(7 / 12)
    assert metrics.uar(folds[:2]).mean() == pytest.approx(3 / 8) and metrics.uar(folds).mean() == pytest.approx(1 / 4)
    assert metrics.uf1(folds[:2]).mean() == pytest.approx(11 / 30)
    assert metrics.uf1(folds).mean() == pytest.approx(11 / 45)


def test_absent_classes_agree_with_scikit_learn():
    """Class 2 of five has no clip but is predicted, class 4 is never predicted, class 3 neither."""
    rng = np.random.default_rng(0)
    labels, predicted = rng.choice([0, 1, 4], 60), rng.choice([0, 1, 2], 60)
    cm, known = metrics.confusion(labels, predicted, 5), {"labels": range(5), "zero_division": 0}
    for name, score, average in (("uf1", f1_score, "macro"), ("wf1", f1_score, "weighted"),
                                 ("uar", recall_score, "macro"), ("war", recall_score, "weighted")):
        assert measures.every()[name].compute(cm) == pytest.approx(
            score(labels, predicted, average=average, **known)), name


def test_order_of_clips_changes_nothing():
    rng = np.random.default_rng(0)
    labels, predicted, people = rng.integers(0, 3, 90), rng.integers(0, 3, 90), rng.integers(0, 9, 90).astype(str)
    order = rng.permutation(90)
    names, counts = metrics.confusion_by(people, labels, predicted, 3)
    again, shuffled = metrics.confusion_by(people[order], labels[order], predicted[order], 3)
    assert names.tolist() == again.tolist() and np.array_equal(counts, shuffled)
    assert np.array_equal(counts.sum(axis=0), metrics.confusion(labels, predicted, 3))


def test_subject_mean_weighs_subjects_not_clips():
    counts = np.array([[[1, 0], [0, 0]], [[0, 3], [0, 0]]])  # one clip right; three clips wrong
    assert metrics.subject_mean(counts) == 0.5
    assert metrics.accuracy(counts.sum(axis=0)) == 0.25


def test_many_tables_at_once_equal_one_by_one():
    stack = np.random.default_rng(1).integers(0, 5, (7, 4, 3, 3))
    for score in (measure.compute for measure in measures.SCORES):
        one_by_one = [[float(score(cm)) for cm in row] for row in stack]
        np.testing.assert_allclose(score(stack), one_by_one)
