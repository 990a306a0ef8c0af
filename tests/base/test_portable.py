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


PROFILES = "profiles: {mol: {demo: {train: {portable: true}}, paper: {train: {portable: false}}}}\n"


@pytest.mark.parametrize(("text", "expected"), [
    (f"model: mol\nprofile: demo\ntrain:\n  portable: null\n{PROFILES}", True),
    (f"model: mol\nprofile: paper\ntrain:\n  portable: null\n{PROFILES}", False),
    (f"model: mol\nprofile: demo\ntrain: {{portable: false}}\n{PROFILES}", False),
    ("train:\n  device: auto\n\n  portable: true  # why\n", True), ("train:\n  portable: 1\n", False),
    ("train: [", False), ("train: 3\n", False)])
def test_the_switch_or_its_profile_decides(text, expected, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert portable.wanted(path) == expected
    assert not portable.wanted(tmp_path / "none.yaml")


def test_under_the_caps_the_processor_is_not_recorded_and_else_it_is(monkeypatch):
    for name, value in portable.TORCH_CAPS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(portable, "_cpuinfo", lambda: "model name\t: One\nflags\t\t: fma avx2 avx512f\n")
    monkeypatch.setattr(portable.platform, "machine", lambda: "x86_64")
    assert portable.told().endswith("x86-64 up to AVX2")
    monkeypatch.setenv("MKL_CBWR", "AUTO")
    assert portable.told() == "One"
    monkeypatch.setenv("MKL_CBWR", portable.TORCH_CAPS["MKL_CBWR"])
    monkeypatch.setattr(portable, "_cpuinfo", lambda: "model name\t: Old\nflags\t\t: avx\n")
    assert portable.told() == "Old"
