"""Data that do not fit stay in the shards, and the next steps' draws are read by threads while a step is made.

What is drawn does not depend on where the data lie, and what is computed of it is computed by the same code: a streamed
run and a resident one give the same bytes. Memory is that of a few batches, whatever the number of clips.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch

from mer.base import memory
from mer.base.terminal import say

AHEAD = 3  # steps that are read ahead, each by a thread
SHARE = 0.5  # of the free memory, that the data may take; the rest is for the network and for others
GB = 1e9
T = TypeVar("T")


def fits(clips: int, need: int, device: str, resident_gb: float | None, what: str) -> bool:
    """Whether `need` bytes of data go to `device`; a line on stderr says what was chosen.

    Args:
        resident_gb: `train.resident_gb`: at most so many GB of 10^9 bytes; None: SHARE of the memory that is free.
        what: where they are read from otherwise (`data/aligned`).
    """
    room = resident_gb * GB if resident_gb is not None else _room(device)
    chosen = room is None or need <= room
    if clips > 1:  # of a single clip there is nothing to tell
        where = f"on the device ({device})" if chosen else f"streamed from {what}"
        say(f"{clips} clips, {need / GB:.3g} GB: {where}")
    return chosen


def _room(device: str) -> float | None:
    free = torch.cuda.mem_get_info(device)[0] if torch.device(device).type == "cuda" else memory.free()
    return None if free is None else SHARE * free


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """What is read when it is asked for, or was before: `ahead` reads, in a thread, what a draw will ask for.

    `_read` of a subclass reads a request, a dataclass of tensors, into tensors of the machine's memory.
    """

    held: tuple[object, object] | None = None

    def fetch(self, request):
        """What `request` asks for."""
        if self.held is None:
            return self._read(request)
        asked, found = self.held
        if not _same(asked, request):
            raise RuntimeError("a method's `pick` has read for another draw than its `draw` makes")
        return found

    def ahead(self, request):
        """These data with what `request` asks for at hand; nothing else can be asked of them."""
        return replace(self, held=(request, self._read(request)))

    def _read(self, request):
        raise NotImplementedError


def _same(one, other) -> bool:
    def equal(a, b) -> bool:
        return torch.equal(a, b) if torch.is_tensor(a) and torch.is_tensor(b) else a is b or a == b

    return type(one) is type(other) and all(equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: str | torch.device) -> torch.Tensor:
    """An empty tensor of the machine's memory, which a copy to `device` need not wait for."""
    return torch.empty(shape, dtype=dtype, pin_memory=torch.device(device).type == "cuda")


def sources(data: T, pick: Callable[[int], T], steps: Iterable[int]) -> Iterator[T]:
    """For each step that from which its batch is drawn: `data`, or where it is streamed `pick(step)`, read ahead."""
    return _ahead(pick, iter(steps)) if isinstance(data, Streamed) else itertools.repeat(data)


def _ahead(pick: Callable[[int], T], steps: Iterator[int]) -> Iterator[T]:
    pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="reader")
    try:
        waiting = deque(pool.submit(pick, step) for step in itertools.islice(steps, AHEAD))
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(pool.submit(pick, step) for step in itertools.islice(steps, 1))
            yield found
    finally:
        pool.shutdown(cancel_futures=True)
