"""Refuses another Python in the first second, where pip 23.0 downloads dependencies first. All else: pyproject.toml."""

import re
import sys
from pathlib import Path

from setuptools import setup

wanted = re.search(r'requires-python = "(>=3\.(\d+),<3\.(\d+))"', Path("pyproject.toml").read_text(encoding="utf-8"))
if sys.version_info[0] != 3 or not int(wanted[2]) <= sys.version_info[1] < int(wanted[3]):
    sys.exit(f"mer requires a different Python: {sys.version.split()[0]} is not in {wanted[1]}")
setup()
