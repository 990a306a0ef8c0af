"""Finished runs: `mer.runs.open_run` opens one, see mer/runs/finished.py."""

__all__ = ["open_run"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'mer.runs' has no attribute {name!r}")
    import importlib  # by name, so that no stage depends on what it does not use

    return getattr(importlib.import_module("mer.runs.finished"), name)
