"""How results are judged: `mer.evaluation.split` makes the folds, `mer.evaluation.score` judges predictions."""

__all__ = ["score", "split"]
_HOMES = {"split": "protocols", "score": "results"}


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'mer.evaluation' has no attribute {name!r}")
    import importlib  # by name, so that no stage depends on what it does not use

    return getattr(importlib.import_module(f"mer.evaluation.{_HOMES[name]}"), name)
