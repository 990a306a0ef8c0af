"""Every table of the three papers from all DVC experiments, and the experiments that a table still lacks.

    python -m mer.tables [mol-8 ...]                 every table (or those named) to reports/comparison/
    python -m mer.tables queue mol-8 [-S key=value]  the `dvc exp run --queue` lines that fill one; --run queues them

A run is a row of `dvc exp show`: an experiment, a commit, the workspace. Its parameters are those of its params.yaml,
resolved as every stage does; its numbers are those of its reports/metrics.json, taken only if its dvc.lock says that
they were made with these parameters.
"""

import argparse
import contextlib
import csv
import difflib
import hashlib
import io
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from mer import params
from mer.base import store
from mer.base.errors import MerError, main
from mer.params import Params
from mer.tables import fill as tables
from mer.tables import formats
from mer.tables.fill import Run

OUT = Path("reports/comparison")
WRITERS = {"md": formats.markdown, "csv": formats.as_csv, "tex": formats.latex}
METRICS = "reports/metrics.json"
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


@dataclass(frozen=True)
class Job:
    """An experiment that a table lacks: its name, its overrides for -S, its resolved parameters."""

    name: str
    overrides: tuple[str, ...]
    params: Params

    @property
    def command(self) -> list[str]:
        return ["exp", "run", "--queue", "--name", self.name, *(w for text in self.overrides for w in ("-S", text))]


def collect() -> Collected:
    """All experiments of the repository, HEAD, and the workspace.

    Raises:
        MerError: the working folder is not the root of a project under Git and DVC.
    """
    runs, pending, names, left_out, states = [], [], set(), [], Counter()
    for row in _listed():
        name, state, rev = row["Experiment"] or "", row["State"] or "Success", row["rev"]
        names.add(name)
        if name:
            states[state] += 1
        workspace = rev == "workspace"
        label = "workspace" if workspace else " ".join(filter(None, (_git("rev-parse", "--short", rev), name)))
        metrics = None if state in (*PENDING, "Failed") else _text(rev, METRICS)
        if metrics is None and state not in PENDING:
            continue
        try:
            raw = _parse(_text(rev, "params.yaml"), f"params.yaml of {label}")
            p = resolve(raw)
            if state in PENDING:
                pending.append(_flat(p))
                continue
            _refuse_stale(raw, metrics, _parse(_text(rev, "dvc.lock"), f"dvc.lock of {label}"))
        except MerError as error:
            left_out.append(f"{label} is left out: {error}")
            continue
        run = tables.run_of(p, json.loads(metrics), label)
        runs.append((float("inf") if workspace else int(_git("show", "-s", "--format=%ct", rev)), run))
    runs = [run for _, run in sorted(runs, key=lambda pair: pair[0])]
    known = [(run.parameters, run.metrics) for run in runs[:-1]]
    if runs and runs[-1].commit == "workspace" and (runs[-1].parameters, runs[-1].metrics) in known:
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
        section = raw
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


def plan(book: dict, name: str, fixed: dict[str, object], datasets: list[str], found: Collected,
         raw: dict) -> tuple[list[Job], Counter]:
    """The experiments that fill the cells of table `name` that no run fills, and how many cells are in which state.

    Args:
        fixed: values of -S, which every experiment has and a run must have to count; `datasets`: only columns that
            need no others, all if empty; `raw`: the workspace's params.yaml.

    Raises:
        MerError: the table has no such column, or a cell's experiment cannot be made from this workspace.
    """
    spec, jobs, count, planned, names = book["tables"][name], [], Counter(), {}, set(found.names)
    columns = [column for column in spec["columns"] if "mean_of" not in column]
    needs = [column.get("experiment", {}).get("datasets", spec.get("base", {}).get("datasets")) for column in columns]
    if datasets and not any(set(need) <= set(datasets) for need in needs):
        raise MerError(f"--dataset {' '.join(datasets)}: table {name} has no column that needs only these; it has "
                       + ", ".join(dict.fromkeys(" + ".join(need) for need in needs)))
    for group, row in ((g, r) for g in spec["groups"] for r in g["rows"]):
        for column, need in zip(columns, needs, strict=True):
            wanted = tables.experiment(book, spec, group, column, row)
            if wanted is None or (datasets and not set(need) <= set(datasets)):
                count["others"] += wanted is None
                continue
            key = json.dumps(wanted)
            if key not in planned:
                planned[key] = _overrides(raw, wanted, fixed, f"table {name}, {_label(spec, row)}")
            p, changes = planned[key]
            flat = _flat(p)
            wanted = wanted | {key: _plain(flat[key]) for key in fixed}
            if any(column["metric"] in run.metrics and tables.matches(wanted, run) for run in found.runs):
                count["done"] += 1
            elif any(not tables.differing(wanted, other) for other in found.pending):
                count["pending"] += 1
            else:
                count["missing"] += 1
                if all(job.params != p for job in jobs):
                    jobs.append(Job(_name(spec, name, row, p, names), tuple(_hydra(k, v) for k, v in changes), p))
                    names.add(jobs[-1].name)
    return jobs, count


def write(names: list[str], found: Collected, out: Path) -> list[formats.Table]:
    """Write the named tables as Markdown, CSV and LaTeX to `out`, and all their cells, one a line, to cells.csv."""
    made, cells = [], []
    for name in names:
        book = tables.paper(name.split("-")[0])
        table = tables.fill(book, name, found.runs)
        for suffix, text in WRITERS.items():
            store.write_text(out / f"{name}.{suffix}", text(table))
        made.append(table)
        cells += tables.records(book, name, found.runs)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, tables.RECORD, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    store.write_text(out / "cells.csv", buffer.getvalue())
    return made


def run_collect(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m mer.tables", description=__doc__.splitlines()[0],
                                     epilog="`python -m mer.tables queue --help`: the experiments that a table lacks")
    parser.add_argument("names", nargs="*", metavar="TABLE", help="mol-8, fdp-9, ma2mi-fig4 ...; default: all")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder (default {OUT})")
    args = parser.parse_args(words)
    names = [_known(name) for name in args.names] or list(_tables())
    found = collect()
    made = write(names, found, args.out)
    for line in found.left_out:
        print(line, file=sys.stderr)
    for table in made:
        if table.filled or table.elsewhere:
            own = sum(row.kind == "own" for row in table.rows)
            print(f"{table.name}: {table.filled} cells filled in {own} rows of the paper's method"
                  + (f", {table.elsewhere} on other data" if table.elsewhere else ""))
    waiting = ", ".join(f"{n} {state.lower()}" for state, n in sorted(found.states.items()) if state != "Success")
    print(f"tables: {len(made)} from {len(found.runs)} runs to {args.out}"
          + (f"; {len(found.left_out)} left out" if found.left_out else "")
          + (f"; experiments without a result: {waiting}" if waiting else ""))


def run_queue(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m mer.tables queue",
                                     description="Print the `dvc exp run --queue` lines that fill a table.")
    parser.add_argument("name", metavar="TABLE", help="mol-8, fdp-9, ma2mi-fig4 ...")
    parser.add_argument("--dataset", nargs="+", default=[], metavar="D", help="only columns that need no other dataset")
    parser.add_argument("--profile", help="demo, paper ... (default: that of params.yaml)")
    parser.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE",
                        help="a value for every experiment; runs that have another one do not count as done")
    parser.add_argument("--run", action="store_true", help="queue the experiments")
    args = parser.parse_args(words)
    name = _known(args.name)
    book = tables.paper(name.split("-")[0])
    if book["tables"][name].get("kind") == "rank_sum":
        _say(f"{name} is recomputed from the paper's own numbers, there is nothing to run; `python -m mer.tables "
             f"{name}` writes it")
        return
    raw = _parse(_text("workspace", "params.yaml"), "params.yaml")
    fixed = {"profile": args.profile or raw.get("profile")} | dict(map(_setting, args.set_param))
    found = collect()
    jobs, count = plan(book, name, fixed, args.dataset, found, raw)
    lost = list(dict.fromkeys(line for job in jobs for line in _invisible(job.params)))
    if lost and args.run:
        raise MerError(lost[0])
    for line in (*found.left_out, *lost):
        _say(line)
    for i, job in enumerate(jobs):
        if args.run:
            print(f"[{i + 1}/{len(jobs)}] {job.name}", flush=True)
            _dvc(job)
        else:
            print(shlex.join(["dvc", *job.command]))
    words = {"done": "filled", "pending": "in the queue", "missing": "missing",
             "others": "of other people's methods, which this project does not run"}
    told = f"{name}: cells " + ", ".join(f"{count[key]} {word}" for key, word in words.items() if count[key])
    if not jobs:
        _say(f"{told}; nothing is left to queue")
    elif args.run:
        _say(f"{told}; {len(jobs)} experiments queued, `dvc queue start` runs them in the background, "
             "`dvc exp run --run-all` here")
    else:
        _say(f"{told}; {len(jobs)} experiments fill them (--run queues them)")


def _tables() -> dict[str, str]:
    """{name of a table: its paper}, in the papers' order."""
    return {name: short for short in tables.PAPERS for name in tables.paper(short)["tables"]}


def _known(name: str) -> str:
    known = _tables()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, 1, 0.4)
        raise MerError(f"table {name!r} is in none of the papers" + (f"; did you mean {near[0]}?" if near else "")
                       + f" There are {', '.join(known)}")
    return name


def _say(text: str) -> None:
    """A remark, beside the commands on stdout, which can be piped into a shell."""
    print(text, file=sys.stderr)


def _listed() -> list[dict]:
    """Rows of `dvc exp show`: the workspace, HEAD, every commit that experiments started from, all experiments."""
    from dvc.api import exp_show
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    try:
        revs = [_git("rev-parse", "HEAD")]
        for name in _git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines():
            kept = re.fullmatch("refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/[^/]+", name)  # DVC keeps an experiment here
            revs += ["".join(kept.groups())] if kept else []
        return exp_show(revs=list(dict.fromkeys(revs)))
    except (DvcException, SCMError, MerError) as error:
        raise MerError(f"DVC cannot list the experiments: {' '.join(str(error).split())}; run the command in the "
                       "project's root, which must be under Git with one commit or more") from None


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MerError(f"git {' '.join(words)}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def _text(rev: str, name: str) -> str | None:
    """A file of a revision or of the workspace, None if it is not there."""
    if rev == "workspace":
        return Path(name).read_text(encoding="utf-8") if Path(name).is_file() else None
    done = subprocess.run(["git", "show", f"{rev}:./{name}"], capture_output=True, check=False)
    return None if done.returncode else done.stdout.decode()


def _parse(text: str | None, where: str) -> dict:
    from dvc.exceptions import DvcException
    from dvc.utils.serialize import parse_yaml

    try:
        found = parse_yaml(text or "", where)
    except DvcException as error:
        raise MerError(f"{where}: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or not found:
        raise MerError(f"{where} is missing or empty")
    return found


def _refuse_stale(raw: dict, metrics: str, lock: dict) -> None:
    """Numbers that were made with other parameters than params.yaml now says would fill the wrong cell."""
    stage = lock.get("stages", {}).get("report", {})
    files = {entry["path"]: entry.get("md5") for entry in stage.get("deps", [])}
    if stage.get("params", {}).get("params.yaml") != raw:
        raise MerError("params.yaml was changed after reports/metrics.json was made; run `dvc repro`")
    if files.get(METRICS) != hashlib.md5(metrics.encode()).hexdigest():
        raise MerError("reports/metrics.json is not the one in dvc.lock; run `dvc repro`")


def _flat(p: Params) -> dict[str, object]:
    return tables.flatten(asdict(p))


def _leaves(raw: dict) -> list[str]:
    return [key for key in tables.flatten(raw) if not key.startswith("profiles.")]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _at(raw: dict, key: str) -> object:
    for word in key.split("."):
        raw = raw.get(word) if isinstance(raw, dict) else None
    return raw


def _overrides(raw: dict, wanted: dict, fixed: dict, where: str) -> tuple[Params, list[tuple[str, object]]]:
    """The parameters of a cell's experiment, and the few changes of the workspace that make it.

    A knob that is null in params.yaml follows the profile, and is set only where the profile says otherwise.
    """
    demands = {key: value for key, value in wanted.items() if key not in fixed}
    flat = tables.flatten(raw) | {key: _at(raw, key) for key in demands}
    changed = {key: _pick(raw, fixed, wanted, key, where) for key in tables.differing(demands, flat)
               if flat[key] is not None}
    changes = changed | {key: value for key, value in fixed.items() if key != "profile" or value != raw.get(key)}
    try:
        try:
            p = resolve(raw, changes)
            rest = tables.differing(demands, _flat(p))
        except MerError:  # perhaps for want of a value that the profile does not give
            rest = [key for key in demands if flat[key] is None]
            if not rest:
                raise
        if rest:
            changes |= {key: _pick(raw, fixed, wanted, key, where) for key in rest}
            p = resolve(raw, changes)
    except MerError as error:
        raise MerError(f"{where}: {error}") from None
    against = [key for key in tables.differing(wanted, _flat(p))]
    if against:
        raise MerError(f"{where} wants {against[0]} = {wanted[against[0]]}, not {_plain(_flat(p)[against[0]])!r}"
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
        block = _at(raw, f"profiles.{wanted.get('model')}.{fixed['profile']}") or {}
        return None if tables.matches({key: value}, Run({key: _at(block, key)}, {})) else value["any"][0]
    return value


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


def _label(spec: dict, row: dict) -> str:
    return ", ".join(str(row[key]) for key in spec["stub"] if key in row and key not in ("venue", "type"))


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


def _invisible(p: Params) -> list[str]:
    """What the experiment reads but Git and DVC do not know: the queue runs in a copy that has only what they know."""
    needed = [f"data/raw/{name}" for name in (*p.datasets, *p.pretrain.sources)
              if name not in ("synthetic", "synthetic_macro")]
    if p.model == "ma2mi" and params.needs_latents(p) and p.ma2mi.autoencoder == "sd_vae":
        needed += [path.as_posix() for path in sorted(Path(p.ma2mi.sd_vae).glob("*")) if path.suffix in (
            ".json", ".safetensors", ".bin")]
    if p.model == "ma2mi" and p.ma2mi.encoder_weights:
        needed.append(f"data/encoder_weights/{p.ma2mi.encoder_weights}")
    problems = []
    for path in needed:
        if not Path(path).exists():
            problems.append(f"{path} does not exist; put it there before the experiments are run")
        elif not _git("ls-files", path, f"{path}.dvc"):
            problems.append(f"{path} is unknown to DVC, and the queue runs in a copy that has only what DVC and Git "
                            f"know; run `dvc add {path} && git add -f {path}.dvc`")
    return problems


def _dvc(job: Job) -> None:
    from dvc.cli import main as dvc

    if dvc(job.command):
        raise MerError(f"`{shlex.join(['dvc', *job.command])}` failed; DVC says why above")


def run() -> None:
    words = sys.argv[1:]
    return run_queue(words[1:]) if words[:1] == ["queue"] else run_collect(words)


if __name__ == "__main__":
    main(run)
