"""`mer.datasets.read(name, root)`: the clips of a raw release, see mer/datasets/releases.py."""

__all__ = ["read"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'mer.datasets' has no attribute {name!r}")
    import importlib  # by name, so that no label stage depends on the readers

    return getattr(importlib.import_module("mer.datasets.releases"), name)
