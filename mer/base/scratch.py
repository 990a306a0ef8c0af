"""A map over work items whose results are kept in a scratch folder (`parallel.scratch_dir`) as soon as they are made."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mer.base import store
from mer.base.parallel import run_items


def work(fn: Callable, items: Sequence[tuple[str, object]], *, desc: str, unit: str = "clip", workers: int = 0,
         backend: str = "loky", scratch: Path | None = None) -> list:
    """Apply `fn` to every item and return the results in order; see `run_items` for the arguments.

    With `scratch`, `fn` returns a dict of arrays, which is kept in `scratch/<name>.h5` as soon as it is done.
    """
    if scratch is None:
        return list(run_items(fn, items, desc=desc, unit=unit, workers=workers, backend=backend))
    missing = [(name, item) for name, item in items if not (scratch / f"{name}.h5").exists()]
    done = len(items) - len(missing)
    if done:
        print(f"{desc}: reusing {done} of {len(items)} {unit}s from an interrupted run", file=sys.stderr)
    keep = _Keep(fn, scratch)
    run_items(keep, [(name, (name, item)) for name, item in missing], desc=desc, unit=unit, workers=workers,
              backend=backend, initial=done)
    return [store.read_shard(scratch / f"{name}.h5")[0][name] for name, _ in items]


class _Keep:
    """`fn` of one item, its result written to the scratch folder by the process that made it."""

    def __init__(self, fn: Callable, scratch: Path):
        self.fn, self.scratch = fn, scratch

    def __call__(self, named: tuple[str, object]) -> None:
        name, item = named
        store.write_shard(self.scratch / f"{name}.h5", {name: self.fn(item)})
