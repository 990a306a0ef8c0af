"""ROC, precision-recall and reliability against scikit-learn, and when there is nothing to draw."""

import numpy as np
import pytest
from PIL import Image
from reporting import fabricate
from sklearn import metrics

from mer.reporting import score_plots


@pytest.mark.parametrize("digits", [9, 1])  # the second: many equal scores
def test_the_curves_are_those_of_scikit_learn(digits):
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    score = np.round(rng.random(200) + 0.3 * truth, digits)
    wrong, right, precision = score_plots.roc(truth, score)
    fpr, tpr, _ = metrics.roc_curve(truth, score, drop_intermediate=False)
    assert np.allclose(np.insert(wrong, 0, 0), fpr) and np.allclose(np.insert(right, 0, 0), tpr)
    theirs, recall, _ = metrics.precision_recall_curve(truth, score)
    assert np.allclose(precision[::-1], theirs[:-1]) and np.allclose(right[::-1], recall[:-1])
    assert score_plots.area(wrong, right) == pytest.approx(metrics.roc_auc_score(truth, score))


def test_the_picture_tells_the_areas_and_a_network_without_scores_has_none(tmp_path):
    t = fabricate.table(subjects=4)
    t = t.where("last")
    score_plots.draw(t, fabricate.NAMES, tmp_path, True)
    with Image.open(tmp_path / "probabilities.png") as image:
        told = image.info["Description"]
    for k, name in enumerate(fabricate.NAMES):
        assert f"{name} {metrics.roc_auc_score(t.label == k, t.p[:, k]):.3f}" in told
    said, true, count = score_plots.reliability(t)
    assert count.sum() == len(t) and float((true * count).sum()) == (t.predicted == t.label).sum()
    assert np.all(np.diff(said) > 0)
    (tmp_path / "probabilities.png").unlink()
    t.p[:] = 1 / 3
    score_plots.draw(t, fabricate.NAMES, tmp_path, True)
    assert not (tmp_path / "probabilities.png").exists()
