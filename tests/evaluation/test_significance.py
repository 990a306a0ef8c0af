"""Intervals and tests: known answers, calibration under chance, subjects as the unit, paired tests."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mer.base.errors import MerError
from mer.evaluation import metrics, predictions, significance


def table(right, subjects, labels=None, seed=0, classes=2):
    """A table whose clips are right or not, as told."""
    n = len(right)
    labels = np.zeros(n, int) if labels is None else np.asarray(labels)
    guess = np.where(right, labels, (labels + 1) % classes)
    return predictions.table([f"c{i}" for i in range(n)], [f"a/{s}" for s in subjects], "f", seed, "last", labels,
                             np.eye(classes)[guess])


def guesses(rng, subjects=12, clips=12, classes=3):
    labels = np.tile(np.arange(classes), subjects * clips // classes)
    names = np.repeat([f"a/s{i}" for i in range(subjects)], clips)
    return predictions.table([f"c{i}" for i in range(len(labels))], names, "f", 0, "last", labels,
                             rng.dirichlet([1] * classes, len(labels)))


def test_bootstrap_of_equal_subjects_is_a_point():
    counts = np.repeat(np.array([[[3, 1], [1, 3]]]), 8, axis=0)
    assert significance.bootstrap(counts, metrics.accuracy, 500, 0) == (0.75, 0.75)


def test_bootstrap_resamples_subjects_not_clips():
    """Ten subjects all right, ten all wrong, 50 clips each: sd of the mean is that of 20 coins, not of 1000."""
    counts = np.zeros((20, 2, 2), int)
    counts[:10, 0, 0] = counts[10:, 0, 1] = 50
    low, high = significance.bootstrap(counts, metrics.accuracy, 4000, 0)
    assert low == pytest.approx(stats.binom.ppf(0.025, 20, 0.5) / 20, abs=0.051)
    assert high == pytest.approx(stats.binom.ppf(0.975, 20, 0.5) / 20, abs=0.051)


def test_bootstrap_is_seeded_and_undefined_for_one_subject():
    counts = np.random.default_rng(0).integers(0, 9, (6, 3, 3))
    assert significance.bootstrap(counts, metrics.uf1, 300, 1) == significance.bootstrap(counts, metrics.uf1, 300, 1)
    assert significance.bootstrap(counts, metrics.uf1, 300, 1) != significance.bootstrap(counts, metrics.uf1, 300, 2)
    assert significance.bootstrap(counts[:1], metrics.uf1, 300, 1) is None


def test_permutation_floor_and_ceiling():
    labels = [0, 1, 0, 1, 0, 1, 0, 1] * 4
    people = [f"s{i // 8}" for i in range(32)]
    assert significance.permutation(table([True] * 32, people, labels), 999, 0) == 1 / 1000
    assert significance.permutation(table([False] * 32, people, labels), 999, 0) == 1


def test_permutation_matches_enumeration():
    rng = np.random.default_rng(3)
    labels = np.array([0, 0, 1, 1, 0, 1])
    people = ["a", "a", "a", "b", "b", "b"]
    t = table(rng.random(6) < 0.6, people, labels)
    exact = []
    for first in itertools.permutations(labels[:3]):
        exact += [np.sum(t.predicted == np.array(first + second)) >= np.sum(t.predicted == labels)
                  for second in itertools.permutations(labels[3:])]
    assert significance.permutation(t, 20000, 0) == pytest.approx(np.mean(exact), abs=0.015)


def test_knowing_only_the_person_is_not_skill():
    """Each subject shows one class and the network names it from the face: accuracy 1, and p = 1."""
    labels = np.repeat([0, 1, 0, 1], 10)
    t = table([True] * 40, np.repeat(["a", "b", "c", "d"], 10), labels)
    assert significance.permutation(t, 200, 0) == 1


def test_permutation_is_calibrated_under_chance():
    rng = np.random.default_rng(7)
    p = np.array([significance.permutation(guesses(rng), 199, k) for k in range(200)])
    assert 0.01 <= np.mean(p <= 0.05) <= 0.09  # 200 draws of a binomial(0.05): sd 0.015
    assert 0.4 < p.mean() < 0.6


def test_permutation_of_several_seeds_counts_clips_once():
    """Two seeds with the same predictions are no more evidence than one."""
    rng = np.random.default_rng(0)
    one = guesses(rng)
    twice = predictions.concat([one, predictions.table(one.clip_id, one.subject, "f", 1, "last", one.label, one.p)])
    assert significance.permutation(twice, 999, 0) == significance.permutation(one, 999, 0)


def test_order_of_rows_changes_nothing():
    rng = np.random.default_rng(1)
    t = guesses(rng)
    shuffled = t.rows(rng.permutation(len(t)))
    assert significance.permutation(t, 500, 0) == significance.permutation(shuffled, 500, 0)
    assert np.array_equal(significance.subject_confusions(t), significance.subject_confusions(shuffled))


def test_mcnemar_is_the_binomial_of_discordant_clips():
    people = [f"s{i}" for i in range(20)]
    a, b = table([True] * 15 + [False] * 5, people), table([True] * 6 + [False] * 9 + [True] + [False] * 4, people)
    found = significance.paired(a, b)[0]
    assert found.p == pytest.approx(stats.binomtest(9, 10, 0.5).pvalue)
    assert found.effect == pytest.approx(9.5 / 1.5) and "9" in found.note


def test_equal_experiments_differ_in_nothing():
    t = guesses(np.random.default_rng(0))
    assert all(found.p == 1 and found.effect in (0, 1) for found in significance.paired(t, t, n=200))


def test_subject_permutation_is_exact_for_few_subjects():
    """Five subjects, A better in each by one clip of two: only all + and all - reach it, p = 2/32."""
    people = np.repeat([f"s{i}" for i in range(5)], 2)
    a, b = table([True, True] * 5, people), table([True, False] * 5, people)
    found = significance.paired(a, b)[1]
    assert found.p == 2 / 32 and found.effect == 0.5 and found.n == 5


def test_subject_permutation_sampled_agrees_with_a_sign_test_by_hand():
    people = np.repeat([f"s{i:02d}" for i in range(14)], 2)
    a, b = table([True, True] * 14, people), table([True, False] * 14, people)
    found = significance.paired(a, b, n=999)[1]
    assert found.p == 1 / 1000  # 2 of 16384 patterns reach it; the floor of 999 draws


def test_wilcoxon_over_subjects_equals_scipy():
    rng = np.random.default_rng(2)
    people = np.repeat([f"s{i:02d}" for i in range(10)], 30)
    a, b = table(rng.random(300) < 0.7, people), table(rng.random(300) < 0.55, people)
    found = significance.paired(a, b)[2]
    by_subject = [np.mean((a.predicted == a.label)[people == s]) - np.mean((b.predicted == b.label)[people == s])
                  for s in sorted(set(people))]
    assert found.p == pytest.approx(stats.wilcoxon([d for d in by_subject if d]).pvalue)
    assert -1 <= found.effect <= 1 and np.sign(found.effect) == np.sign(np.mean(by_subject))


def test_paired_tests_over_seeds():
    people = np.repeat([f"s{i}" for i in range(4)], 5)
    rng = np.random.default_rng(0)
    a, b = (predictions.concat([table(rng.random(20) < skill, people, seed=k) for k in range(6)])
            for skill in (0.9, 0.4))
    found = significance.paired(a, b)[-1]
    assert found.name.endswith("over seeds") and found.n == 6 and found.p == pytest.approx(2 / 64) and found.effect == 1


def test_order_of_rows_changes_no_paired_test():
    people = np.repeat([f"s{i:02d}" for i in range(15)], 4)
    rng = np.random.default_rng(5)
    a, b = (predictions.concat([table(rng.random(60) < skill, people, seed=k) for k in range(3)])
            for skill in (0.8, 0.5))
    mixed = [t.rows(rng.permutation(len(t))) for t in (a, b)]
    assert significance.paired(*mixed, n=500) == significance.paired(a, b, n=500)


def test_one_subject_proves_nothing():
    """With one subject both signs are equally extreme: p = 1 over subjects, however large the difference."""
    mcnemar, permutation, wilcoxon = significance.paired(table([True] * 9, ["s1"] * 9), table([False] * 9, ["s1"] * 9))
    assert permutation.p == wilcoxon.p == 1 and permutation.effect == 1 and permutation.n == wilcoxon.n == 1
    assert mcnemar.p == 2 / 2**9, "which takes the nine clips for nine people"


def test_paired_tests_need_the_same_clips():
    a = table([True] * 4, ["s1", "s1", "s2", "s2"])
    with pytest.raises(MerError, match="clip c3 of a/s2 with label 0 is in one only"):
        significance.paired(a, a.rows(np.arange(3)))


@pytest.mark.parametrize(("copies", "others", "z", "p"), [
    (17, 17, 4.9771, 3.227e-7), (12, 13, 4.2426, 1.105e-5), (4, 4, 2.3094, 1.046e-2), (3, 3, 1.9640, 2.477e-2),
    (5, 5, 2.6112, 4.512e-3)])
def test_rank_sum_reproduces_fdp_tables_12_and_13(copies, others, z, p):
    """The statistic depends on the counts alone; with the one number nothing is left."""
    found = significance.rank_sum(100, list(range(others)), copies)
    assert found[0] == pytest.approx(z, abs=5e-5) and found[1] == pytest.approx(p, rel=1e-3)
    assert 0.05 < significance.rank_sum(100, list(range(others)))[1] < 0.1
