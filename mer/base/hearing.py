"""What C libraries mutter: a decoder that meets damage says so on stderr or stdout and nowhere else."""

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

STDOUT, STDERR = 1, 2
_sinks: dict[int, IO[bytes]] = {}  # process -> file that takes what is muttered; a forked process needs its own
_flush: Callable[[None], object] | None
try:
    _flush = ctypes.CDLL(None).fflush  # what is printed waits in C's own buffer
except (AttributeError, OSError, TypeError):  # Windows
    _flush = None
HEARS_STDOUT = _flush is not None


@contextlib.contextmanager
def listening(stream: int = STDERR) -> Iterator[list[bytes]]:
    """What C libraries write to a stream meanwhile comes into the list instead, one text, when the block ends.

    Some microseconds. Where the stream cannot be turned aside (closed, or another C library on Windows) nothing is
    heard.
    """
    heard: list[bytes] = []
    sink = _sinks.get(os.getpid())
    if sink is None:
        sink = _sinks[os.getpid()] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  it lives with the process
    try:
        _settle(stream)
        own = os.dup(stream)
    except OSError:
        yield heard
        return
    os.dup2(sink.fileno(), stream)
    try:
        yield heard
    finally:
        _settle(stream)
        os.dup2(own, stream)
        os.close(own)
        if sink.tell():
            sink.seek(0)
            heard.append(sink.read())
            sink.seek(0)
            sink.truncate()


@contextlib.contextmanager
def listening_to_both() -> Iterator[list[bytes]]:
    """`listening` to stdout and stderr."""
    heard: list[bytes] = []
    with listening(STDOUT) as out, listening() as err:
        yield heard
    heard += err + out


def _settle(stream: int) -> None:
    """Write what waits in the buffers of a stream; stderr has none."""
    if stream == STDOUT:
        if sys.stdout is not None:
            sys.stdout.flush()
        if _flush is not None:
            _flush(None)
