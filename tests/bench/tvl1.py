"""TV-L1 by mer/labels/tvl1.py beside OpenCV's, in turns: process time of one thread, medians, and whether bits agree.

    python tests/bench/tvl1.py                         # rendered faces, of 144 x 144 pixels
    python tests/bench/tvl1.py --store data/aligned/synthetic  # pairs of an aligned store
    python tests/bench/tvl1.py --device cuda           # the batched solver: pairs per second, end-point error
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from bench import rows, steps  # noqa: E402
from labels.label_tools import shifted, texture  # noqa: E402

from mer.labels import flow, tvl1  # noqa: E402

TURN = 4  # pairs of OpenCV between two batches
FLOOR = 12.0  # ms of a pair of 128 x 128
FLOOR_IS = ("estimate: 5.0 million pixel-iterations a pair of 128 x 128, each 5 divisions and 2 roots, 6 cycles of "
            "AVX-512 at 2.5 GHz")
GPU_FLOOR, GPU_FLOOR_IS = 9000, "estimate: 320 MB a pair at an H100's 3 TB/s"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--store", type=Path, help="an aligned store instead of shifted textures with camera noise")
    parser.add_argument("--batch", type=int, default=256, help="pairs at once on a GPU")
    return rows.parse(parser, quick={"pairs": 2, "batch": 2}, cuda={})


def pairs_of(store: Path | None, count: int) -> list[np.ndarray]:
    """(2, H, W) uint8 each: two frames of a clip, a sixth of it apart."""
    if store is None:
        rng = np.random.default_rng(0)
        return [np.stack([np.clip(shifted(texture((144, 144), seed=i, blur=2.5), *rng.normal(0, 0.5, 2))
                                  + rng.normal(0, 3, (144, 144)), 0, 255).astype(np.uint8) for _ in range(2)])
                for i in range(count)]
    import h5py

    found = []
    for shard in sorted(store.glob("*.h5")):
        with h5py.File(shard) as file:
            for clip in file.values():
                frames = clip["frames"][()]
                found.append(frames[[2 * len(frames) // 6, 3 * len(frames) // 6]])
    return found[:: max(1, len(found) // count)][:count]


def batched(args: argparse.Namespace, pairs: list[np.ndarray]) -> None:
    """The solver of many pairs at once, on the GPU where there is one, and OpenCV on one thread, in turns."""
    many = np.resize(np.stack(pairs), (args.batch, *pairs[0].shape))
    flow._batched(many[:, 0], many[:, 1])  # warms up
    rates, theirs, errors = [], [], []
    for begin in range(0, len(pairs), TURN):
        began = time.perf_counter()  # it ends on the CPU, so that the GPU has caught up
        found = flow._batched(many[:, 0], many[:, 1])[begin:]
        rates.append(len(many) / (time.perf_counter() - began))
        began = time.perf_counter()
        expected = [flow.tvl1(*pair, "opencv") for pair in pairs[begin:begin + TURN]]
        theirs.append(len(expected) / (time.perf_counter() - began))
        errors += [np.hypot(*(one - two)).mean() for one, two in zip(found, expected, strict=False)]
    ours, other, error = statistics.median(rates), statistics.median(theirs), float(np.mean(errors))
    print(f"{args.batch} pairs at once: {ours:.0f} pairs a second, OpenCV {other:.1f}; mean end-point error to OpenCV "
          f"{error:.4f} px")
    rows.emit(args, rows.row("TV-L1, batched", ours, "pairs a second", other=other, against="OpenCV, one thread",
                             ratio=ours / other, goal=steps.goal(args, "", "ours >= 1000"),
                             floor=GPU_FLOOR if steps.goal(args, "", "h") else None, floor_is=GPU_FLOOR_IS),
              rows.row("TV-L1, batched, end-point error to OpenCV", error, "px", goal="ours <= 0.02"))


def main() -> None:
    args = arguments()
    cv2.setNumThreads(1)
    pairs = pairs_of(args.store, args.pairs)
    if rows.on_gpu(args):
        batched(args, pairs)
        return
    tvl1.agrees()  # compiles
    times = {"opencv": [], "numba": []}
    same = 0
    for pair in pairs:
        made = {}
        for solver, spent in times.items():
            begin = time.process_time()
            made[solver] = flow.tvl1(*pair, solver)
            spent.append(time.process_time() - begin)
        same += made["opencv"].tobytes() == made["numba"].tobytes()
    theirs, ours = (1e3 * statistics.median(times[solver]) for solver in times)
    ratios = [a / b for a, b in zip(times["opencv"], times["numba"], strict=True)]
    height, width = pairs[0].shape[1:]
    print(f"{len(pairs)} pairs of {width} x {height}: OpenCV {theirs:.0f} ms, compiled {ours:.1f} ms; ratio "
          f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}); the same bits in {same} of "
          f"{len(pairs)}")
    rows.emit(args, rows.row(f"TV-L1, a pair of {width} x {height}", ours, "ms", other=theirs, against="OpenCV",
                             ratio=statistics.median(ratios), goal="ratio >= 5",
                             floor=FLOOR * width * height / 128 ** 2, floor_is=FLOOR_IS),
              rows.row("TV-L1, pairs with OpenCV's bits", same, f"of {len(pairs)}", goal=f"ours >= {len(pairs)}"))


if __name__ == "__main__":
    main()
