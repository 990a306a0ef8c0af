"""A map over work items on a Dask cluster: on this machine, at an address, or of SLURM's jobs.

Each worker runs items in processes of the run's own (mer/base/hands.py), which are checked when they start: the same
code, packages, instruction set, data and scratch folder as here. A lost worker, or process, loses the item it had in
hand, which another one does again; whatever ends the map, finished items are kept by whoever keeps them.
"""

import contextlib
import importlib
import logging
import os
import pickle
import queue
import sys
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from mer.base import portable
from mer.base.errors import MerError
from mer.base.knobs import Parallel
from mer.base.terminal import say

TRIES = 4  # times that an item is begun before its process' death is thought to be its own doing
REACH = 10.0  # seconds in which a scheduler must answer
GRACE = 60.0  # seconds without any worker after which a run that had some ends
LOOK = 5.0  # seconds from one look at the workers to the next
SHORT = 1.0  # seconds; a worker is given an item ahead where they take less
AGAIN = "finished items are kept, run the same command again to continue"
INHERITED = ("MER_PORTABLE", "DVC_ROOT", "HDF5_USE_FILE_LOCKING", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
             "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", *portable.CAPS, *portable.TORCH_CAPS)


def run(fn: Callable, items: Sequence[tuple[str, object]], *, desc: str, unit: str, on: Parallel, workers: int,
        gpus: bool = False) -> Generator[tuple[int, object, dict[str, int]]]:
    """(index, result, peak of memory) of `fn(item)` for each (name, item), as they are done.

    Args:
        on: which cluster; workers: how many processes a `local` one has.
        gpus: items go only to workers that declare GPUs (`--resources GPU=1`), where there are any: one a GPU.

    Raises:
        MerError: the cluster is out of reach, or lost; a worker sees something else than this process; an item ends
            every process that tries it.
    """
    _quiet()
    with _client(on, workers) as client:
        yield from _Map(client, fn, items, desc, unit, gpus).results()


def _quiet() -> None:
    """Dask tells in its log, from now on to nobody, what comes here as an exception."""
    try:
        importlib.import_module("distributed")
    except ImportError:
        raise MerError("params.yaml: parallel.backend = 'dask', but distributed is missing; pip install -e "
                       "'.[cluster]'") from None
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", message="Sending large graph")


@contextlib.contextmanager
def _client(on: Parallel, workers: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    where = on.where
    with contextlib.ExitStack() as stack:
        target: Any = where
        if where == "local":  # one worker, whose threads each have a process
            target = stack.enter_context(LocalCluster(n_workers=1, threads_per_worker=workers, processes=False,
                                                      memory_limit=0, dashboard_address="127.0.0.1:0"))
        elif where == "slurm":
            target = stack.enter_context(_slurm(on.workers))
        try:
            client = Client(target, timeout=REACH, set_as_default=False)
        except (OSError, ValueError) as error:
            raise MerError(f"no Dask scheduler answers at {where} ({_line(error)}); start it (`dask scheduler`), or "
                           "correct parallel.cluster or DASK_SCHEDULER_ADDRESS") from None
        try:
            yield client
        finally:
            with contextlib.suppress(TimeoutError):  # of one that is lost nobody waits for the end
                client.close(timeout=REACH if client.status == "running" else 0)


def _slurm(jobs: int) -> Any:
    """A cluster of SLURM's jobs, as dask-jobqueue's own configuration file describes one."""
    try:
        jobqueue = importlib.import_module("dask_jobqueue")
    except ImportError:
        raise MerError("params.yaml: parallel.cluster = 'slurm' needs dask-jobqueue; pip install dask-jobqueue, and "
                       "describe a job in its jobqueue.yaml") from None
    if not jobs:
        raise MerError("params.yaml: parallel.workers = 0 with parallel.cluster = 'slurm'; expected how many jobs to "
                       "ask for")
    try:
        made = jobqueue.SLURMCluster()
    except (ValueError, TypeError) as error:
        raise MerError(f"dask-jobqueue refuses its configuration: {_line(error)}; correct jobqueue.yaml") from None
    made.scale(jobs=jobs)
    return made


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class _Map:
    """The items on their way."""

    def __init__(self, client: Any, fn: Callable, items: Sequence[tuple[str, object]], desc: str, unit: str,
                 gpus: bool):
        self.client, self.fn, self.items, self.desc, self.unit, self.gpus = client, fn, items, desc, unit, gpus
        self.address = client.scheduler.address
        self.name = f"mer-{uuid.uuid4().hex[:12]}"
        self.token = Path(os.environ.get("DVC_ROOT", ".")).absolute() / ".scratch" / f"{self.name}.txt"
        self.done: queue.SimpleQueue = queue.SimpleQueue()  # indices, as Dask is done with them
        self.futures: dict[int, Any] = {}  # by index
        self.tries = [0] * len(items)
        self.places, self.looked, self.seen = 0, 0.0, 0.0  # processes at once; when we looked; when there were any

    def results(self) -> Generator[tuple[int, object, dict[str, int]]]:
        """What each item gives, as it is done; at the end, however it comes, the workers end what they do of the run.

        Dask's own errors, and what it says when its scheduler goes away, come out as a MerError.
        """
        from distributed.protocol.pickle import cloudpickle

        from mer.base import hand, hands

        cloudpickle.register_pickle_by_value(hands)
        do = hands.do
        self.call = lambda name, item: do(name, item)  # what has no module travels by value
        self.dumps = cloudpickle.dumps
        try:
            self.client.register_plugin(hands.Hands(self._run(hands.Run, hand.facts)))
            yield from self._flow()
        finally:
            self.token.unlink(missing_ok=True)
            if self.client.status == "running":
                with contextlib.suppress(Exception):  # what came before counts
                    self.client.cancel(list(self.futures.values()), force=True)
                    self.client.unregister_worker_plugin(self.name)

    def _run(self, kind: type, facts: Callable[[str], dict[str, str]]) -> Any:
        """What the workers must know of the run."""
        self.token.parent.mkdir(parents=True, exist_ok=True)
        self.token.write_text(self.name, encoding="utf-8")
        places = [Path(place).absolute() for place in sys.path]
        ours = [str(place) for place in places if place.is_dir() and not any(
            place.is_relative_to(prefix) for prefix in (sys.prefix, sys.base_prefix))]
        environ = {variable: os.environ.get(variable) for variable in INHERITED}
        return kind(self.name, str(Path.cwd()), environ | {"PYTHONPATH": os.pathsep.join(ours)},
                    {"token": str(self.token)}, facts(str(self.token)), self.gpus)

    def _flow(self) -> Generator[tuple[int, object, dict[str, int]]]:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        waiting, began, finished = deque(range(len(self.items))), time.monotonic(), 0
        while waiting or self.futures:
            self._look()
            each = (time.monotonic() - began) * self.places / finished if finished else SHORT
            while waiting and len(self.futures) < max(self.places, 1) * (2 if each < SHORT else 1):
                self._submit(waiting.popleft())
            try:
                index = self.done.get(timeout=LOOK)
            except queue.Empty:
                continue
            try:
                kind, content = self.futures.pop(index).result()
            except KilledWorker:
                self.tries[index], kind, content = TRIES, "died", "its workers were lost"
            except (FutureCancelledError, OSError):
                raise self._lost() from None
            if kind == "done":
                finished += 1
                yield index, *pickle.loads(content)
            elif kind == "error":
                raise pickle.loads(content)
            elif kind == "died" and self.tries[index] < TRIES:
                say(f"{self.desc}: a process that worked on {self.unit} {self.items[index][0]} ended ({content}); it "
                    "is done again")
                waiting.appendleft(index)
            elif kind == "died":
                raise MerError(f"{self.desc}: {self.unit} {self.items[index][0]} ended every process that tried it, "
                               f"{TRIES} times ({content}), as the system does where memory runs out; {AGAIN}")
            else:
                raise MerError(f"{self.desc}: a worker at {self.address} sees something else than this process: "
                               f"{content}; every machine must see this folder, {Path.cwd()}, with the same Python "
                               "environment")

    def _submit(self, index: int) -> None:
        self.tries[index] += 1
        item = self.dumps((self.fn, self.items[index][1]))
        try:
            future = self.client.submit(self.call, self.name, item, pure=False, priority=-index,
                                        key=f"{self.name}-{index}-{self.tries[index]}", resources=self.resources)
        except (OSError, RuntimeError):
            raise self._lost() from None
        self.futures[index] = future
        future.add_done_callback(lambda _: self.done.put(index))

    def _look(self) -> None:
        """Count the workers, now and then; tell where there is none, and give up where those that were are gone."""
        now = time.monotonic()
        if now < self.looked + (LOOK if self.places else SHORT):
            return
        try:
            found = self.client.scheduler_info(n_workers=-1)["workers"].values()
        except OSError:
            raise self._lost() from None
        if self.client.status != "running":
            raise self._lost()
        gpus = sum(int(about["resources"].get("GPU", 0)) for about in found) if self.gpus else 0
        self.resources = {"GPU": 1} if gpus else None
        before, self.places = self.places, gpus or sum(about["nthreads"] for about in found)
        if self.places:
            self.seen = now
        elif not self.looked or before:
            say(f"{self.desc}: no worker at {self.address}; waiting for one")
        elif self.seen and now > self.seen + GRACE:
            names = ", ".join(str(self.items[index][0]) for index in self.futures)
            raise MerError(f"{self.desc}: every worker at {self.address} is lost since {GRACE:.0f} s; the last ones "
                           f"had {self.unit} {names}; start others, {AGAIN}")
        self.looked = now

    def _lost(self) -> MerError:
        return MerError(f"{self.desc}: the Dask scheduler at {self.address} is lost; start it and its workers again; "
                        f"{AGAIN}")
