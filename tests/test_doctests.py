"""The examples in docstrings, run; and the library's face: few names, found in their rooms, nothing imported early."""

import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FACE = {"mer.datasets": ("read",), "mer.evaluation": ("split", "score"), "mer.runs": ("open_run",)}
WITH_EXAMPLES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "mer").rglob("*.py"))
                 if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_do_what_they_print(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0 and found.attempted > 0


@pytest.mark.parametrize(("room", "name"), [(room, name) for room, names in FACE.items() for name in names])
def test_a_name_of_the_face_has_an_example(room, name):
    known = getattr(importlib.import_module(room), name)
    assert re.search(rf">>> .*(import {name}\b|\.{name}\()", inspect.getdoc(known), re.S)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = importlib.import_module(room).nonsense


def test_the_face_imports_nothing_before_it_is_used():
    code = f"import {', '.join(FACE)}, sys; print(sorted({{'torch', 'h5py', 'scipy', 'openpyxl'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
