"""`mer bench`: the benchmarks sized for this machine, one after another; a table with goals and floors, and a CSV.

With a GPU their GPU parts, in under 8 minutes; without one those of the CPU, with one thread. What
tests/bench/suite.yaml calls long runs only where it is named. Send us the CSV of your machine.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from mer.base import cost, environment, portable, store
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.base.knobs import read_yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "tests/bench"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
GOAL = re.compile(r"(ratio|ours) (<=|>=) (\d+(?:\.\d+)?)")
NUMBERS = {"ours", "other", "ratio", "floor"}
ROW = ("what", "ours", "unit", "other", "against", "ratio", "goal", "floor", "floor_is")  # tests/bench/rows.py
RESULT = ("benchmark", *ROW, "met", "reason")
SHOWN = ("what", "ours", "other arm", "ratio", "goal", "floor", "met")


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.bench"), description=__doc__.splitlines()[0])
    made.add_argument("names", nargs="*", help=f"benchmarks of {FOLDER}/suite.yaml; none: all that are not long")
    made.add_argument("--out", type=Path, default=Path("bench.csv"), help="the table as CSV (default: %(default)s)")
    made.add_argument("--quick", action="store_true", help="tiny sizes: whether all of it works, no figure to quote")
    return made


def run() -> int:
    """Measure, print and write; 1 if a benchmark failed, 130 after Ctrl-C, else 0."""
    asked = parser().parse_args()
    if not asked.out.parent.is_dir() or asked.out.is_dir():
        raise MerError(f"--out {asked.out}: expected a file in a folder that is there")
    gpu = has_gpu()
    known = suite(ROOT)
    chosen = choose(known, asked.names, gpu)
    about = machine(ROOT, gpu)
    results: list[dict] = []
    stopped = False
    for number, (name, (device, limit)) in enumerate(chosen.items(), start=1):
        print(f"{number} of {len(chosen)}: {name} on the {device.upper()}, at most {limit} s", file=sys.stderr,
              flush=True)
        words = ["--json", *["--quick"] * asked.quick, *(["--device", "cuda"] if device == "gpu" else [])]
        began = time.monotonic()
        try:
            rows, reason = measure(ROOT / FOLDER / f"{name}.py", words, limit,
                                   surroundings(known[name].get("long", False)))
        except KeyboardInterrupt:
            stopped = True
            print(f"interrupted in {name}; what was measured before is below", file=sys.stderr)
            break
        results += [{"benchmark": name, **row, "met": met(row), "reason": ""} for row in rows] or [
            {"benchmark": name, "what": name, "reason": reason}]
        print(f"  {reason or 'done'}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        write(asked.out, results, about)
    print("\n".join([*table(results), *notes(results, about, gpu, asked.quick)]))
    if results:
        print(f"{asked.out}: the same as CSV")
    return 130 if stopped else int(any(result["reason"] for result in results))


def suite(root: Path) -> dict[str, dict]:
    """{benchmark: its line of suite.yaml}.

    Raises:
        MerError: there is no checkout around the package.
    """
    path = root / FOLDER / "suite.yaml"
    if not path.is_file():
        raise MerError(f"no {FOLDER} beside the package mer: the benchmarks are in a checkout of the project; clone "
                       "it and `pip install -e .` there")
    return read_yaml(path)


def choose(known: dict[str, dict], names: Iterable[str], gpu: bool) -> dict[str, tuple[str, int]]:
    """{benchmark: (cpu or gpu, limit in seconds)} of those that are named, or of all for this machine.

    Raises:
        MerError: a name that is none.
    """
    for name in (names := list(names)):
        if name not in known:
            raise MerError(f"benchmark {name!r}: there is none; expected {', '.join(known)}")
    parts = {name: "gpu" if gpu and "gpu" in known[name] else "cpu" for name in names or known}
    return {name: (part, known[name][part]) for name, part in parts.items()
            if names or (not known[name].get("long") and part == ("gpu" if gpu else "cpu"))}


def surroundings(long: bool) -> dict[str, str]:
    """A benchmark's environment: one thread and this processor's own kernels; of a long one, as it would be by hand.

    The import of mer has capped the kernels of this process and its children where params.yaml is portable.
    """
    caps = portable.CAPS | portable.TORCH_CAPS
    found = {name: value for name, value in os.environ.items() if caps.get(name) != value}
    return found if long else found | ONE_THREAD | {"MER_PORTABLE": "0"}


def measure(script: Path, words: Iterable[str], limit: float, env: dict[str, str]) -> tuple[list[dict], str]:
    """A benchmark's rows, or none and why; it is ended with all that it started after `limit` s."""
    process = subprocess.Popen([sys.executable, str(script), *words], cwd=script.parents[2], text=True,
                               env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end(process)
        return [], f"stopped after {limit:g} s"
    except BaseException:  # Ctrl-C reaches us alone, because the benchmark has a session of its own
        _end(process)
        raise
    last = [text.strip().splitlines()[-1:] for text in (out, err)]
    rows = parse(*last[0]) if last[0] else None
    if rows is None:
        return [], f"failed with exit code {process.returncode}: {' '.join(last[1] or last[0]) or 'it said nothing'}"
    return rows, ""


def _end(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:  # Windows
            process.kill()
    process.communicate()


def parse(line: str) -> list[dict] | None:
    """The rows that a benchmark's last line holds; None where it is another line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, list) and found and all(map(_is_row, found)) else None


def _is_row(row: object) -> bool:
    if not isinstance(row, dict) or set(row) != set(ROW) or row["ours"] is None:
        return False
    goal = isinstance(row["goal"], str) and (not row["goal"] or GOAL.fullmatch(row["goal"]))
    return bool(goal) and not (row["goal"].startswith("ratio") and row["ratio"] is None) and all(
        row[key] is None or isinstance(row[key], int | float) if key in NUMBERS else isinstance(row[key], str)
        for key in ROW)


def met(row: dict) -> str:
    """yes or no, '' without a goal; of `ratio >= 5`, `ours <= 20`."""
    goal = GOAL.fullmatch(row["goal"])
    if goal is None:
        return ""
    key, sign, number = goal.groups()
    return "yes" if (row[key] <= float(number) if sign == "<=" else row[key] >= float(number)) else "no"


def has_gpu() -> bool:
    """Whether torch sees one."""
    import torch

    return torch.cuda.is_available()


def machine(root: Path, gpu: bool) -> dict[str, str]:
    """What the figures depend on, in words."""
    import torch

    if gpu:
        torch.cuda.init()  # so that cost.machine names it
    versions = {"Python": platform.python_version(), **environment.everything(), "CUDA": torch.version.cuda or ""}
    git = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=root, capture_output=True,
                         text=True, check=False)
    return {"machine": cost.machine(),
            "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "",
            "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
            "commit": git.stdout.strip() or "unknown"}


def write(path: Path, results: list[dict], about: dict[str, str]) -> None:
    """The table as CSV, with the machine in each row, so that those of several can be put together."""
    store.write_csv(path, (*RESULT, *about), ([result.get(key, "") if result.get(key) is not None else ""
                                               for key in RESULT] + list(about.values()) for result in results))


def table(results: list[dict]) -> list[str]:
    """Lines of text, a row a measurement; of a benchmark that failed its reason."""
    rows = [_cells(result) for result in results if not result["reason"]]
    widths = [max(len(cell) for cell in column) for column in zip(SHOWN, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
             for cells in ([SHOWN, *rows] if rows else [])]
    return lines + [f"{result['benchmark']}: {result['reason']}" for result in results if result["reason"]]


def _cells(result: dict) -> tuple[str, ...]:
    unit = result["unit"]
    other = "" if result["other"] is None else f"{_number(result['other'])} {unit}: {result['against']}"
    floor = "" if result["floor"] is None else f"{_number(result['floor'])} {unit}"
    return (result["what"], f"{_number(result['ours'])} {unit}", other, _number(result["ratio"]), result["goal"], floor,
            result["met"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def notes(results: list[dict], about: dict[str, str], gpu: bool, quick: bool) -> list[str]:
    """What the table cannot say: how floors were found, the machine, what was not measured."""
    floors = dict.fromkeys(result["floor_is"] for result in results if result.get("floor") is not None)
    return ["", *(f"floor: {words}" for words in floors), *(f"{key}: {value}" for key, value in about.items() if value),
            *([] if gpu else ["no GPU that torch sees: no GPU figure was taken"]),
            *(["the sizes of --quick: no figure to quote, no goal"] if quick else [])]


if __name__ == "__main__":
    main(run)
