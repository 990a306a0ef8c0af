"""One map over work items, with a progress bar, on the cores of this machine or on a Dask cluster."""

import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from multiprocessing import resource_tracker

import joblib

from mer.base import memory, orphans
from mer.base.knobs import HERE, Parallel
from mer.base.terminal import progress


def cores() -> int:
    """Cores this process may use (respects CPU affinity and containers' masks)."""
    return joblib.cpu_count()


def run_items(fn: Callable, items: Sequence[tuple[str, object]], *, desc: str, unit: str, workers: int = 0,
              on: Parallel = HERE, initial: int = 0, gpus: bool = False) -> list:
    """Run `fn(item)` for each (name, item) and return the results in order.

    Args:
        workers: processes; 0 means one per core. With one worker or one item everything runs in this process. Of a
            cluster elsewhere those that it has count.
        on: params.yaml's section `parallel`: processes here, or a Dask cluster (needs mer[cluster]).
        initial: items done before, for the progress bar.
        gpus: of a cluster's workers, those that declare GPUs are meant.
    """
    count = min(workers or cores(), max(len(items), 1))
    if on.backend == "dask" and items:
        from mer.base import cluster

        done = cluster.run(fn, items, desc=desc, unit=unit, on=on, workers=count, gpus=gpus)
    elif count == 1:
        with progress(items, total=len(items) + initial, desc=desc, unit=unit, initial=initial) as bar:
            return [fn(item) for _, item in bar]
    else:
        done = _pool(fn, items, count)
    results: list = [None] * len(items)
    with closing(done), progress(done, total=len(items) + initial, desc=desc, unit=unit, initial=initial) as bar:
        for index, result, peak in bar:
            results[index] = result
            memory.tell(peak)
    return results


def _pool(fn: Callable, items: Sequence[tuple[str, object]], count: int) -> Generator[tuple[int, object, dict]]:
    """Processes of this machine, which the next map finds as they are: with what they have imported and read."""
    with joblib.parallel_config(backend="loky", n_jobs=count), _interrupts_held():
        done = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")(
            joblib.delayed(_indexed)(fn, index, item, os.getpid()) for index, (_, item) in enumerate(items))
    yield from done


@contextmanager
def _interrupts_held():
    """Processes started meanwhile never see Ctrl-C, which a terminal sends to all: this one ends them. It comes here
    afterwards, if it came meanwhile. Without signal masks (Windows) nothing is held."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start, otherwise within, would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _indexed(fn: Callable, index: int, item: object, parent: int) -> tuple[int, object, dict[str, int]]:
    orphans.leave_with(parent)
    return index, fn(item), memory.peak()
