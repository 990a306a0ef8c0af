"""Whether what a run left was made with the parameters that its params.yaml has: one rule, of texts alone.

Another alignment or sampling than in training would go unnoticed and give other scores, and numbers that were made with
other parameters would fill the wrong cell of a table.
"""

import hashlib
from typing import Any

from mer.base.errors import MerError
from mer.base.knobs import parse_yaml
from mer.evaluation import results
from mer.params import Params

METRICS, DETAILS = f"reports/{results.METRICS}", f"reports/{results.DETAILS}"
LABELS = ("landmarks", "align")  # the stages of what every model sees
NETWORKS = (*LABELS, "train")  # and those on a clip's way to its scores
ABSENT = object()  # the value of a key that is not there
ABOUT = ("model", "datasets", "classes", "protocol", "profile", "seeds", "shuffle_labels")  # of params.yaml and summary


def refuse(params: str, lock: str | None, *, stages: tuple[str, ...] = NETWORKS, metrics: str | None = None,
           details: str | None = None) -> None:
    """Stop when a run's files are not of one run.

    Args:
        params, lock: the texts of params.yaml and dvc.lock; without a lock nothing is known, and nothing refused.
        stages: those whose parameters must be the ones in dvc.lock.
        metrics, details: the texts of reports/metrics.json and, if there is one, reports/details.json, if they must be
            what this params.yaml, all of it, was reported with.

    Raises:
        MerError: one line that names the first parameter, or the file, that is not the run's.
    """
    if lock is None and metrics is None:
        return
    now, locked = parse_yaml(params, "params.yaml"), parse_yaml(lock or "", "dvc.lock").get("stages", {})
    if metrics is not None:
        _refuse_numbers(now, locked.get("report", {}), {METRICS: metrics} | ({DETAILS: details} if details else {}))
    for name, stage in locked.items():
        if name.split("@")[0] not in stages:
            continue
        for key, then in stage.get("params", {}).get("params.yaml", {}).items():
            value: Any = now
            for word in key.split("."):
                value = value.get(word) if isinstance(value, dict) else None
            if value != then:
                key, value, then = _leaf(key, value, then)
                raise MerError(f"params.yaml: {_said(key, value)}, but the finished run was made {_with(then)} "
                               f"(dvc.lock, stage {name}); put it back, or run `dvc repro`")


def refuse_other(p: Params, about: dict) -> None:
    """Stop when the summary of the folds, which is there without a dvc.lock too, is of other parameters than `p`.

    Raises:
        MerError: one line that names the parameter.
    """
    for key in ABOUT:
        now = getattr(p, key)
        now = list(now) if isinstance(now, tuple) else now
        if key in about and now != about[key]:
            raise MerError(f"params.yaml: {key} = {now!r}; the finished run has {about[key]!r}; put it back (`dvc exp "
                           "apply`, `git checkout`), or run `dvc repro`")


def _refuse_numbers(now: dict, report: dict, texts: dict[str, str]) -> None:
    files = {entry["path"]: entry.get("md5") for entry in report.get("deps", [])}
    if report.get("params", {}).get("params.yaml") != now:
        raise MerError("params.yaml was changed after reports/metrics.json was made; run `dvc repro`")
    for path, text in texts.items():
        if files.get(path) != hashlib.md5(text.encode()).hexdigest():
            raise MerError(f"{path} is not the one in dvc.lock; run `dvc repro`")


def _leaf(key: str, value: object, then: object) -> tuple[str, object, object]:
    """The first key below `key` whose values differ."""
    if isinstance(value, dict) and isinstance(then, dict):
        for name in {**then, **value}:
            here, there = value.get(name, ABSENT), then.get(name, ABSENT)  # a new key is another than one of null
            if here != there:
                return _leaf(f"{key}.{name}", here, there)
    return key, value, then


def _said(key: str, value: object) -> str:
    return f"{key} is not there" if value is ABSENT else f"{key} = {value!r}"


def _with(then: object) -> str:
    return "without that key" if then is ABSENT else f"with {then!r}"
