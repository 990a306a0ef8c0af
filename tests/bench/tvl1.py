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
from labels.label_tools import shifted, texture  # noqa: E402

from mer.labels import flow, tvl1  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--store", type=Path, help="an aligned store instead of shifted textures with camera noise")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=256, help="pairs at once on a GPU")
    return parser.parse_args()


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


def main() -> None:
    args = arguments()
    cv2.setNumThreads(1)
    pairs = pairs_of(args.store, args.pairs)
    if args.device == "cuda":
        import torch

        many = np.resize(np.stack(pairs), (args.batch, *pairs[0].shape))
        flow._batched(many[:, 0], many[:, 1])
        torch.cuda.synchronize()
        begin = time.perf_counter()
        found = flow._batched(many[:, 0], many[:, 1])
        seconds = time.perf_counter() - begin
        error = [np.hypot(*(one - flow.tvl1(*pair, "opencv"))).mean() for one, pair in zip(found, pairs, strict=False)]
        print(f"{torch.cuda.get_device_name()}: {args.batch / seconds:.0f} pairs a second, mean end-point error to "
              f"OpenCV {np.mean(error):.4f} px (goals: 1000 on an H100, at most 0.02)")
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
    theirs, ours = (statistics.median(times[solver]) for solver in times)
    ratios = [a / b for a, b in zip(times["opencv"], times["numba"], strict=True)]
    print(f"{len(pairs)} pairs of {pairs[0].shape[2]} x {pairs[0].shape[1]}: OpenCV {1e3 * theirs:.0f} ms, compiled "
          f"{1e3 * ours:.1f} ms; ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}); the "
          f"same bits in {same} of {len(pairs)}")


if __name__ == "__main__":
    main()
