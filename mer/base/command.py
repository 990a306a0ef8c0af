"""How a command calls itself: `mer predict` from the console script, `python -m mer.predict` as a module."""

import sys

CONSOLE = "mer"


def prog(module: str) -> str:
    """What a usage line begins with."""
    name = f"{CONSOLE} {module.removeprefix('mer.')}"
    return name if sys.argv[:1] == [name] else f"python -m {module}"
