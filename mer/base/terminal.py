"""The one writer of bars and of the lines beside them, on stderr."""

import contextlib
import sys
from collections.abc import Iterable
from typing import Any

CLEAR = "\r\x1b[K"  # a worker does not know of the bar that its parent draws in this line


class _Lines:
    """A stream that gets each state of a bar as a line of its own, not as one that overwrites the last."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text: str) -> int:
        line = text.replace("\r", "").strip()
        return self.stream.write(f"{line}\n") if line else 0

    def flush(self) -> None:
        self.stream.flush()


def progress(iterable: Iterable | None, *, total: int | None, desc: str, unit: str, initial: int = 0,
             scaled: bool = False) -> Any:
    """The project's bar, tqdm's: done/total, elapsed<remaining, rate. In a file a line every ten seconds at most.

    `scaled`: counts as k, M and G, such as of bytes.
    """
    from tqdm import tqdm  # here: a bare GPU machine that trains has none

    live = sys.stderr.isatty()
    return tqdm(iterable, total=total, desc=desc, unit=unit, initial=initial, dynamic_ncols=live,
                file=sys.stderr if live else _Lines(sys.stderr), ncols=None if live else 80, unit_scale=scaled,
                mininterval=0.2 if live else 10.0)


def say(text: str) -> None:
    """A line on stderr, never into a bar: bars of this process step aside, that of another's is wiped first."""
    bars = sys.modules.get("tqdm")
    with contextlib.nullcontext() if bars is None else bars.tqdm.external_write_mode(file=sys.stderr):
        sys.stderr.write(f"{CLEAR if sys.stderr.isatty() else ''}{text}\n")
        sys.stderr.flush()


def counted(number: int, word: str) -> str:
    """`1 clip`, `2 clips`."""
    return f"{number} {word}{'' if number == 1 else 's'}"
