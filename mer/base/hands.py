"""What a Dask worker does of a run: it starts a process of the run's own for each of its threads, and hands it items.

So an item has the run's folder, code, instruction set and environment, on whatever worker and however that was started
(`dask worker` imports numpy before anything of ours could cap it), is alone in its process, and ends when the run ends.
This module travels to the workers by value: they need no mer of their own, and it imports none.
"""

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

Answer = tuple[str, Any]  # done, pickled result | error, pickled exception | died, why | refused, why


@dataclass(frozen=True)
class Run:
    """What a worker must know of a run: its name, its working folder, and what its processes are like.

    environ: variables, None = unset; ask: what the process is asked for at its start; expect: the facts that it must
    then tell, by name; gpu: each process sees one GPU alone.
    """

    name: str
    folder: str
    environ: dict[str, str | None] = field(default_factory=dict)
    ask: dict[str, str] = field(default_factory=dict)
    expect: dict[str, str] = field(default_factory=dict)
    gpu: bool = False


class Hands(WorkerPlugin):
    """The processes of one run on one worker."""

    def __init__(self, run: Run):
        self.name, self.run = run.name, run

    def setup(self, worker: Worker) -> None:
        """Called by Dask where a worker begins to serve the run."""
        self.worker, self.lock, self.over = worker, threading.Lock(), False
        self.processes: dict[int, subprocess.Popen] = {}  # by thread
        self.places: dict[int, int] = {}  # of a thread's process among those of the worker, from 0

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the run is over, or the worker closes: what still runs ends at once."""
        with self.lock:
            self.over = True
            for process in self.processes.values():
                end(process)

    def do(self, item: bytes) -> Answer:
        """Run one pickled (function, item) in the process of this thread."""
        try:
            process = self._process()
        except OSError as error:
            return "refused", f"{error.strerror}: {error.filename}"
        if isinstance(process, str):
            return "refused", process
        try:
            send(process.stdin, item)
            return receive(process.stdout)
        except (OSError, EOFError):
            return "died", f"exit code {process.wait()}"

    def _process(self) -> subprocess.Popen | str:
        """That of this thread, started where there is none; in words, in what it is not as the run's own."""
        thread = threading.get_ident()
        with self.lock:
            process = self.processes.get(thread)
            if process is not None and process.poll() is None:
                return process
            if self.over:
                return "the run is over"
            self.places.setdefault(thread, len(self.places))
            process = self.processes[thread] = subprocess.Popen(
                [sys.executable, "-m", "mer.base.hand"], cwd=self.run.folder, env=self._environ(self.places[thread]),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)  # Ctrl-C is not for them
        try:
            send(process.stdin, pickle.dumps(self.run.ask))
            facts = receive(process.stdout)
        except (OSError, EOFError):
            return f"its process in {self.run.folder} ended with exit code {process.wait()}"
        wrong = [f"{name} {facts.get(name)}, expected {value}" for name, value in self.run.expect.items()
                 if facts.get(name) != value]
        if wrong:
            end(process)
            return "; ".join(wrong)
        return process

    def _environ(self, place: int) -> dict[str, str]:
        found = {**os.environ, **{name: value for name, value in self.run.environ.items() if value is not None}}
        for name in (name for name, value in self.run.environ.items() if value is None):
            found.pop(name, None)
        if self.run.gpu:
            resources = self.worker.state.total_resources
            seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            seen = [name for name in seen if name] or list(map(str, range(int(resources.get("GPU", 1)))))
            found["CUDA_VISIBLE_DEVICES"] = seen[place % len(seen)]
        return found


def do(name: str, item: bytes) -> Answer:
    """The task that Dask runs: an item, by the worker's processes of the run `name`."""
    plugin: Any = get_worker().plugins[name]
    return plugin.do(item)


def send(to: Any, content: bytes) -> None:
    """A frame: its length in eight bytes, and it."""
    to.write(struct.pack("<Q", len(content)) + content)
    to.flush()


def receive(source: Any) -> Any:
    """What the next frame holds; EOFError where none comes any more."""
    head = source.read(8)
    if len(head) < 8:
        raise EOFError
    content = source.read(struct.unpack("<Q", head)[0])
    return pickle.loads(content)


def end(process: subprocess.Popen) -> None:
    """Kill a process with all that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:  # Windows
        process.kill()
    process.wait()
