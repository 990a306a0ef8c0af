"""Seconds per stage and clips per second of the demo: `dvc repro` on a fresh copy of this working tree.

    python tests/bench/demo.py               # about ten minutes on two cores; nothing is written to this tree
    python tests/bench/demo.py --keep there  # leave the copy and its results in the folder `there`
    python tests/bench/demo.py --model fdp   # another model's demo

A stage's seconds are wall time from its start to the next one's: the stage, its start-up, and DVC's hashing of what it
wrote. Clips per second are clips labelled or, for pretrain and train, clips that went through a training step.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from bench import rows  # noqa: E402
from pipeline import DVC, checkout, dvc, environment, write_params  # noqa: E402

from mer import params  # noqa: E402
from mer.base import parallel  # noqa: E402
from mer.evaluation import results  # noqa: E402

FOLDERS = {"index": "index", "landmarks": "landmarks", "align": "aligned", "flow": "flow", "dynamic": "dynamic"}


def repro(root: Path) -> tuple[list[tuple[str, float]], float]:
    """Run `dvc repro` in `root`: [(stage, seconds)] in order, and the total; its output goes on to stderr."""
    began = time.monotonic()
    starts = []
    with subprocess.Popen([*DVC, "repro"], cwd=root, env=environment(root), text=True,
                          stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            if line.startswith("Running stage '"):
                starts.append((line.split("'")[1], time.monotonic()))
            print(line, end="", file=sys.stderr)
    if process.returncode:
        sys.exit(f"dvc repro failed with exit code {process.returncode}")
    ends = [*(start for _, start in starts[1:]), time.monotonic()]
    return [(name, end - start) for (name, start), end in zip(starts, ends, strict=True)], time.monotonic() - began


def clips_of(root: Path, stage: str) -> int | None:
    """How many clips a stage of the finished run worked on, or None for stages that do not go clip by clip."""
    p, data = params.load(root / "params.yaml"), root / "data"
    name, _, dataset = stage.partition("@")
    folder = FOLDERS.get(name.removesuffix("-macro"))
    if folder:
        summary = json.loads((data / folder / dataset / "summary.json").read_text())
        return summary["clips"] if summary.get("used", True) else None
    if name == "synthesize":
        return sum(1 for _ in data.glob("raw/synthetic*/frames/*"))
    if name == "pretrain":
        summary = json.loads((data / "pretrained/summary.json").read_text())
        return summary["numbers"]["steps"] * p.pretrain.batch * len(p.seeds) or None
    if name == "train":
        steps = json.loads((data / "folds/summary.json").read_text())["steps"]
        return sum(steps) // 2 * p.train.batch * len(list(data.glob("folds/*/*/predictions.csv")))
    return None


def measure(root: Path, asked: argparse.Namespace) -> None:
    checkout(root)
    write_params(root / "params.yaml", {"model": asked.model})
    stages, total = repro(root)
    print(f"{'stage':32}{'seconds':>10}{'clips':>8}{'clips/s':>10}")
    for name, seconds in stages:
        clips = clips_of(root, name)
        print(f"{name:32}{seconds:10.1f}" + (f"{clips:8}{clips / seconds:10.1f}" if clips else ""))
    print(f"{'all, with DVC':32}{total:10.1f}   on {parallel.cores()} cores")
    again = [dvc(root, "repro") for _ in range(3)]
    if any(done.ran for done in again):
        sys.exit("a second dvc repro ran a stage again")
    print(f"{'dvc repro with nothing to do':32}{min(done.seconds for done in again):10.1f}   best of three")
    numbers = results.read(root / "reports")
    print(f"accuracy {numbers['accuracy']:.3f}, chance {numbers['chance']:.3f} (synthetic data)")
    rows.emit(asked, rows.row(f"the demo of {asked.model}, {parallel.cores()} cores", total, "s"),
              rows.row("dvc repro with nothing to do", min(done.seconds for done in again), "s"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="an empty or new folder for the copy")
    parser.add_argument("--model", default="mol", help="mol, fdp or ma2mi")
    asked = rows.parse(parser)
    keep = asked.keep
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            parser.error(f"--keep {keep}: the folder is not empty")
        measure(keep.resolve(), asked)
        return
    with tempfile.TemporaryDirectory(prefix="mer-demo-") as folder:
        measure(Path(folder), asked)


if __name__ == "__main__":
    main()
