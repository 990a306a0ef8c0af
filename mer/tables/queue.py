"""`python -m mer.tables queue`: the experiments that a table still lacks, as `dvc exp run --queue` lines."""

import argparse
import contextlib
import json
import re
import shlex
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mer import params
from mer.base.errors import MerError
from mer.base.knobs import flatten, profile, read_yaml
from mer.datasets.releases import is_synthetic
from mer.params import Params
from mer.runs import collect
from mer.runs.collect import Collected
from mer.tables.rows import (
    departures,
    differing,
    elsewhere,
    experiment,
    known,
    label,
    matches,
    method,
    paper,
    same,
    together,
)

RUNS = "parallel."  # keys that change no number: runs of any such value count


@dataclass(frozen=True)
class Job:
    """An experiment that a table lacks: its name, its overrides for -S, its resolved parameters."""

    name: str
    overrides: tuple[str, ...]
    params: Params

    @property
    def command(self) -> list[str]:
        """The words after `dvc`."""
        return ["exp", "run", "--queue", "--name", self.name, *(w for text in self.overrides for w in ("-S", text))]


def plan(book: dict, name: str, fixed: dict[str, object], datasets: list[str], found: Collected,
         raw: dict) -> tuple[list[Job], Counter]:
    """The experiments that fill the cells of table `name` that no run fills, and how many cells are in which state.

    Args:
        fixed: values of -S, which every experiment has and a run must have to count; `datasets`: only columns that
            need no others, all if empty; rendered ones stand for those of every column; `raw`: the workspace's
            params.yaml.

    Raises:
        MerError: the table has no such column, or a cell's experiment cannot be made from this workspace.
    """
    spec, jobs, count, planned, names = book["tables"][name], [], Counter(), {}, set(found.names)
    columns = [column for column in spec["columns"] if "mean_of" not in column]
    needs = [column.get("experiment", {}).get("datasets", spec.get("base", {}).get("datasets")) for column in columns]
    tried = bool(datasets) and is_synthetic(datasets)  # rendered faces stand for those of every column
    if tried and not all(is_synthetic([name]) for name in datasets):
        raise MerError(f"--dataset {' '.join(datasets)}: rendered and real faces; expected one kind")
    if datasets and not tried and not any(set(need) <= set(datasets) for need in needs):
        raise MerError(f"--dataset {' '.join(datasets)}: table {name} has no column that needs only these; it has "
                       + ", ".join(dict.fromkeys(" + ".join(need) for need in needs)))
    for group, row in ((g, r) for g in spec["groups"] for r in g["rows"]):
        for column, need in zip(columns, needs, strict=True):
            wanted = experiment(book, spec, group, column, row)
            if wanted is None or (datasets and not tried and not set(need) <= set(datasets)):
                count["others"] += wanted is None
                continue
            papers = method(book, spec, group, column, row)
            if tried:
                papers.pop("pretrain.sources", None)
                wanted = elsewhere(wanted, datasets, spec)
                if not same(wanted.get("classes", raw["classes"]), str(raw["classes"])):
                    count["classes"] += 1
                    continue
            key = json.dumps([wanted, papers])
            if key not in planned:
                planned[key] = _overrides(raw, wanted, fixed, f"table {name}, {label(spec, row)}", papers)
            p, changes = planned[key]
            flat = collect.flat(p)
            wanted = wanted | papers | {key: _plain(flat[key]) for key in fixed if not key.startswith(RUNS)}
            if any(column["metric"] in run.metrics and matches(wanted, run) for run in found.runs):
                count["done"] += 1
            elif any(not differing(wanted, other) for other in found.pending):
                count["pending"] += 1
            else:
                count["missing"] += 1
                if all(job.params != p for job in jobs):
                    jobs.append(Job(_name(spec, name, row, p, names), tuple(_hydra(k, v) for k, v in changes), p))
                    names.add(jobs[-1].name)
    return jobs, count


def run(words: list[str]) -> None:
    """`words`: the command line after `queue`. Prints the jobs, and with --run queues them.

    Raises:
        MerError: no such table, or a value that a row cannot have.
    """
    parser = argparse.ArgumentParser(prog="python -m mer.tables queue",
                                     description="Print the `dvc exp run --queue` lines that fill a table.")
    parser.add_argument("name", metavar="TABLE", help="<model>-<the table's number>, see mer/tables/README.md")
    parser.add_argument("--dataset", nargs="+", default=[], metavar="D",
                        help="only columns that need no other dataset; synthetic: the table on rendered faces, in "
                             "columns of its own")
    parser.add_argument("--profile", help="demo, paper ... (default: that of params.yaml)")
    parser.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE",
                        help="a value for every experiment; runs that have another one do not count as done")
    parser.add_argument("--run", action="store_true", help="queue the experiments")
    args = parser.parse_args(words)
    name = known(args.name)
    book = paper(name.split("-")[0])
    if kind := book["tables"][name].get("kind"):
        of = {"rank_sum": "is recomputed from the paper's own numbers", "releases": "counts clips of releases"}[kind]
        _say(f"{name} {of}, there is nothing to run; `python -m mer.tables "
             f"{name}` writes it")
        return
    raw = read_yaml(Path("params.yaml"))
    fixed = {"profile": args.profile or raw.get("profile")} | dict(map(_setting, args.set_param))
    found = collect.collect()
    jobs, count = plan(book, name, fixed, args.dataset, found, raw)
    lost = list(dict.fromkeys(line for job in jobs for line in invisible(job.params)))
    if lost and args.run:
        raise MerError(lost[0])
    papers = {key: value for key, value in book["method"].items() if key in fixed}
    apart = [f"{'; '.join(departures(papers, fixed))}: such runs stand below the rows, as variants"] if differing(
        papers, fixed) else []
    for line in (*found.left_out, *lost, *apart):
        _say(line)
    for i, job in enumerate(jobs):
        if args.run:
            print(f"[{i + 1}/{len(jobs)}] {job.name}", flush=True)
            _dvc(job)
        else:
            print(shlex.join(["dvc", *job.command]))
    words = {"done": "filled", "pending": "in the queue", "missing": "missing",
             "classes": "of other label sets than params.yaml's, on rendered faces",
             "others": "of other people's methods, which this project does not run"}
    told = f"{name}: cells " + ", ".join(f"{count[key]} {word}" for key, word in words.items() if count[key])
    if not jobs:
        _say(f"{told}; nothing is left to queue")
    elif args.run:
        _say(f"{told}; {len(jobs)} experiments queued, `dvc queue start` runs them in the background, "
             "`dvc exp run --run-all` here" + _where(jobs[0].params.parallel.where))
    else:
        _say(f"{told}; {len(jobs)} experiments fill them (--run queues them)")


def _where(place: str) -> str:
    """What carries out the folds of a queued experiment, where that is not this machine alone."""
    return "" if place in ("here", "local") else f"; their folds on the Dask cluster: {place}"


def _say(text: str) -> None:
    """A remark, beside the commands on stdout, which can be piped into a shell."""
    print(text, file=sys.stderr)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _at(raw: dict, key: str) -> object:
    for word in key.split("."):
        raw = raw.get(word) if isinstance(raw, dict) else None
    return raw


def _overrides(raw: dict, wanted: dict, fixed: dict, where: str,
               papers: dict | None = None) -> tuple[Params, list[tuple[str, object]]]:
    """The parameters of a cell's experiment of the `papers` method, and the few changes of the workspace that make it.

    A knob that is null in params.yaml follows the profile, and is set only where the profile says otherwise. A value of
    the method that is `fixed` stays, for a variant is wanted then.
    """
    has = flatten(_block(raw, wanted, fixed)) | {k: value for k, value in flatten(raw).items() if value is not None}
    wanted = together(wanted, fixed, has)
    every = wanted | (papers or {})
    demands = {key: value for key, value in every.items() if key not in fixed}
    flat = flatten(raw) | {key: _at(raw, key) for key in demands}
    changed = {key: _pick(raw, fixed, every, key, where) for key in differing(demands, flat)
               if flat[key] is not None}
    changes = changed | {key: value for key, value in fixed.items() if key != "profile" or value != raw.get(key)}
    try:
        try:
            p = collect.resolve(raw, changes)
            rest = differing(demands, collect.flat(p))
        except MerError:  # perhaps for want of a value that the profile does not give
            rest = [key for key in demands if flat[key] is None]
            if not rest:
                raise
        if rest:
            changes |= {key: _pick(raw, fixed, every, key, where) for key in rest}
            p = collect.resolve(raw, changes)
    except MerError as error:
        raise MerError(f"{where}: {error}") from None
    against = list(differing(wanted, collect.flat(p)))
    if against:
        raise MerError(f"{where} wants {against[0]} = {wanted[against[0]]}, not {_plain(collect.flat(p)[against[0]])!r}"
                       + ("; leave out this -S" if against[0] in fixed else ""))
    first = ("model", "datasets", "classes", "protocol", "profile")
    return p, sorted(changes.items(), key=lambda item: first.index(item[0]) if item[0] in first else len(first))


def _pick(raw: dict, fixed: dict, wanted: dict, key: str, where: str) -> object:
    """The value that a key is set to: the wanted one; of several the profile's, by null, else the first."""
    value = wanted[key]
    if isinstance(value, dict) and "not" in value:
        raise MerError(f"{where} wants {key} other than {value['not']}; name it, for example with "
                       f"-S {key}={'[dfew]' if value['not'] == [] else 100}")
    if isinstance(value, dict):
        block = _block(raw, wanted, fixed)
        return value["any"][0] if differing({key: value}, {key: _at(block, key)}) else None
    return value


def _block(raw: dict, wanted: dict, fixed: dict) -> dict:
    """The values of the experiment's profile, {} where its model has none of this name."""
    blocks, name = _at(raw, f"profiles.{wanted.get('model')}") or {}, fixed["profile"]
    return profile(raw["profiles"], wanted["model"], name) if name in blocks else {}


def _setting(text: str) -> tuple[str, object]:
    """`key=value` as DVC's -S takes it (Hydra's syntax)."""
    from dvc.utils.hydra import to_hydra_overrides
    from hydra.errors import OverrideParseException

    with contextlib.suppress(OverrideParseException):
        (override,) = to_hydra_overrides([text])
        if override.key_or_group and not (override.is_add() or override.is_delete() or override.is_sweep_override()):
            return override.key_or_group, override.value()
    raise MerError(f"-S {text}: expected key=value with one value, for example train.steps=100 or seeds=[0,1]")


def _hydra(key: str, value: object) -> str:
    """`key=value` such that -S gives exactly `value`: words as they are, other text quoted, so that '5' stays text."""
    def show(value: object) -> str:
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, list | tuple):
            return f"[{','.join(map(show, value))}]"
        if isinstance(value, str):
            bare = re.fullmatch(r"(?!(true|false|null|nan|inf)$)[a-z_][\w-]*", value, re.IGNORECASE)
            return value if bare else f'"{value}"'
        return repr(value)

    return f"{key}={show(value)}"


def _name(spec: dict, table: str, row: dict, p: Params, taken: set[str]) -> str:
    """A name that tells the cell: table, what its row changes, data; a number where it is taken."""
    words = [table]
    for key, value in row["own"].items():
        if value is not None and key != "selection":
            values = value if isinstance(value, list) else [value]
            words += [key.split(".")[-1], *map(str, dict.fromkeys(values) if len(values) > 2 else values)]
    words += ["full"] if len(words) == 1 else []
    words += [*p.datasets, *([f"{p.classes}-classes"] if len(spec["groups"]) > 1 else [])]
    name = re.sub(r"[^\w.-]+", "-", "-".join(words).replace("_", "-").lower()).strip(".-")
    return next(text for i in range(1, 10**6) if (text := name if i == 1 else f"{name}-{i}") not in taken)


def needed(p: Params) -> list[str]:
    """The releases and files that the experiment reads and no stage makes."""
    releases = [f"data/raw/{name}" for name in (*p.datasets, *p.pretrain.sources)
                if name not in ("synthetic", "synthetic_macro")]
    return [*releases, *params.of_model(p, "files")]


def invisible(p: Params) -> list[str]:
    """What the experiment reads but Git and DVC do not know: the queue runs in a copy that has only what they know."""
    problems = []
    for path in needed(p):
        if not Path(path).exists():
            problems.append(f"{path} does not exist; put it there before the experiments are run")
        elif not collect.git("ls-files", path, f"{path}.dvc") and Path(path).is_symlink():
            problems.append(f"{path} is a link that Git does not know, and the queue runs in a copy that has only what "
                            f"DVC and Git know; DVC adds no links, so give the link to Git: `git add -f {path}` and "
                            "commit it (it holds a path of this machine, no data)")
        elif not collect.git("ls-files", path, f"{path}.dvc"):
            problems.append(f"{path} is unknown to DVC, and the queue runs in a copy that has only what DVC and Git "
                            f"know; run `dvc add {path} && git add -f {path}.dvc`")
    return problems


def _dvc(job: Job) -> None:
    from dvc.cli import main as dvc

    if dvc(job.command):
        raise MerError(f"`{shlex.join(['dvc', *job.command])}` failed; DVC says why above")
