"""One list of measures: complete, in one place, and one line is enough to have a number everywhere."""

import re
from pathlib import Path

import numpy as np
import pytest

from mer import params
from mer.base.measure import Measure
from mer.evaluation import measures, predictions, results
from mer.reporting import sections

ROOT = Path(__file__).parents[2]


def test_keys_and_columns_are_unique_and_rivals_known():
    every = [*measures.SCORES, *measures.BESIDE, *measures.of_models(), *measures.HEAT]
    keys, columns = [m.key for m in every], [m.column for m in every if m.column]
    assert len(set(keys)) == len(keys) and len(set(columns)) == len(columns)
    assert {m.rival for m in every} - {""} <= set(keys)
    assert {m.better for m in every} <= {"less", "more", ""}


@pytest.mark.parametrize("key", [m.key for m in measures.of_models() if len(m.key) > 3])
def test_a_measure_of_a_model_is_described_nowhere_but_in_its_folder(key):
    outside = [path for folder in ("mer", "stages") for path in (ROOT / folder).rglob("*.py")
               if not re.search(r"mer/models/\w+/", path.as_posix())]
    assert len(outside) > 60
    assert [path.name for path in outside if re.search(rf"\b{key}\b", path.read_text(encoding="utf-8"))] == []


@pytest.fixture
def speed(monkeypatch):
    """A model with one line more in its list."""
    more = (Measure("speed", "speed of the eyelids", "mm/s", 1000, 1, "more", rival="speed_still", column="speed"),
            Measure("speed_still", "eyelids that rest", "mm/s", 1000, 1, column="speed_still"))
    config = params.CONFIGS["mol"]
    monkeypatch.setattr(config, "MEASURES", (*config.MEASURES, *more))
    monkeypatch.setattr(predictions, "AUX", tuple(measures.columns()))


def test_one_line_brings_a_column_a_number_and_a_row_of_the_page(speed, tmp_path):
    labels = np.array([0, 1, 0, 1])
    path = tmp_path / "predictions.csv"
    predictions.write(path, predictions.table(list("abcd"), ["s/1", "s/1", "s/2", "s/2"], "s/1", 0, "last", labels,
                                              np.eye(2)[labels], {"speed": [0.1, 0.2, 0.3, 0.4],
                                                                  "speed_still": [0.2] * 4}))
    found = results.summarise(predictions.read(path), ("x", "y"), ("last",), bootstrap=100, permutations=100, seed=0)
    assert found["speed"] == pytest.approx(0.25)
    assert measures.beats(measures.every()["speed"], found) is True
    page = sections.auxiliary(found, tmp_path)
    assert "speed of the eyelids, mm/s" in page and "250.0" in page and "eyelids that rest 200.0" in page
    assert "better than the constant" in page and page.count("<tr>") == 2


def test_an_interval_decides_where_there_is_one():
    heat = measures.every()["cam_mass"]
    assert measures.beats(heat, {"cam_mass": 0.3, "cam_area": 0.2}) is True
    assert measures.beats(heat, {"cam_mass": 0.3, "cam_area": 0.2, "cam_excess_low": -0.01}) is False
    assert measures.beats(measures.every()["rank_correlation"], {"rank_correlation": -0.1}) is False
    assert measures.beats(measures.every()["failure_rate"], {"failure_rate": 0.1}) is None
