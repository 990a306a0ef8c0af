"""All experiments of the repository: a row of `dvc exp show` each, an experiment, a commit, the workspace.

The parameters of a run are those of its params.yaml, resolved as every stage does; its numbers are those of its
reports/metrics.json and details.json, taken only if its dvc.lock says that they were made with these parameters
(freshness.py).
"""

import difflib
import importlib.util
import json
import re
import subprocess
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from mer import params
from mer.base.errors import MerError
from mer.base.knobs import flatten, parse_yaml
from mer.params import Params
from mer.runs import freshness
from mer.runs.finished import LOCK, PARAMS, Run
from mer.runs.freshness import DETAILS, METRICS
from mer.runs.sources import WORKSPACE, Source, find

PENDING = ("Queued", "Running")


@dataclass(frozen=True)
class Collected:
    """`runs`, oldest first; `pending`, the flat parameters of experiments that are queued or run; `names` of all
    experiments; `left_out`, a line for each that cannot be used; `states`, how many experiments are in which."""

    runs: list[Run]
    pending: list[dict[str, object]]
    names: set[str]
    left_out: list[str]
    states: Counter


def run_of(p: Params, metrics: dict[str, float], label: str = "", source: Source | None = None) -> Run:
    """The run with parameters `p`; to its numbers come those that the model's facts.py, if it has one, knows."""
    if importlib.util.find_spec(f"mer.models.{p.model}.facts"):
        metrics = metrics | importlib.import_module(f"mer.models.{p.model}.facts").facts(p)
    return Run(source or find(WORKSPACE), label, params=p, metrics=metrics)


def collect() -> Collected:
    """All experiments of the repository, HEAD, and the workspace.

    Raises:
        MerError: the working folder is not the root of a project under Git and DVC.
    """
    dated, pending, names, left_out = [], [], set(), []
    states: Counter[str] = Counter()
    for row in _listed():
        name, state, rev = row["Experiment"] or "", row["State"] or "Success", row["rev"]
        names.add(name)
        if name:
            states[state] += 1
        workspace = rev == WORKSPACE
        label = rev if workspace else " ".join(filter(None, (git("rev-parse", "--short", rev), name)))
        source = find(WORKSPACE) if workspace else Source(name or rev, git("rev-parse", rev))
        metrics = None if state in (*PENDING, "Failed") else source.plain(METRICS)
        if metrics is None and state not in PENDING:
            continue
        try:
            written = source.plain(PARAMS) or ""
            p = resolve(parse_yaml(written, PARAMS))
            if metrics is None:
                pending.append(flat(p))
                continue
            details = source.plain(DETAILS)
            freshness.refuse(written, source.plain(LOCK), metrics=metrics, details=details)
        except MerError as error:
            left_out.append(f"{label} is left out: {error}")
            continue
        run = run_of(p, json.loads(metrics) | json.loads(details or "{}"), label, source)
        dated.append((float("inf") if workspace else int(git("show", "-s", "--format=%ct", rev)), run))
    runs = [run for _, run in sorted(dated, key=lambda pair: pair[0])]
    known = [(run.parameters, run.metrics) for run in runs[:-1]]
    if runs and runs[-1].label == WORKSPACE and (runs[-1].parameters, runs[-1].metrics) in known:
        del runs[-1]  # it is a commit or an experiment, which has a name
    return Collected(runs, pending, names - {""}, left_out, states)


def resolve(raw: dict, changes: dict[str, object] | None = None) -> Params:
    """The parameters that the content `raw` of a params.yaml stands for, the dotted keys of `changes` set in it.

    Raises:
        MerError: as `params.load`.
    """
    raw = json.loads(json.dumps(raw))  # a deep copy
    for key, value in (changes or {}).items():
        *parents, last = key.split(".")
        section: Any = raw
        for parent in parents:
            section = section.get(parent)
            if not isinstance(section, dict):
                break
        if not isinstance(section, dict) or last not in section or isinstance(section[last], dict):
            near = difflib.get_close_matches(key, _leaves(raw), 1, 0.5)
            raise MerError(f"-S {key}={value}: {key} is no key of params.yaml"
                           + (f"; did you mean {near[0]}?" if near else ""))
        section[last] = value
    return params.resolve(raw)


def _listed() -> list[dict]:
    """Rows of `dvc exp show`: the workspace, HEAD, every commit that experiments started from, all experiments."""
    from dvc.api import exp_show
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    try:
        revs = [git("rev-parse", "HEAD")]
        for name in git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines():
            kept = re.fullmatch("refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/[^/]+", name)  # DVC keeps an experiment here
            revs += ["".join(kept.groups())] if kept else []
        return exp_show(revs=list(dict.fromkeys(revs)))
    except (DvcException, SCMError, MerError) as error:
        raise MerError(f"DVC cannot list the experiments: {' '.join(str(error).split())}; run the command in the "
                       "project's root, which must be under Git with one commit or more") from None


def git(*words: str) -> str:
    """What `git <words>` prints, stripped.

    Raises:
        MerError: git fails; with what it says.
    """
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MerError(f"git {' '.join(words)}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def flat(p: Params) -> dict[str, object]:
    """{"train.steps": 40}, the values as they are."""
    return flatten(asdict(p))


def _leaves(raw: dict) -> list[str]:
    return [key for key in flatten(raw) if not key.startswith("profiles.")]
