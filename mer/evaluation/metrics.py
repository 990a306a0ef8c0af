"""Metrics from confusion counts: TP, FP and FN are summed over all folds first, then the formula is applied once.

Averaging F1 over folds instead distorts it badly when folds are small (Forman and Scholz, 2010), so nothing here does.
A confusion array is (..., n, n): rows are true classes, columns predicted classes; leading axes are kept, so that
thousands of bootstrap replicates go through one call. 0/0 counts as 0. All results are fractions in [0, 1].
"""

import numpy as np


def confusion(labels: np.ndarray, predicted: np.ndarray, n: int) -> np.ndarray:
    """(n, n) int64 counts of true class (row) against predicted class (column)."""
    counts = np.bincount(np.asarray(labels, np.int64) * n + np.asarray(predicted, np.int64), minlength=n * n)
    return counts.reshape(n, n)


def confusion_by(groups: np.ndarray, labels: np.ndarray, predicted: np.ndarray,
                 n: int) -> tuple[np.ndarray, np.ndarray]:
    """The sorted names of the groups (subjects, datasets), (G,), and their confusion counts, (G, n, n)."""
    names, index = np.unique(groups, return_inverse=True)
    flat = (index * n + labels) * n + predicted
    return names, np.bincount(flat, minlength=len(names) * n * n).reshape(len(names), n, n)


def accuracy(cm: np.ndarray) -> np.ndarray:
    """Acc = sum_j TP_j / N."""
    return _ratio(np.trace(cm, axis1=-2, axis2=-1), cm.sum(axis=(-2, -1)))


def recall(cm: np.ndarray) -> np.ndarray:
    """(..., n): TP_j / N_j."""
    return _ratio(_hits(cm), cm.sum(axis=-1))


def precision(cm: np.ndarray) -> np.ndarray:
    """(..., n): TP_j / (TP_j + FP_j)."""
    return _ratio(_hits(cm), cm.sum(axis=-2))


def f1(cm: np.ndarray) -> np.ndarray:
    """(..., n): 2 TP_j / (2 TP_j + FP_j + FN_j)."""
    return _ratio(2 * _hits(cm), cm.sum(axis=-1) + cm.sum(axis=-2))


def uf1(cm: np.ndarray) -> np.ndarray:
    """Unweighted (macro) F1, MOL Eq. (10b): the mean of F1 over the n classes of the label set, absent ones as 0."""
    return f1(cm).mean(axis=-1)


def wf1(cm: np.ndarray) -> np.ndarray:
    """Weighted F1, MOL Eq. (10a): sum_j (N_j / N) F1_j."""
    return _ratio((cm.sum(axis=-1) * f1(cm)).sum(axis=-1), cm.sum(axis=(-2, -1)))


def uar(cm: np.ndarray) -> np.ndarray:
    """Unweighted average recall, MOL Eq. (10c)."""
    return recall(cm).mean(axis=-1)


def war(cm: np.ndarray) -> np.ndarray:
    """Weighted average recall, sum_j (N_j / N) recall_j: with one label a clip it is the accuracy by another name."""
    return _ratio((cm.sum(axis=-1) * recall(cm)).sum(axis=-1), cm.sum(axis=(-2, -1)))


def subject_mean(by_subject: np.ndarray) -> float:
    """Mean over subjects of their accuracies, from (S, n, n): a subject with one clip weighs as much as one with 30."""
    return float(accuracy(by_subject).mean())


def _hits(cm: np.ndarray) -> np.ndarray:
    return np.diagonal(cm, axis1=-2, axis2=-1)


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    over, under = np.asarray(over, np.float64), np.asarray(under, np.float64)
    return np.divide(over, under, out=np.zeros(np.broadcast_shapes(over.shape, under.shape)), where=under != 0)
