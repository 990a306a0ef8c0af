"""A map over work items whose results are kept in a scratch folder (`parallel.scratch_dir`) once they are made."""

from collections.abc import Callable, Container, Sequence
from pathlib import Path

from mer.base import store
from mer.base.knobs import HERE, Parallel
from mer.base.parallel import run_items
from mer.base.terminal import counted, say


def work(fn: Callable, items: Sequence[tuple[str, object]], scratch: Path, *, desc: str, attrs: dict | None = None,
         unit: str = "clip", workers: int = 0, on: Parallel = HERE, made: Container[str] = ()) -> None:
    """Apply `fn`, which returns a dict of arrays, to every item; see `run_items` for the arguments that are not here.

    Each result is written to `scratch/<name>.h5` by the process that made it, and goes nowhere else. What is there, or
    named in `made`, is not made again.

    Args:
        attrs: of the files, see `store.write_shard`.
    """
    missing = [(name, item) for name, item in items if name not in made and not kept(scratch, name).exists()]
    done = len(items) - len(missing)
    if done:
        say(f"{desc}: reusing {done} of {counted(len(items), unit)} from an interrupted run")
    run_items(_Keep(fn, scratch, attrs), [(name, (name, item)) for name, item in missing], desc=desc, unit=unit,
              workers=workers, on=on, initial=done)


def kept(scratch: Path, name: str) -> Path:
    """The file of an item's result."""
    return scratch / f"{name}.h5"


class _Keep:
    """`fn` of one item, its result written to the scratch folder by the process that made it."""

    def __init__(self, fn: Callable, scratch: Path, attrs: dict | None):
        self.fn, self.scratch, self.attrs = fn, scratch, attrs

    def __call__(self, named: tuple[str, object]) -> None:
        name, item = named
        store.write_shard(kept(self.scratch, name), {name: self.fn(item)}, self.attrs)
