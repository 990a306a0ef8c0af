"""`python -m tests.fuzz [NAME ...]`: other inputs for every target and reader, until Ctrl-C; each failure is printed.

A failure that is mended becomes an example: in `found` of its target, or a case in test_releases.py.
"""

import argparse
import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from fuzz import targets, test_releases, test_targets  # noqa: E402  where tests import from

ROUND = 50  # inputs of one target before the next one's turn


def release(case: str, folder: Path, number: int) -> str:
    """One damaged copy of a reader's miniature, by its number."""
    whole, root = folder / "whole", folder / "copy"
    if not whole.exists():
        test_releases.CASES[case](whole)
    shutil.copytree(whole, root, copy_function=os.link)
    chance = Random(f"{case} {number}")
    try:
        for _ in range(chance.randint(1, 3)):
            test_releases.mutate(root, chance)
        dataset, _, variant = case.partition(" ")
        return test_releases.attempt(root, dataset, variant or None)
    finally:
        shutil.rmtree(root)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    names = [*targets.TARGETS, *test_releases.CASES]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default all: {', '.join(names)}")
    parser.add_argument("--count", type=int, help="inputs of each, default without end")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names):
        parser.error(f"no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    seen: dict[str, Counter] = {name: Counter() for name in asked.names or names}
    done = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            while asked.count is None or done < asked.count:
                size = min(ROUND, (asked.count or done + ROUND) - done)
                for name in seen:
                    seen[name] += round_of(name, Path(folder) / name.replace(" ", "_"), size)
                done += size
        except KeyboardInterrupt:
            pass
    for name, counts in seen.items():
        print(f"{name}: {', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}")
    sys.exit(any(counts["failed"] for counts in seen.values()))


def round_of(name: str, folder: Path, size: int) -> Counter:
    """`size` inputs of a target or a reader; failures are printed."""
    folder.mkdir(exist_ok=True)
    seen: Counter = Counter()
    if name in targets.TARGETS:
        try:
            return test_targets.fuzz(targets.TARGETS[name], folder, size, same=False)
        except Exception:
            print(f"{name}:\n{traceback.format_exc(limit=-6)}", flush=True)
            return Counter(failed=1)
    for number in (Random().randrange(2**32) for _ in range(size)):
        try:
            seen[release(name, folder, number)] += 1
        except Exception:
            seen["failed"] += 1
            print(f"{name}, number {number}:\n{traceback.format_exc(limit=-3)}", flush=True)
    return seen


if __name__ == "__main__":
    main()
