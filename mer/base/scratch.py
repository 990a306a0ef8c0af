"""The folders in which stages keep finished items for a restart, and a map whose results are kept there.

DVC deletes a stage's outputs before it runs, so what an interrupted run finished is kept outside them, in
`.scratch/<stage>/<key>` below the project's root; the key is a hash of everything that the items depend on. Experiments
of DVC's queue share it, so a process locks the folder that it works in.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from mer.base import environment, graph, store
from mer.base.knobs import HERE, Parallel
from mer.base.parallel import run_items
from mer.base.terminal import counted, say

_locks: dict[Path, FileLock] = {}  # folders that this process works in


def scratch_dir(stage: str, *inputs: object, model: str = "") -> Path:
    """The folder where `stage` keeps finished items between runs: `.scratch/<stage>/<hash of its code and inputs>`.

    `inputs` are plain values (parameters, digests of files) that decide the items' content; the code is what
    `stages.<stage>` (of `align@D`: `stages.align`) imports, that of `model` where it asks for the run's model; the
    installed versions of the packages that decide bytes count too. The folder is this process' own until
    `clear_scratch`, or its end, however it ends; who wants it meanwhile waits.
    """
    root = Path(os.environ.get("DVC_ROOT", "."))
    decides = [store.SCHEMA, environment.everything(), graph.code(stage.split("@")[0], model), *inputs]
    key = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]
    folder = root / ".scratch" / stage / key
    if folder not in _locks:
        lock = _lock(folder)
        if lock is None:
            say(f"{stage}: waiting for another run that makes the same")
            lock = _lock_of(folder)
            lock.acquire()
        _locks[folder] = lock
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _lock_of(folder: Path) -> FileLock:
    """The lock on a scratch folder, not taken: an empty file that stays. To remove it would let two processes hold two
    files of one name."""
    locks = folder.parent.parent / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{folder.parent.name}-{folder.name}")


def _lock(folder: Path) -> FileLock | None:
    """The lock on a scratch folder, None if another process has it."""
    lock = _lock_of(folder)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def clear_scratch(stage: str, keep: Path | None = None) -> None:
    """Remove the scratch folders of `stage` but `keep` and those in which another process works.

    Called when a stage is complete (or has a new key).
    """
    root = Path(os.environ.get("DVC_ROOT", ".")) / ".scratch" / stage
    for folder in root.iterdir() if root.is_dir() else ():
        lock = None if folder == keep else _locks.pop(folder, None) or _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


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
