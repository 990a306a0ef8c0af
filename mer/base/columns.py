"""Where one array of many clips lies in their shards, and reads of single rows of it: for data larger than the memory.

An array of a shard is contiguous and not compressed (`store`), so a row of it, a frame or a flow field, is so many
bytes at a place of the file. They are read as such, straight into the caller's memory: neither the lock that HDF5 has
for all threads of a process nor Python's is held meanwhile. What is read again comes from the system's file cache,
which all processes share; here nothing is kept.
"""

import io
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mer.base import shard
from mer.base.errors import MerError

OPEN = 64  # files that a thread keeps open; systems allow a process 256 and more


class Place(NamedTuple):
    """Where an array lies: the first byte in its file; `crc32` is of the whole of it."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    crc32: int


class Files:
    """Files that several threads read, each with handles of its own; what has changed since is refused."""

    def __init__(self, paths: Iterable[Path]):
        self.paths = list(paths)
        self._stamps = [_stamp(os.stat(path)) for path in self.paths]
        self._mine = threading.local()

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_mine"}  # no open file goes elsewhere

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _mine=threading.local())

    def read(self, number: int, offset: int, into: np.ndarray) -> None:
        """Fill the contiguous array `into` with the bytes of file `number` from `offset` on.

        Raises:
            MerError: the file is no longer the one that it was.
        """
        left = into.reshape(-1).view(np.uint8).data
        try:
            file = self._file(number)
            file.seek(offset)
            while len(left):
                count = file.readinto(left)
                if not count:
                    raise MerError(self._changed(number))
                left = left[count:]
        except FileNotFoundError:
            raise MerError(self._changed(number)) from None

    def _file(self, number: int) -> io.FileIO:
        handles = self._mine.__dict__.setdefault("handles", {})
        file = handles.pop(number, None)
        if file is None:
            if len(handles) >= OPEN:
                handles.pop(next(iter(handles))).close()  # the one that was used the longest ago
            file = open(self.paths[number], "rb", buffering=0)  # noqa: SIM115  # it stays open
            if _stamp(os.fstat(file.fileno())) != self._stamps[number]:
                file.close()
                raise MerError(self._changed(number))
        handles[number] = file
        return file

    def _changed(self, number: int) -> str:
        return f"{self.paths[number].as_posix()}: changed while it was read; run the same command again"


def _stamp(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class Column:
    """One array of N clips, whose leading dimensions may differ: its rows, one after another.

    Attributes:
        name: of the array; clips: (N,) ids; files: the shards.
        file: (N,) which of them; offset: (N,) the first byte there; lead: (N, k) the leading dimensions of each clip.
        row: shape of a row; dtype: of an element; crc32: (N,) of each clip's whole array.
    """

    name: str
    clips: tuple[str, ...]
    files: Files
    file: np.ndarray
    offset: np.ndarray
    lead: np.ndarray
    row: tuple[int, ...]
    dtype: np.dtype
    crc32: np.ndarray

    @property
    def length(self) -> np.ndarray:
        """(N,) how many rows each clip has."""
        return self.lead.prod(axis=1)

    def whole(self, clip: int) -> np.ndarray:
        """The whole array of clip number `clip`, compared with its checksum.

        Raises:
            MerError: it is damaged, or its file has changed.
        """
        array = np.empty((*self.lead[clip], *self.row), self.dtype)
        self.files.read(self.file[clip], int(self.offset[clip]), array)
        path = self.files.paths[self.file[clip]]
        shard.compare(self.crc32[clip], shard.checksum(array), f"{path}: clip {self.clips[clip]}, {self.name}")
        return array

    def rows(self, clip: int, which: Sequence[int], into: np.ndarray) -> None:
        """Rows `which` (n,) of clip number `clip` into `into` (n, *row); they are not compared with any checksum.

        Raises:
            MerError: the file has changed.
        """
        size = int(np.prod(self.row, dtype=np.int64)) * self.dtype.itemsize
        file, first, begin = self.file[clip], int(self.offset[clip]), 0
        for end in range(1, len(which) + 1):
            if end == len(which) or which[end] != which[end - 1] + 1:  # neighbours in one piece
                self.files.read(file, first + int(which[begin]) * size, into[begin:end])
                begin = end


def places(path: Path, clips: Iterable[str], names: Iterable[str]) -> dict[str, dict[str, Place]]:
    """Where the arrays `names` of the clips lie that are in a shard: {clip id: {name: place}}.

    Raises:
        MerError: as of `shard.Shard`; an array is missing.
    """
    with shard.Shard(path) as file:
        return {clip: {name: _place(file, clip, name) for name in names} for clip in clips if clip in file}


def _place(file: shard.Shard, clip: str, name: str) -> Place:
    offset, shape, dtype, crc32 = file.place(clip, name)
    if offset is None and np.prod(shape):
        raise MerError(f"{file.path}: clip {clip}, {name}: not in one piece; delete the file and run `dvc repro`")
    return Place(offset or 0, shape, dtype, crc32)


def column(name: str, trailing: int, clips: tuple[str, ...], files: Files, file: Sequence[int],
           found: Sequence[Place]) -> Column:
    """The column of the clips' places `found`, whose last `trailing` dimensions must be the same.

    Raises:
        MerError: they differ.
    """
    cut = len(found[0].shape) - trailing
    row, dtype = found[0].shape[cut:], found[0].dtype
    for clip, number, place in zip(clips, file, found, strict=True):
        if (len(place.shape), place.shape[cut:], place.dtype) != (cut + trailing, row, dtype):
            raise MerError(f"{files.paths[number].as_posix()}: clip {clip}, {name}: {place.dtype}, {place.shape}; "
                           f"expected {dtype}, (..., {', '.join(map(str, row))}), as of clip {clips[0]}; delete "
                           "the folder and run `dvc repro`")
    return Column(name, clips, files, np.array(file), np.array([place.offset for place in found]),
                  np.array([place.shape[:cut] for place in found], np.int64), row, dtype,
                  np.array([place.crc32 for place in found], np.uint32))
