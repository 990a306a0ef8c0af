"""How sure a number is: bootstrap over subjects, permutation against chance, paired tests between two experiments.

Clips of one person resemble each other, so the unit that is resampled or exchanged is the subject, not the clip. All
tests read prediction tables only, are seeded, and are vectorised over replicates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mer.base.errors import MerError
from mer.evaluation.metrics import confusion_by
from mer.evaluation.predictions import Predictions

CHUNK = 2_000_000  # permuted labels held at once: 16 MB


def bootstrap(by_subject: np.ndarray, score: Callable[[np.ndarray], np.ndarray], n: int, seed: int,
              level: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of a pooled metric over subjects drawn with replacement, all clips of a drawn subject kept.

    Args:
        by_subject: (S, m, m) confusion counts of each subject, summed over seeds.
        score: function of (..., m, m) counts, from mer.evaluation.metrics.
        n: replicates.

    Returns:
        (low, high), or None with a single subject, from whom nothing can be said about others. A class that a
        replicate happens not to hold counts 0 in its macro means: with rare classes the interval reaches low.
    """
    people = len(by_subject)
    if people < 2:
        return None
    weights = np.random.default_rng([seed, 1]).multinomial(people, np.full(people, 1 / people), size=n)
    replicates = score(np.tensordot(weights, by_subject, axes=1))
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def permutation(t: Predictions, n: int, seed: int) -> float:
    """p-value of the accuracy under the hypothesis that predictions know nothing of a subject's labels.

    The true labels are exchanged between the clips of each subject (so a network that only recognises the person, or
    how often a person shows a class, gains nothing), the same way for all seeds of a table.
    p = (1 + replicates at least as accurate) / (1 + n), hence never below 1 / (n + 1).
    """
    clips, first, index = np.unique([f"{s}\0{c}" for s, c in zip(t.subject, t.clip_id, strict=True)],
                                    return_index=True, return_inverse=True)
    hits = np.zeros((len(clips), t.classes))  # how often each clip was given each class, over seeds
    np.add.at(hits, (index, t.predicted), 1)
    labels = t.label[first]
    _, person = np.unique(t.subject[first], return_inverse=True)
    order = np.argsort(person, kind="stable")
    hits, labels, person = hits[order], labels[order], person[order]
    positions = np.arange(len(labels))
    observed = hits[positions, labels].sum()
    rng, reached = np.random.default_rng([seed, 2]), 0
    for size in _chunks(n, len(labels)):
        # sorting person + uniform noise shuffles inside each person and leaves persons in place
        shuffled = labels[np.argsort(person + rng.random((size, len(labels))), axis=1)]
        reached += int((hits[positions, shuffled].sum(axis=1) >= observed).sum())
    return (1 + reached) / (1 + n)


@dataclass(frozen=True)
class Paired:
    """A test between experiments A and B on the same clips: p (two-sided), the effect (A - B), what it is, and N."""

    name: str
    p: float
    effect: float
    effect_name: str
    n: int
    note: str = ""


def paired(a: Predictions, b: Predictions, n: int = 5000, seed: int = 0) -> list[Paired]:
    """Every paired test between two experiments: McNemar, subject-level permutation, Wilcoxon over subjects and seeds.

    Raises:
        MerError: the tables do not hold the same clips with the same labels.
    """
    pairs = _align(a, b)
    tests = [mcnemar(pairs), subject_permutation(pairs, n, seed), wilcoxon_subjects(pairs)]
    seeds = sorted(set(a.seed) & set(b.seed))
    if len(seeds) > 1:
        tests.append(_wilcoxon("Wilcoxon signed-rank over seeds", np.array(
            [np.mean(a.where(seed=s).predicted == a.where(seed=s).label)
             - np.mean(b.where(seed=s).predicted == b.where(seed=s).label) for s in seeds])))
    return tests


@dataclass(frozen=True)
class Pairs:
    """Clips of two experiments: subject (N,), and the fraction of each one's seeds that was right, a and b, (N,)."""

    subject: np.ndarray
    a: np.ndarray
    b: np.ndarray


def mcnemar(pairs: Pairs) -> Paired:
    """Exact McNemar test: of the clips that one experiment gets right and the other wrong, is either side favoured?

    With several seeds a clip counts as right when most of its seeds are. It takes clips as independent, which clips of
    one subject are not: read it beside the subject-level test.
    """
    from scipy import stats  # here, as below: its import takes half a second, and a run's page needs none of it

    right_a, right_b = pairs.a > 0.5, pairs.b > 0.5
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    p = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    odds = (only_a + 0.5) / (only_b + 0.5)
    return Paired("McNemar, exact", float(p), odds, "odds ratio of discordant clips (0.5 added)", len(pairs.a),
                  f"only A right: {only_a}, only B right: {only_b}")


def subject_permutation(pairs: Pairs, n: int, seed: int) -> Paired:
    """Paired permutation over subjects: A and B change roles for all clips of a subject at once.

    With at most 12 subjects all 2^S sign patterns are enumerated and p is exact; otherwise n random ones, p floor
    1 / (n + 1).
    """
    people, index = np.unique(pairs.subject, return_inverse=True)
    total = np.bincount(index, weights=pairs.a - pairs.b)
    observed = abs(total.sum()) - 1e-9
    if len(people) <= 12:
        signs = 1 - 2 * ((np.arange(2 ** len(people))[:, None] >> np.arange(len(people))) & 1)
        p = float(np.mean(abs(signs @ total) >= observed))
    else:
        rng, reached = np.random.default_rng([seed, 3]), 0
        for size in _chunks(n, len(people)):
            signs = 1 - 2 * rng.integers(0, 2, (size, len(people)))
            reached += int((abs(signs @ total) >= observed).sum())
        p = (1 + reached) / (1 + n)
    return Paired("permutation over subjects", p, float(np.mean(pairs.a - pairs.b)), "difference of pooled accuracy",
                  len(people))


def wilcoxon_subjects(pairs: Pairs) -> Paired:
    """Wilcoxon signed-rank test on the differences of the subjects' accuracies."""
    _, index = np.unique(pairs.subject, return_inverse=True)
    return _wilcoxon("Wilcoxon signed-rank over subjects",
                     np.bincount(index, weights=pairs.a - pairs.b) / np.bincount(index))


def rank_sum(x: float, others: list[float], copies: int = 1) -> tuple[float, float]:
    """(z, p) of the one-sided Wilcoxon rank-sum test that FDP's Tables 12 and 13 print, normal approximation.

    x is one number, tested against the published numbers of other methods. FDP repeats x as often as there are others
    (`copies`), and that is what is wrong with it: copies of one number are no further evidence, yet with complete
    separation z = sqrt(3 c n / (c + n + 1)) grows with them alone. copies=1 gives the test that the data support,
    whose p is never below 0.05 in those tables.
    """
    from scipy import stats

    z, p = stats.ranksums([x] * copies, others, alternative="greater")
    return float(z), float(p)


def _align(a: Predictions, b: Predictions) -> Pairs:
    sides = []
    for t in (a, b):
        side: dict[tuple[str, str, int], list] = {}
        for i, (subject, clip) in enumerate(zip(t.subject, t.clip_id, strict=True)):
            key = str(subject), str(clip), int(t.label[i])
            side.setdefault(key, []).append(bool(t.predicted[i] == t.label[i]))
        sides.append(side)
    only = sorted(sides[0].keys() ^ sides[1].keys())
    if only or not sides[0]:
        which = f"clip {only[0][1]} of {only[0][0]} with label {only[0][2]} is in one only" if only else "no clip"
        raise MerError(f"paired tests need the same clips and labels in both experiments: {which} "
                       f"({len(sides[0])} and {len(sides[1])} clips)")
    keys = sorted(sides[0])
    return Pairs(np.array([subject for subject, _, _ in keys]), *(np.array([np.mean(side[key]) for key in keys])
                                                                  for side in sides))


def _wilcoxon(name: str, differences: np.ndarray) -> Paired:
    """p exact for at most 50 differences without ties or zeros (scipy's rule); effect: rank-biserial correlation."""
    from scipy import stats

    moved = differences[abs(differences) > 1e-12]
    if not len(moved):
        return Paired(name, 1.0, 0.0, "rank-biserial correlation", len(differences), "no difference anywhere")
    ranks = stats.rankdata(abs(moved))
    up, down = ranks[moved > 0].sum(), ranks[moved < 0].sum()
    return Paired(name, float(stats.wilcoxon(moved).pvalue), float((up - down) / (up + down)),
                  "rank-biserial correlation", len(differences))


def _chunks(n: int, width: int) -> list[int]:
    size = max(1, CHUNK // max(width, 1))
    return [size] * (n // size) + ([n % size] if n % size else [])


def subject_confusions(t: Predictions) -> np.ndarray:
    """(S, m, m) counts of each subject, over all rows of the table (pooled over seeds if it holds several)."""
    return confusion_by(t.subject, t.label, t.predicted, t.classes)[1]
