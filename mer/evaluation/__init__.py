"""How results are judged. `split` makes the folds, `score` judges predictions; imported when they are first used."""


def __getattr__(name: str):
    if name == "split":
        from mer.evaluation.protocols import split

        return split
    if name == "score":
        from mer.evaluation.results import score

        return score
    raise AttributeError(f"module 'mer.evaluation' has no attribute {name!r}")
