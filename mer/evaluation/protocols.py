"""Who trains and who is tested: splitters over subjects, in the manner of scikit-learn, testable without training.

Every splitter takes three parallel sequences, one entry a clip: `clip_ids`, `labels` (the class index, or None when the
clip has no class in the chosen label set) and `subjects` (prefixed with their dataset: `casme2/sub01`). It returns
folds with positions into these sequences. A clip without class is in no fold; a subject without any such clip gives no
fold, so that no fold is empty (the released lists of MOL and FDP hold such subjects).
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from mer.base.errors import MerError
from mer.datasets.clips import dataset_of

TRAIN = "train"  # the flag of a clip of the release's own training part


@dataclass(frozen=True)
class Fold:
    """One training and its test: `name` (of the test subject, set or part), positions of the clips, each (N,) int."""

    name: str
    train: np.ndarray
    test: np.ndarray


def split(protocol: str, clip_ids: Sequence[str], labels: Sequence[int | None], subjects: Sequence[str],
          datasets: Sequence[str], *, k: int = 5, seed: int = 0, flags: Sequence[str] = ()) -> list[Fold]:
    """The folds of the protocol that params.yaml names: `loso`, `composite`, `cross_dataset`, `kfold` or `official`.

    Args:
        datasets: as in params.yaml; `cross_dataset` trains on all but the last and tests on the last.
        k: number of parts, `seed`: of their random assignment (`kfold` only).
        flags: of each clip, as in clips.csv (`official` only: DFEW's flags test1 to test5 are its own five folds; DFME
            has train beside its two test sets test1 and test2).

    Raises:
        MerError: no such protocol, or data that it cannot split.

    >>> from mer.evaluation import split
    >>> people = ["casme2/sub01", "casme2/sub01", "casme2/sub02", "casme2/sub03"]
    >>> for fold in split("loso", ["a", "b", "c", "d"], [0, 1, 1, None], people, ["casme2"]):
    ...     print(fold.name, "trains on", fold.train.tolist(), "and is tested on", fold.test.tolist())
    casme2/sub01 trains on [2] and is tested on [0, 1]
    casme2/sub02 trains on [0, 1] and is tested on [2]
    """
    if protocol == "loso":
        return loso(clip_ids, labels, subjects)
    if protocol == "composite":
        return composite(clip_ids, labels, subjects)
    if protocol == "cross_dataset":
        return cross_dataset(clip_ids, labels, subjects, train=datasets[:-1], test=datasets[-1])
    if protocol == "kfold":
        return kfold(clip_ids, labels, subjects, k=k, seed=seed)
    if protocol == "official":
        return predefined(clip_ids, labels, [_official(*clip) for clip in zip(subjects, clip_ids, flags, strict=True)])
    raise MerError(f"protocol = {protocol!r}; expected one of loso, composite, cross_dataset, kfold, official")


def loso(clip_ids: Sequence[str], labels: Sequence[int | None], subjects: Sequence[str]) -> list[Fold]:
    """Leave one subject out: one fold for each subject with at least one clip of the label set, sorted by subject.

    Raises:
        MerError: fewer than two such subjects, or a clip id that stands twice in its dataset.
    """
    used, names = _used(clip_ids, labels, subjects)
    return _folds([(name, names == name) for name in sorted(set(names))], used, names)


def composite(clip_ids: Sequence[str], labels: Sequence[int | None], subjects: Sequence[str]) -> list[Fold]:
    """Composite database evaluation (MEGC2019): LOSO over the subjects of several datasets trained together.

    The parts of the result (one for each dataset) are slices of these same folds' predictions.

    Raises:
        MerError: fewer than two datasets have clips of the label set.
    """
    _, names = _used(clip_ids, labels, subjects)
    parts = sorted({dataset_of(name) for name in names})
    if len(parts) < 2:
        raise MerError(f"protocol = composite with clips of {', '.join(parts) or 'no dataset'} only; "
                       "expected at least two entries in datasets")
    return loso(clip_ids, labels, subjects)


def cross_dataset(clip_ids: Sequence[str], labels: Sequence[int | None], subjects: Sequence[str], *,
                  train: Collection[str], test: str) -> list[Fold]:
    """Train on whole datasets, test on another (MOL Table VII, FDP Table 8): one fold named after the test dataset.

    Raises:
        MerError: the test dataset is among the training ones, or one of them has no clip of the label set.
    """
    used, names = _used(clip_ids, labels, subjects)
    owners = np.array([dataset_of(name) for name in names])
    if test in train or not train:
        raise MerError(f"protocol = cross_dataset, train = {', '.join(train) or 'nothing'}, test = {test}; expected at "
                       "least two entries in datasets, the last one (the test set) not among the others")
    for name in (*train, test):
        if name not in owners:
            raise MerError(f"protocol = cross_dataset: dataset {name} has no clip of the label set")
    return [_fold(test, used[np.isin(owners, list(train))], used[owners == test])]


def kfold(clip_ids: Sequence[str], labels: Sequence[int | None], subjects: Sequence[str], *, k: int,
          seed: int) -> list[Fold]:
    """Subject-independent k-fold (MMEW: 5): subjects in random order go to the part with the fewest clips so far.

    Parts differ by at most the clips of the largest subject; any two subjects may meet (largest first, they may not).

    Raises:
        MerError: k is below 2 or above the number of subjects.
    """
    used, names = _used(clip_ids, labels, subjects)
    people, counts = np.unique(names, return_counts=True)
    if not 2 <= k <= len(people):
        raise MerError(f"protocol = kfold with k = {k}; expected 2 to {len(people)}, the number of subjects")
    order = sorted(range(len(people)), key=lambda i: _ticket((seed,), people[i]))
    load, part = np.zeros(k, int), {}
    for i in order:
        part[people[i]] = smallest = int(np.argmin(load))
        load[smallest] += counts[i]
    parts = np.array([part[name] for name in names])
    return _folds([(f"part{i + 1}of{k}", parts == i) for i in range(k)], used, names)


def predefined(clip_ids: Sequence[str], labels: Sequence[int | None], fold_of: Sequence[str]) -> list[Fold]:
    """Folds that a release prescribes clip by clip: a clip is tested in the fold `fold_of` names.

    A fold is trained on all other folds (DFEW's five), or, where clips are in TRAIN, which is never tested, on these
    alone (DFME's two test sets). Nothing is promised about people: film clips name none.

    Raises:
        MerError: fewer than two folds, or no test set beside TRAIN.
    """
    used = np.array([i for i, label in enumerate(labels) if label is not None], int)
    names = np.array([fold_of[i] for i in used], dtype=str)
    if len(clip_ids) != len(labels) or len(fold_of) != len(labels) or len(set(names)) < 2:
        raise MerError(f"predefined folds: {len(clip_ids)} clips, {len(labels)} labels, {len(fold_of)} fold names, "
                       f"{len(set(names))} folds; expected equal lengths and at least two folds")
    fixed = names == TRAIN
    return [_fold(name, used[fixed if fixed.any() else names != name], used[names == name])
            for name in sorted({*names} - {TRAIN})]


def parts(folds: Sequence[Fold]) -> tuple[str, ...]:
    """The names of several test sets that one training set has: each has its own numbers (DFME's A and B).

    Empty for folds that take turns: theirs are pooled, be they subjects, parts or DFEW's five.
    """
    shared = len(folds) > 1 and all(np.array_equal(fold.train, folds[0].train) for fold in folds)
    return tuple(fold.name for fold in folds) if shared else ()


def _official(subject: str, clip_id: str, flags: str) -> str:
    found = [flag for flag in flags.split(";") if flag == TRAIN or (flag.startswith("test") and flag[4:].isdigit())]
    if len(found) != 1:
        raise MerError(f"protocol = official: clip {clip_id} of {dataset_of(subject)} is in {len(found)} test parts of "
                       "its release; expected one. DFEW and DFME bring such parts; with other releases use loso or "
                       "kfold")
    return found[0]


def inner_subjects(train_subjects: Collection[str], n: int, seed_words: Sequence[object]) -> list[str]:
    """The `n` training subjects that choose the step (`selection: inner`); sorted, the same in any order and process.

    Each subject draws a ticket, the SHA-256 of the seed words and its name, and the lowest tickets win: a subject that
    joins or leaves the training set changes at most one of the chosen.

    Raises:
        MerError: n subjects would leave none to train on.
    """
    people = sorted(set(train_subjects))
    if not 1 <= n < len(people):
        raise MerError(f"train.inner_subjects = {n}; expected 1 to {len(people) - 1}: the training fold has "
                       f"{len(people)} subjects and at least one must be left to train on")
    return sorted(sorted(people, key=lambda name: _ticket(seed_words, name))[:n])


def protocol(name: str) -> str:
    """The protocol in words."""
    return {"loso": "leave one subject out", "composite": "composite of datasets, leave one subject out",
            "cross_dataset": "trained on one dataset, tested on another",
            "kfold": "subject-independent k-fold", "official": "the release's own folds"}.get(name, name)


def _ticket(words: Sequence[object], name: object) -> str:
    return hashlib.sha256("\0".join(map(str, (*words, name))).encode()).hexdigest()


def _used(clip_ids, labels, subjects) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the clips that have a class, and their subjects."""
    if not len(clip_ids) == len(labels) == len(subjects):
        raise MerError(f"{len(clip_ids)} clips, {len(labels)} labels, {len(subjects)} subjects; expected equal numbers")
    seen = set()
    for clip, subject in zip(clip_ids, subjects, strict=True):
        key = (dataset_of(subject), clip)
        if key in seen:
            raise MerError(f"clip {clip} stands twice in dataset {key[0]}; expected unique clip ids")
        seen.add(key)
    used = np.array([i for i, label in enumerate(labels) if label is not None], int)
    return used, np.array([subjects[i] for i in used], dtype=str)


def _folds(parts: list[tuple[str, np.ndarray]], used: np.ndarray, names: np.ndarray) -> list[Fold]:
    if len(set(names)) < 2:
        raise MerError(f"{len(set(names))} subject with clips of the label set; expected at least 2, "
                       "one to test and one to train")
    return [_fold(name, used[~mine], used[mine]) for name, mine in parts]


def _fold(name: str, train: np.ndarray, test: np.ndarray) -> Fold:
    return Fold(str(name), train, test)
