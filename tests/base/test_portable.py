"""With train.portable what a processor has beyond the cap changes no byte; and the switch is read as it is written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mer.base import portable

ROOT = Path(__file__).parents[2]
OLDER = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-ERMS,-FSRM,-RTM"}


def trained(caps: dict[str, str], *names: str) -> list[dict]:
    known = portable.CAPS | portable.TORCH_CAPS
    env = {key: value for key, value in os.environ.items() if key not in known} | {"MER_PORTABLE": "0"} | caps
    done = subprocess.run([sys.executable, ROOT / "tests/few_steps.py", *names], env=env, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_older_c_library_choice_changes_no_byte_under_the_caps_which_do_change_some():
    caps = portable.CAPS | portable.TORCH_CAPS
    first = trained(caps, "mol", "fdp")
    assert trained({**caps, **OLDER}, "mol", "fdp") == first
    # and the caps reach the libraries: without them this processor takes other kernels
    assert [one["weights"] for one in trained({}, "mol", "fdp")] != [one["weights"] for one in first]


@pytest.mark.parametrize(("text", "expected"), [
    ("train:\n  device: auto\n\n  portable: true  # why\nevaluate:\n  portable: false\n", True),
    ("train:\n  portable: false  # true\n", False), ("train: {steps: 1, portable: true}\n", True),
    ("profiles:\n  mol:\n    train: {portable: true}\n", False),
    ("train:\n  steps: 1\nother:\n  portable: true\n", False)])
def test_the_switch_is_read_as_text(text, expected, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert portable.wanted(path) == expected
    assert not portable.wanted(tmp_path / "none.yaml")
