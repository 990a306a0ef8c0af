"""Random clips read from a shard in the page cache: with their checksums compared, without, and HDF5's own checksum.

    python tests/bench/storage.py                # clips of 8 frames of 144 x 144 pixels
    python tests/bench/storage.py --frames 32

All arms read the same clips in the same random order, in turns, from files that are open; MB a second of process time,
medians. `fletcher32` is HDF5's checksum, which needs chunks: one a clip, in one array of all clips.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import rows  # noqa: E402

from mer.base import store  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--frames", type=int, default=8, help="of a clip")
    parser.add_argument("--side", type=int, default=144, help="of a frame, pixels")
    parser.add_argument("--rounds", type=int, default=15)
    return rows.parse(parser, quick={"clips": 20, "rounds": 2})


def main() -> None:
    args = arguments()
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (args.clips, args.frames, args.side, args.side), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        shard, chunked = Path(folder) / "shard.h5", Path(folder) / "chunks.h5"
        store.write_shard(shard, {f"{i:05}": {"frames": clip} for i, clip in enumerate(clips)})
        with h5py.File(chunked, "w") as file:
            for name, checked in (("plain", False), ("fletcher32", True)):
                file.create_dataset(name, data=clips, chunks=(1, *clips.shape[1:]), fletcher32=checked)
        with h5py.File(shard) as ours, h5py.File(chunked) as theirs:
            arms = {
                "verified": lambda i: store._arrays(ours[f"{i:05}"], None, "storage")["frames"],
                "unverified": lambda i: ours[f"{i:05}/frames"][()],
                "fletcher32": lambda i: theirs["fletcher32"][i],
                "chunks, unverified": lambda i: theirs["plain"][i],
            }
            rates = measure(arms, clips, args.rounds, rng)
    for name, rate in rates.items():
        print(f"{name}: {rate:.0f} MB/s")
    what = f"random clips of {clips[0].nbytes / 1e6:.2f} MB from the page cache"
    rows.emit(args, *(rows.row(f"{what}, CRC-32 compared", rates["verified"], "MB/s", other=rates[other], against=words,
                               ratio=rates["verified"] / rates[other], goal=goal)
                      for other, words, goal in (("unverified", "nothing compared", "ours >= 1000"),
                                                 ("fletcher32", "HDF5's fletcher32 on chunks of a clip", ""))))


def measure(arms: dict, clips: np.ndarray, rounds: int, rng: np.random.Generator) -> dict[str, float]:
    """The MB a second of each arm; every one gives the clips that were written."""
    for name, read in arms.items():
        if any(not np.array_equal(read(i), clips[i]) for i in range(len(clips))):
            sys.exit(f"{name}: read something else than was written")
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        order = rng.permutation(len(clips)).tolist()
        for name, read in arms.items():
            started = time.process_time()
            for i in order:
                read(i)
            times[name].append(time.process_time() - started)
    return {name: clips.nbytes / 1e6 / statistics.median(spent) for name, spent in times.items()}


if __name__ == "__main__":
    main()
