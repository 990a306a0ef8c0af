"""What the default run must reach on the synthetic release, checked on the committed numbers of the last run."""

import json
from pathlib import Path

import pytest

from mer.evaluation import results

REPORTS = Path(__file__).parents[1] / "reports"


@pytest.fixture(scope="module")
def metrics() -> dict:
    return results.read(REPORTS)


@pytest.fixture(scope="module")
def quality() -> dict:
    return json.loads((REPORTS / "quality.json").read_text())


def test_mol_learns_on_subjects_it_has_never_seen(metrics):
    assert metrics["n_clips"] == 144 and metrics["n_subjects"] == 12 and metrics["chance"] == pytest.approx(1 / 3)
    assert metrics["accuracy"] >= 0.55 and metrics["p_value"] < 0.01
    assert metrics["accuracy_low"] > metrics["chance"]


def test_what_stands_beside_the_headline(metrics):
    assert metrics["oracle_accuracy"] >= metrics["accuracy"] == metrics["last_accuracy"]
    assert metrics["oracle_excess"] == pytest.approx(metrics["oracle_accuracy"] - metrics["accuracy"])
    assert 0 < metrics["zero_shot_accuracy"] <= 1
    assert metrics["epe"] < metrics["epe_zero_flow"]
    assert metrics["nme_mean_face"] > 0 and metrics["nme"] > 0  # which of the two wins is told, not promised


@pytest.mark.parametrize("dataset", ["synthetic", "synthetic_macro"])
def test_the_labels_are_good(quality, dataset):
    q = {key.split(".", 1)[1]: value for key, value in quality.items() if key.split(".", 1)[0] == dataset}
    assert q["detection_rate"] >= 0.995
    assert q["landmark_error_mean"] <= 0.05
    assert q["flow_epe"] < 0.75 * q["flow_epe_zero"]
