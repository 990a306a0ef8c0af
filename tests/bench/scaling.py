"""CPU time, peak memory and disk of each stage for 1, 2, 4, 8 times the clips of the embedded macro release.

    python tests/bench/scaling.py
    python tests/bench/scaling.py --times 1 8 --stages align flow --subjects 1
    python tests/bench/scaling.py --stages pretrain   # the stages before run as well

The release is enlarged under new names: the same frames (hard links), so many more subjects. Each stage runs as `dvc
repro` would run it, in a folder of its own. CPU: of the stage and its workers. Memory: the most that the stage's
process and the largest of its workers held. Disk: what it wrote. The exponent is the slope of log CPU over log clips,
both beyond those of a run on a clip a worker, the start-up: 1 = twice the clips, twice the time. The last table says
what the measured CPU seconds and bytes a frame (of pictures of this size) mean for releases; it is arithmetic, not a
measurement.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import rows  # noqa: E402
from pipeline import BUDGET, environment, write_params  # noqa: E402

from mer.base import disk, store  # noqa: E402

NAME = "synthetic_macro"
STAGES = {"index": "index", "landmarks": "landmarks", "align": "aligned", "flow": "flow", "dynamic": "dynamic",
          "pretrain": "pretrained"}  # in the graph's order: where each writes
NEEDED = {"index": (), "landmarks": ("index",), "align": ("index", "landmarks"),
          "flow": ("index", "landmarks", "align"), "dynamic": ("index", "landmarks", "align"),
          "pretrain": ("index", "landmarks", "align", "flow", "dynamic")}
LABELS = ("landmarks", "align", "flow", "dynamic")  # for which the last table is printed
NOISE = 0.2  # CPU seconds, by which two runs of the same differ
WITHIN = 1.1  # of the memory at the fewest clips
RELEASES = {  # clips, frames of their spans
    "CASME II": (255, 17_138), "CAS(ME)^3, at most": (860, 860 * 150),  # 17 of its clips are longer
    "DFEW": (11_697, 11_697 * 85),  # the mean length is taken, not counted
    "Aff-Wild2": (57_178, 2_800_000)}  # cut into clips of at most 64 frames
CORES = (1, 16, 64)


def synthesize(root: Path, asked: argparse.Namespace) -> Path:
    """A release of the smallest size in `root`; where it is."""
    settle(root, asked)
    run(root, "check")
    run(root, "synthesize")
    return root / "data/raw" / NAME


def settle(root: Path, asked: argparse.Namespace) -> None:
    """A project's folder with its parameters, without code of its own."""
    root.mkdir(parents=True)
    for name in ("dvc.yaml", "data/encoder_weights/README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    write_params(root / "params.yaml", {
        "model": asked.model, "parallel": {"workers": asked.workers},
        "synthetic": {"subjects": 2, "clips_per_class": 1, "frames": 5, "macro_subjects": asked.subjects,
                      "macro_clips_per_class": asked.clips, "macro_frames": asked.frames, "width": asked.width,
                      "height": max(200, round(asked.width * 340 / 280))},
        "pretrain": BUDGET | {"steps": asked.steps}})


def enlarge(release: Path, root: Path, times: int, few: int) -> None:
    """The release so many times below other names in the project `root`; 0 times: its first `few` clips."""
    target = root / "data/raw" / NAME
    with open(release / "clips.csv", newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    made: list[list[str]] = []
    for number in range(max(times, 1)):
        shutil.copytree(release / "frames", target / f"frames{number}", copy_function=os.link)
        for clip, subject, folder, *rest in lines:
            made.append([f"x{number}_{clip}", f"x{number}_{subject}", folder.replace("frames/", f"frames{number}/"),
                         *rest])
    store.write_csv(target / "clips.csv", header, made if times else made[:few])


def run(root: Path, stage: str, *words: str) -> float:
    """Run a stage; CPU seconds of it and all that it waited for."""
    env = environment(root) | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    log = root / f"{stage}.log"
    with open(log, "w") as file:
        process = subprocess.Popen([sys.executable, "-m", f"stages.{stage}", *words], cwd=root, env=env, stdout=file,
                                   stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{stage} failed:\n{log.read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime


def measure(root: Path, stage: str) -> dict[str, float]:
    """CPU seconds, MB of the stage and of its largest worker, bytes written."""
    by_dataset = stage != "pretrain"
    seconds = run(root, stage, *[NAME] * by_dataset)
    record = store.read_json(root / "data/costs" / stage / f"{NAME}.json" if by_dataset else
                             root / f"data/costs/{stage}.json")
    written = root / "data" / STAGES[stage] / (NAME if by_dataset else "")
    return {"cpu": seconds, "memory": record.get("memory_mb", 0), "worker": record.get("worker_memory_mb", 0),
            "bytes": disk.used(written.rglob("*"))}


def exponent(clips: list[int], seconds: list[float]) -> float | None:
    """The slope of a line through log seconds over log clips, where both are beyond NOISE; None of fewer than two."""
    seen = [(count, time) for count, time in zip(clips, seconds, strict=True) if time > NOISE]
    return float(np.polyfit(*np.log(seen).T, 1)[0]) if len(seen) > 1 else None


def clips_of(asked: argparse.Namespace, times: int) -> int:
    """How many clips the release has so many times; of seven classes."""
    return times * asked.subjects * asked.clips * 7 or asked.workers


def tell(asked: argparse.Namespace, found: dict[str, list[dict]]) -> list[dict]:
    """Print a line a run; the rows of the table."""
    told = []
    print(f"{'stage':10}{'clips':>7}{'CPU s':>9}{'MB':>7}{'worker MB':>11}{'disk':>10}")
    for stage, measured in found.items():
        for times, one in zip([0, *asked.times], measured, strict=True):
            print(f"{stage:10}{clips_of(asked, times):7}{one['cpu']:9.1f}{one['memory']:7.0f}{one['worker']:11.0f}"
                  f"{disk.words(one['bytes']):>10}")
        grows = exponent([clips_of(asked, times) - asked.workers for times in asked.times],
                         [one["cpu"] - measured[0]["cpu"] for one in measured[1:]])
        few, many = (max(one["memory"], one["worker"]) for one in (measured[1], measured[-1]))
        ratio = many / few
        slope = "not to be told from so few clips" if grows is None else f"{grows:.2f}"
        print(f"{'':10}exponent of CPU beyond the start-up {slope}; memory {ratio:.3f} times that of "
              f"{clips_of(asked, asked.times[0])} clips")
        told += [] if grows is None else [rows.row(f"{stage}: exponent of CPU over clips", grows, "")]
        told += [rows.row(f"{stage}: memory at {asked.times[-1]} times the clips, by that at {asked.times[0]}", ratio,
                          "", goal=f"ours <= {WITHIN}")]
    return told


def mean(asked: argparse.Namespace, found: dict[str, list[dict]], frames: int) -> None:
    """Print what the constants mean for releases; frames: of the largest release that was measured."""
    clips = clips_of(asked, asked.times[-1])
    print(f"\nlabels by {', '.join(found)}, of pictures {asked.width} pixels wide; hours of the cores named")
    print(f"{'release':20}{'clips':>8}{'frames':>10}" + "".join(f"{n:>10}" for n in CORES) + f"{'disk':>10}")
    for name, (many, long) in RELEASES.items():
        share = {stage: many / clips if stage in ("flow", "dynamic") else long / frames for stage in found}
        seconds = sum(share[stage] * (one[-1]["cpu"] - one[0]["cpu"]) for stage, one in found.items())
        size = sum(share[stage] * one[-1]["bytes"] for stage, one in found.items())
        print(f"{name:20}{many:8}{long:10}" + "".join(f"{seconds / n / 3600:10.2f}" for n in CORES)
              + f"{disk.words(size):>10}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", nargs="+", type=int, default=[1, 2, 4, 8], help="so many times the clips")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(LABELS))
    parser.add_argument("--subjects", type=int, default=2, help="of the smallest release, seven clips each")
    parser.add_argument("--clips", type=int, default=1, help="of each of seven classes")
    parser.add_argument("--frames", type=int, default=32, help="of a clip")
    parser.add_argument("--width", type=int, default=280, help="of a picture, pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", default="mol")
    parser.add_argument("--steps", type=int, default=6, help="of pretrain")
    asked = rows.parse(parser, quick={"times": [1, 8], "subjects": 1, "frames": 9, "width": 170,
                                      "stages": ["align", "flow"]})
    wanted = [name for name in STAGES if name in asked.stages or any(name in NEEDED[other] for other in asked.stages)]
    with tempfile.TemporaryDirectory(prefix="mer-scaling-") as folder:
        release = synthesize(Path(folder) / "smallest", asked)
        found: dict[str, list[dict]] = {stage: [] for stage in asked.stages}
        for times in [0, *asked.times]:
            root = Path(folder) / f"times{times}"
            settle(root, asked)
            enlarge(release, root, times, asked.workers)
            run(root, "check")
            for stage in wanted:
                one = measure(root, stage)
                if stage in found:
                    found[stage].append(one)
            if "landmarks" in wanted:
                frames = store.read_json(root / f"data/landmarks/{NAME}/summary.json")["frames"]
            shutil.rmtree(root)
    told = tell(asked, found)
    if set(found) <= set(LABELS):
        mean(asked, found, frames)
    rows.emit(asked, *told)
    sys.exit(any(row["ours"] > WITHIN for row in told if row["goal"]))


if __name__ == "__main__":
    main()
