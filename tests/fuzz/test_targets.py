"""Any input is read, or refused in a line that can be printed: some dozens of each kind, and all that once failed.

MER_FUZZ=5000 tries as many of each; `python -m tests.fuzz` goes on until it is stopped.
"""

import os
from collections import Counter

import hypothesis
import pytest
from fuzz.targets import TARGETS, Target

TRIES = int(os.environ.get("MER_FUZZ", "40"))


def fuzz(target: Target, folder, tries: int, *, same: bool) -> Counter:
    """How many of `tries` values were read and refused; the first failure is raised, the simplest of its kind."""
    seen: Counter = Counter()

    @hypothesis.settings(max_examples=tries, derandomize=same, database=None, deadline=None,
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(target.strategy)
    def one(value):
        seen[target.try_(folder, value)] += 1

    one()
    return seen


@pytest.mark.parametrize("name", TARGETS)
def test_it_is_read_or_refused_in_one_line(tmp_path, name):
    print(f"{name}: {dict(fuzz(TARGETS[name], tmp_path, TRIES, same=True))}")


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in TARGETS for value in TARGETS[name].found],
                         ids=lambda value: repr(value)[:40])
def test_what_once_failed(tmp_path, name, value):
    assert TARGETS[name].try_(tmp_path, value) in ("read", "refused")
