"""A worker process ends when the process that gave it work has died: a killed stage (by `kill -9`, or by the system
when memory ran out) cannot end its workers itself, and they would hold memory and a core."""

import os
import threading
import time

EVERY = 1.0  # seconds between two looks
_watched: set[int] = set()


def leave_with(parent: int) -> None:
    """End this process soon after its parent, the process `parent`, is no more; called in the parent, do nothing."""
    if parent == os.getpid() or parent in _watched or os.name != "posix":
        return
    _watched.add(parent)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)
