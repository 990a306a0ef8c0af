"""`python -m mer.base.hand`: a process of a run on a worker of a Dask cluster; mer/base/hands.py starts it there.

On stdin it is asked for what it sees of the run, then given items, one after another; it answers on stdout.
"""

import contextlib
import hashlib
import os
import pickle
import platform
import queue
import struct
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

import cloudpickle  # distributed brings it

from mer.base import environment, graph, memory, portable
from mer.base.errors import MerError

IDLE = 600.0  # seconds without an item after which it ends: a client that was killed cannot end it
SEEN = 10.0  # seconds that a network drive may take to show a file to another machine
STORES = ("*/summary.json", "*/*/summary.json", "*/*/clips.csv")  # of the data folder: what tells all that is in it


def facts(token: str) -> dict[str, str]:
    """What must be the same on all machines of a run, in words; `token`: a file that the run has just written."""
    code = graph.digest(*sorted(path for folder in ("mer", "stages") for path in (graph.ROOT / folder).rglob("*")
                                if path.suffix in (".py", ".yaml")))
    packages = {name: version for name, version in environment.everything().items() if version}
    told = {"Python": platform.python_version(), **packages, "mer's code": code[:12], "data folder's digest": data()}
    told["instruction set"] = capped()
    told["scratch folder"] = f"with {_shown(Path(token))}"
    return told


def data(folder: Path = Path("data")) -> str:
    """A digest of the summaries and clip tables of the stores below the data folder, and of the names in data/raw."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in STORES for path in folder.glob(pattern)}):
        total.update(f"{path.as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    total.update("\0".join(sorted(path.name for path in (folder / "raw").glob("*"))).encode())
    return total.hexdigest()[:12]


def capped() -> str:
    """Which of the caps on the instruction set are in force."""
    return ", ".join(f"{name}={os.environ.get(name, '')}" for name in portable.CAPS | portable.TORCH_CAPS)


def _shown(token: Path) -> str:
    """What the file holds, once it is there."""
    until = time.monotonic() + SEEN
    while not token.is_file() and time.monotonic() < until:
        time.sleep(0.1)
    return token.read_text(encoding="utf-8") if token.is_file() else "nothing of the run"


def answer(content: bytes) -> tuple[str, bytes]:
    """`done` and the pickled (result, peak of memory) of a pickled (function, item), or `error` and the exception."""
    try:
        fn, item = pickle.loads(content)
        return "done", cloudpickle.dumps((fn(item), memory.peak()))
    except Exception as error:
        if not isinstance(error, MerError):
            error.add_note("".join(traceback.format_exception(error)))
        with contextlib.suppress(Exception):
            return "error", cloudpickle.dumps(error)
        return "error", pickle.dumps(RuntimeError("".join(traceback.format_exception(error))))


def _read(source: BinaryIO, frames: queue.SimpleQueue) -> None:
    """Frames as they come; at the end of them, so of the worker, this process ends, also in the middle of an item."""
    while len(head := source.read(8)) == 8:
        frames.put(source.read(struct.unpack("<Q", head)[0]))
    os._exit(1)


def _send(to: BinaryIO, value: Any) -> None:
    content = pickle.dumps(value)
    to.write(struct.pack("<Q", len(content)) + content)
    to.flush()


def main() -> None:
    """Answer until nobody asks."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what an item prints is no answer
    frames: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, frames), daemon=True).start()
    _send(out, facts(**pickle.loads(frames.get())))
    with contextlib.suppress(queue.Empty):
        while True:
            _send(out, answer(frames.get(timeout=IDLE)))


if __name__ == "__main__":
    main()
