"""What Dask costs: the demo's label stages and folds on two workers over TCP, beside two processes of the local pool.

    python tests/bench/cluster.py                        # on the products of the last `dvc repro` here; some minutes
    python tests/bench/cluster.py --data there/data      # of another folder
    python tests/bench/cluster.py --stages align flow    # these alone

Each stage runs whole, as a command, in turns by both; scheduler and workers are there before. Its seconds are process
time of all processes of an arm, but for what the cluster takes per second of wall time with nothing to do, which is
measured first and is a row of its own: on a busy machine the wall time is anything. That both write the same bytes is
compared.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import cluster  # noqa: E402  # tests/cluster.py
from bench import rows  # noqa: E402
from pipeline import PROJECT, digests, write_params  # noqa: E402

WORKERS = 2
IDLE = 10.0  # seconds of looking at the cluster with nothing to do
OUTS = {"landmarks": "landmarks/synthetic", "align": "aligned/synthetic", "flow": "flow/synthetic", "train": "folds"}
TICKS = slice(11, 15)  # behind the name in /proc/N/stat: user and system time, own and of the children that ended


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="a data folder of the default run")
    parser.add_argument("--stages", nargs="+", default=list(OUTS), choices=list(OUTS))
    parser.add_argument("--steps", type=int, default=40, help="of a fold")
    parser.add_argument("--rounds", type=int, default=1)
    return rows.parse(parser, quick={"stages": ["align"]})


def project(folder: Path, data: Path) -> None:
    """The code, copied, and links to the products; what a stage writes is removed before it."""
    for name in (name for name in PROJECT if name in ("mer", "stages") or name.endswith(("yaml", "toml"))):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for path in data.glob("*"):
        if path.is_dir() and path.name != "costs":
            (folder / "data" / path.name).mkdir(parents=True)
            for part in path.glob("*"):
                (folder / "data" / path.name / part.name).symlink_to(part.resolve())


def ticks(processes: list[subprocess.Popen]) -> float:
    """CPU seconds of processes that still run."""
    stats = [Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split() for process in processes]
    return sum(int(word) for words in stats for word in words[TICKS]) / os.sysconf("SC_CLK_TCK")


def idle(dask: cluster.Dask) -> float:
    """CPU seconds per second of a cluster with nothing to do."""
    processes, began = [dask.scheduler, *dask.workers], time.monotonic()
    before = ticks(processes)
    time.sleep(IDLE)
    return (ticks(processes) - before) / (time.monotonic() - began)


def stage(folder: Path, name: str, dask: cluster.Dask | None, steps: int) -> tuple[float, float, dict[str, str]]:
    """CPU and wall seconds of one stage, and the digests of what it wrote."""
    on = {"backend": "dask", "cluster": dask.address} if dask else {"backend": "loky", "cluster": None}
    write_params(folder / "params.yaml", {"parallel": {"workers": WORKERS, **on}, "train": {
        "steps": steps, "workers": WORKERS, "eval_every": min(steps, 10)}})
    out = folder / "data" / OUTS[name]
    if out.is_symlink():
        out.unlink()
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(folder / ".scratch", ignore_errors=True)
    others = [dask.scheduler, *dask.workers] if dask else []
    used, before, began = resource.getrusage(resource.RUSAGE_CHILDREN), ticks(others), time.monotonic()
    words = [sys.executable, "-m", f"stages.{name}", *([] if name == "train" else ["synthetic"])]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(words[1:])} failed: {done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime + ticks(others) - before
    return cpu, wall, digests(out)


def main() -> None:
    args = arguments()
    if not (args.data / "landmarks/synthetic").is_dir():
        sys.exit(f"{args.data}: no products of the default run; run `dvc repro`, or name a data folder that has them")
    cpu, wall = ({name: [0.0, 0.0] for name in args.stages} for _ in range(2))
    with tempfile.TemporaryDirectory(prefix="mer-cluster-") as place:
        folder = Path(place)
        project(folder, args.data)
        with cluster.started(folder / "dask", WORKERS) as dask:
            rate = idle(dask)
            for number in range(args.rounds):
                for name in args.stages:
                    made = {}
                    for arm in ((0, 1), (1, 0))[number % 2]:
                        one, clock, made[arm] = stage(folder, name, dask if arm else None, args.steps)
                        cpu[name][arm] += one - rate * clock * arm
                        wall[name][arm] += clock
                    if made[0] != made[1] or not made[0]:
                        sys.exit(f"{name}: the pool and the cluster wrote different bytes")
                    print(f"{name:10}" + "   ".join(
                        f"{word} {cpu[name][arm]:6.1f} CPU s, {wall[name][arm]:6.1f} s"
                        for arm, word in enumerate(("pool", "dask"))), flush=True)
    found = [tuple(sum(seconds[arm] for seconds in times.values()) for arm in (0, 1)) for times in (cpu, wall)]
    pool, ours = found[0]
    print(f"all: Dask takes {ours / pool:.3f} times the process time, {found[1][1] / found[1][0]:.3f} times the wall "
          f"time of the pool; the same bytes; with nothing to do {rate:.3f} CPU s a second")
    rows.emit(args, rows.row(f"Dask, {WORKERS} workers over TCP: {', '.join(args.stages)}", ours, "CPU s", other=pool,
                             against=f"the local pool of {WORKERS}", ratio=pool / ours, goal="ratio >= 0.909"),
              rows.row("the cluster with nothing to do", rate * 1000, "CPU ms a second"))


if __name__ == "__main__":
    main()
