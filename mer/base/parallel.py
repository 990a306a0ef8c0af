"""One map over work items, with a progress bar, on the cores of this machine or on a Dask cluster, and resumable.

DVC deletes a stage's outputs before it runs, so what an interrupted run finished is kept outside them, in
`.scratch/<stage>/<key>` below the project's root; the key is a hash of everything that the items depend on. Experiments
of DVC's queue share it, so a process locks the folder that it works in.
"""

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

import joblib
from filelock import FileLock, Timeout

from mer.base import environment, graph, memory, store
from mer.base.terminal import counted, progress, say

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


def cores() -> int:
    """Cores this process may use (respects CPU affinity and containers' masks)."""
    return joblib.cpu_count()


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
        say(f"{desc}: reusing {done} of {counted(len(items), unit)} from an interrupted run")
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


def run_items(fn: Callable, items: Sequence[tuple[str, object]], *, desc: str, unit: str, workers: int = 0,
              backend: str = "loky", initial: int = 0) -> list:
    """Run `fn(item)` for each (name, item) and return the results in order.

    Args:
        workers: processes; 0 means one per core. With one worker or one item everything runs in this process.
        backend: `loky` (processes here) or `dask` (the cluster named by DASK_SCHEDULER_ADDRESS; needs mer[cluster]).
        initial: items done before, for the progress bar.
    """
    count = min(workers or cores(), max(len(items), 1))
    if count == 1 and backend == "loky":
        with progress(items, total=len(items) + initial, desc=desc, unit=unit, initial=initial) as bar:
            return [fn(item) for _, item in bar]
    if backend == "dask":
        from distributed import Client  # optional extra

        Client(os.environ.get("DASK_SCHEDULER_ADDRESS"))
    results: list = [None] * len(items)
    with joblib.parallel_config(backend=backend, n_jobs=count):
        with _interrupts_held():
            done = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")(
                joblib.delayed(_indexed)(fn, index, item) for index, (_, item) in enumerate(items))
        with progress(done, total=len(items) + initial, desc=desc, unit=unit, initial=initial) as bar:
            for index, result, peak in bar:
                results[index] = result
                memory.tell(peak)
    return results


@contextmanager
def _interrupts_held():
    """Processes started meanwhile never see Ctrl-C, which a terminal sends to all: this one ends them. It comes here
    afterwards, if it came meanwhile. Without signal masks (Windows) nothing is held."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _indexed(fn: Callable, index: int, item: object) -> tuple[int, object, dict[str, int]]:
    return index, fn(item), memory.peak()
