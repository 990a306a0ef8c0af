"""Where networks are trained beside each other: on which devices, how many at once, with one copy of their clips."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mer.base import disk
from mer.base.errors import MerError
from mer.training import engine, folds
from mer.training import task as tasks
from mer.training.folds import Plan

MOST = 4  # networks at once on a GPU: more have brought nothing
CONTEXT = 2**30  # bytes that a process takes of a GPU beside torch's memory
_held: dict[str, tuple[object, str]] = {}  # by folder of places: the place of this process


def pick_device(params) -> str:
    """The kind of device of a run, cpu or cuda: of params.yaml's train.device, to which parallel.devices must fit.

    Raises:
        MerError: there is no such device here.
    """
    kind = engine.pick_device(params.train.device)
    for name in params.parallel.devices:
        if name.split(":")[0] != kind:
            raise MerError(f"params.yaml: parallel.devices = {list(params.parallel.devices)} with train.device = "
                           f"{params.train.device!r}, which is {kind} here; expected of that kind")
        if kind == "cuda" and int(name.split(":")[1]) >= torch.cuda.device_count():
            raise MerError(f"params.yaml: parallel.devices: {name} is not here; torch sees {torch.cuda.device_count()} "
                           "GPUs")
    return kind


def places(plan: Plan, jobs: int, pretraining: bool = False) -> list[str]:
    """The device of each process of this machine, as many as work at once.

    Folds: train.workers of them; 0 = one for each of parallel.devices. Without these as many as the memory of each GPU
    holds, or one per `threads` cores. Networks before the folds, whose memory nobody measures: one a GPU.
    """
    from mer.base import parallel

    named, workers = list(plan.params.parallel.devices), 0 if pretraining else plan.params.train.workers
    if not named and plan.device == "cpu":
        section = getattr(plan.params, "pretrain" if pretraining else "train")  # of train the folds read no other
        named = ["cpu"] * max(1, parallel.cores() // section.threads)
    elif not named:
        named = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        if not pretraining and not workers and jobs > len(named):
            named *= at_once(plan)
    count = min(workers or len(named), max(jobs, 1))
    return [named[index % len(named)] for index in range(count)]


def at_once(plan: Plan) -> int:
    """How many networks of the folds a GPU holds at once, by what two steps of the first fold and its test take."""
    torch.cuda.reset_peak_memory_stats()
    _two_steps(plan)
    took = torch.cuda.max_memory_reserved() + CONTEXT
    folds.load_clips.cache_clear()
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    return max(1, min(MOST, free // took))


def _two_steps(plan: Plan) -> None:
    p, fold = plan.params, folds.split(plan)[0]
    engine.configure(p.train.threads, p.train.precision)
    clips, rows = folds.load_clips(plan), torch.from_numpy(fold.train)
    model, constants = folds.start_model(plan, clips, rows, p.seeds[0], fold.name)
    budget = dataclasses.replace(engine.budget(p, p.train, len(rows)), steps=2, checkpoint_every=3)
    with tempfile.TemporaryDirectory() as folder:
        engine.train(model, plan.task, clips, rows, budget, seed=0, state=Path(folder) / "state.pt", desc="memory")
    folds.test_outputs(plan, model, clips, torch.from_numpy(fold.test), constants)


def run(fn: Callable, jobs: Sequence[tuple[str, object]], plan: Plan, *, desc: str, unit: str, initial: int = 0,
        pretraining: bool = False, share: bool = True) -> list:
    """`fn(job)` of each (name, job), in order: `parallel.run_items` on the devices of this machine, or on a cluster.

    Args:
        plan: that of the jobs; initial: as of `run_items`.
        pretraining: whether they are the networks before the folds, of a seed each.
        share: the processes have one copy of the plan's clips; without it each reads those of its jobs' plans.
    """
    from mer.base import parallel  # here: a bare GPU machine that trains has no joblib

    on = plan.params.parallel
    if not jobs:
        return []
    if on.where not in ("here", "local"):
        with folds.shared(plan, share, pretraining):
            return parallel.run_items(fn, jobs, desc=desc, unit=unit, on=on, initial=initial,
                                      gpus=plan.device == "cuda")
    found = places(plan, len(jobs), pretraining)
    disk.ask(desc, need(plan, len(jobs), len(found), pretraining), plan.scratch, plan.data)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, folds.shared(
            plan, share and len(found) > 1, pretraining):
        return parallel.run_items(Placed(fn, tuple(found), folder), jobs, desc=desc, unit=unit, workers=len(found),
                                  on=on, initial=initial)


def need(plan: Plan, jobs: int, at_work: int, pretraining: bool = False) -> int:
    """Bytes of disk, about: the weights of each job's network if they are kept, and thrice them, a resume state with
    the optimiser's, of each at work. Logs and what is drawn of tested clips are small beside."""
    task = tasks.pretraining(plan.params) if pretraining else plan.task
    weights = sum(value.nbytes for value in task.build(len(plan.classes)).state_dict().values())
    kept = 1 if pretraining or plan.params.train.keep_checkpoints else 0
    return weights * (jobs * kept + 3 * at_work)


class Placed:
    """`fn` of a job, in a process that keeps one of the places, which no other has meanwhile."""

    def __init__(self, fn: Callable, places: tuple[str, ...], folder: str):
        self.fn, self.places, self.folder = fn, places, folder

    def __call__(self, job: object) -> object:
        """Run one job on the device of this process."""
        if self.folder not in _held:
            _held[self.folder] = self._take()
        device = _held[self.folder][1]
        if device.startswith("cuda:"):
            torch.cuda.set_device(device)  # which "cuda" then means
        return self.fn(job)

    def _take(self) -> tuple[object, str]:
        """A lock that the system gives back when the process ends, and the device that it stands for."""
        from filelock import FileLock, Timeout

        while True:
            for index, device in enumerate(self.places):
                lock = FileLock(Path(self.folder) / str(index))
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
                return lock, device
            time.sleep(0.05)  # one that was started in the place of another, which is about to end
