"""Before any test imports numpy or torch: the same instruction set as in the stages. And which tests are quick."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mer  # noqa: F401

TESTS = Path(__file__).parent
LONG = (  # modules that take 3 s and more on one core (`pytest --durations=0`), the longest first
    "reporting/test_page.py", "training/test_models_in_folds.py", "test_predict.py", "test_readme.py",
    "test_compare.py", "test_params.py", "test_tune.py", "tables/test_main.py", "tables/test_tables_rows.py",
    "base/test_portable.py", "test_main.py", "models/fdp/test_network.py", "reporting/test_clips_drawn.py",
    "labels/test_label_stages.py", "reporting/test_plots.py", "models/mol/test_network.py",
    "models/test_every_model.py", "training/test_capture.py", "training/test_folds.py", "training/test_fleet.py",
    "base/test_cluster.py", "datasets/synthetic/test_release.py", "fuzz/test_releases.py", "fuzz/test_targets.py",
    "training/test_streaming.py", "test_bench.py")
LONG_PATHS = {TESTS / name for name in LONG}
MISSING = sorted(path.as_posix() for path in LONG_PATHS if not path.is_file())
assert not MISSING, f"LONG names what is not there: {MISSING}"


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        if item.path not in LONG_PATHS and not marks & {"slow", "gpu", "browser"}:
            item.add_marker("quick")


@pytest.fixture(autouse=True)
def _own_workers() -> Iterator[None]:
    """Processes of a map stay for the next one, in the folder where they were started: not for that of another test."""
    yield
    loky = sys.modules.get("joblib.externals.loky.reusable_executor")
    if loky is not None and loky._executor is not None:
        loky._executor.shutdown(wait=True, kill_workers=True)
