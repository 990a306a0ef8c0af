"""A Dask scheduler and workers over TCP on this machine, real processes of their own, ended whatever happens.

    with cluster.started(folder, workers=2, memory_gb=1.5) as dask:
        ...  # parallel.cluster: dask.address
        dask.kill(0)
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTS = 60.0  # seconds


def limit(memory_gb: float | None) -> Callable[[], None] | None:
    """For `preexec_fn`: no process that is started so, nor any that it starts, gets more private memory than this."""
    if memory_gb is None:
        return None
    import resource  # not on Windows

    size = int(memory_gb * 2**30)
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size))


@dataclass
class Dask:
    """A scheduler that answers at `address`, its workers, and the folder with what they wrote (`worker-0.log`)."""

    address: str
    scheduler: subprocess.Popen
    workers: list[subprocess.Popen]
    folder: Path

    def kill(self, index: int) -> None:
        """SIGKILL a worker; what it started ends by itself, as its pipe does."""
        self.workers[index].kill()
        self.workers[index].wait()

    def lose_scheduler(self) -> None:
        """SIGKILL the scheduler."""
        self.scheduler.kill()
        self.scheduler.wait()


def _start(folder: Path, name: str, words: list[str], env: dict, memory_gb: float | None) -> subprocess.Popen:
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen([sys.executable, "-m", *words], cwd=folder, env=env, stdout=log, stderr=log,
                                stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=limit(memory_gb))


def _wait(folder: Path, name: str, pattern: str, process: subprocess.Popen) -> str:
    until = time.monotonic() + STARTS
    while True:
        text = (folder / f"{name}.log").read_text()
        if found := re.search(pattern, text):
            return found[1]
        assert process.poll() is None and time.monotonic() < until, f"{name} does not start:\n{text}"
        time.sleep(0.05)


@contextlib.contextmanager
def started(folder: Path, workers: int = 2, *, memory_gb: float | None = None, threads: int = 1,
            resources: str = "", environ: dict[str, str] | None = None) -> Iterator[Dask]:
    """A scheduler on a free port and so many workers, each of `threads`; `resources`: as of `dask worker`, GPU=1.

    They are started in `folder`, which need not be that of a run, and know nothing of mer.
    """
    env = {**os.environ, **(environ or {})}
    env.pop("PYTHONPATH", None)
    folder.mkdir(parents=True, exist_ok=True)
    processes: list[subprocess.Popen] = []
    try:
        processes.append(_start(folder, "scheduler", ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port",
                                                      "0", "--no-dashboard", "--no-jupyter"], env, memory_gb))
        address = _wait(folder, "scheduler", r"Scheduler at:\s+(tcp://\S+)", processes[0])
        words = ["distributed.cli.dask_worker", address, "--nthreads", str(threads), "--no-nanny", "--no-dashboard",
                 "--memory-limit", "0", "--local-directory", str(folder), "--host", "127.0.0.1",
                 *(["--resources", resources] if resources else [])]
        processes += [_start(folder, f"worker-{index}", words, env, memory_gb) for index in range(workers)]
        for index, process in enumerate(processes[1:]):
            _wait(folder, f"worker-{index}", r"(Registered to)", process)
        yield Dask(address, processes[0], processes[1:], folder)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
