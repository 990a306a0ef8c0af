"""A shard that is open to be read; what it is, `mer/base/store.py` says, which writes it."""

import hashlib
import json
import zlib
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5a, h5d, h5s

from mer.base.errors import MerError, machine

SCHEMA = 2  # version of the shards' layout, stored in every one of them
ANEW = "delete it and run `dvc repro`; if it comes back so from DVC's cache, `mer doctor --verify` says what to do"


def checksum(array: np.ndarray, before: int = 0) -> int:
    """CRC-32 of an array's bytes, after those of `before`: it finds every flipped bit, at 3 GB/s and more."""
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, before)


def compare(told: object, found: int, where: str) -> None:
    """Refuse an array whose bytes have another checksum than was written with it.

    Raises:
        MerError: they differ; `where` says of what.
    """
    if told != found:
        raise MerError(f"{where}: damaged, its checksum differs; {ANEW}")


class Shard:
    """A shard that is open to be read, clip by clip: `with store.Shard(path) as shard`.

    Attributes:
        about: what `write_shard` was given as `attrs`; clips: the ids, sorted.

    Raises:
        MerError: the file is missing, damaged, or of another version of the layout; an array is damaged or missing.
    """

    def __init__(self, path: str | Path):
        self.path = path
        with self._told():
            # files appear whole, so that no lock is needed, and not every file system has them
            self._file = h5py.File(path, "r", locking=False)
        try:
            with self._told():
                if self._file.attrs.get("schema") != SCHEMA:
                    raise MerError(f"{path}: shard of schema {self._file.attrs.get('schema')}, expected {SCHEMA}, so "
                                   "made by another version of mer; delete it and run `dvc repro`")
                self.about, self.clips = json.loads(self._file.attrs["about"]), list(self._file)
        except MerError:
            self._file.close()
            raise

    def __enter__(self) -> "Shard":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._file

    def names(self, clip_id: str) -> list[str]:
        """The arrays of a clip, sorted."""
        with self._told():
            return list(self._file[clip_id].keys())

    def shape(self, clip_id: str, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, of which nothing is read."""
        with self._told():
            return self._file[clip_id][name].shape, self._file[clip_id][name].dtype

    def piece(self, clip_id: str, name: str, cut: tuple) -> np.ndarray:
        """A part of an array; nobody has compared it with the checksum, see `compare`."""
        with self._told():
            return self._file[clip_id][name][cut]

    def place(self, clip_id: str, name: str) -> tuple[int | None, tuple[int, ...], np.dtype, int]:
        """Of an array the first byte in the file (None: it is not in one piece), shape, type and checksum."""
        with self._told():
            data = self._file[clip_id][name]
            return data.id.get_offset(), data.shape, data.dtype, int(data.attrs["crc32"])

    def compare(self, clip_id: str, name: str, crc: int) -> None:
        """Refuse an array whose bytes have another checksum than was written with it."""
        with self._told():
            compare(self._file[clip_id][name].attrs.get("crc32"), crc, f"{self.path}: clip {clip_id}, {name}")

    def read(self, clip_id: str, names: Iterable[str] | None = None, *, every: bool = False) -> dict[str, np.ndarray]:
        """The arrays of a clip, those of `names` that it has or all, each compared with its checksum.

        every: whether a clip that lacks some of `names` is damaged.
        """
        wanted, found = None if names is None else set(names), {}
        with self._told():
            group = self._file[clip_id]
            for name in [*group.keys()]:
                if wanted is None or name in wanted:
                    # by HDF5's own calls: h5py's take longer than the reading and the checksum of a clip together
                    data = h5d.open(group.id, name.encode())
                    array = np.empty(data.shape, data.dtype)
                    data.read(h5s.ALL, h5s.ALL, array)
                    compare(_told_checksum(data), checksum(array), f"{self.path}: clip {clip_id}, {name}")
                    found[name] = array[()]
        if every and (lost := (wanted or set()) - set(found)):
            raise MerError(f"{self.path}: clip {clip_id} has no array {min(lost)}; {ANEW}")
        return found

    def digest(self) -> str:
        """16 hexadecimal digits over all that the shard holds, by the arrays' checksums: no array is read."""
        total = hashlib.sha256(json.dumps(self.about, sort_keys=True).encode())
        with self._told():
            for clip_id in self.clips:
                for name, data in self._file[clip_id].items():
                    about = clip_id, name, data.dtype.str, data.shape, int(data.attrs["crc32"])
                    total.update(f"\n{about}".encode())
        return total.hexdigest()[:16]

    @contextmanager
    def _told(self):
        """What goes wrong with the file, in a line."""
        try:
            yield
        except FileNotFoundError:
            raise MerError(f"{self.path}: no such shard; run `dvc repro` to make it") from None
        except OSError as error:
            if machine(error):
                raise  # the file may be whole; errors.main tells
            raise MerError(f"{self.path}: unreadable HDF5 shard ({error}); {ANEW}") from None
        except (KeyError, ValueError, AttributeError, RuntimeError, TypeError, MemoryError, OverflowError) as error:
            raise MerError(f"{self.path}: damaged shard ({error}); {ANEW}") from None


def _told_checksum(data: h5d.DatasetID) -> np.ndarray | None:
    """The checksum that was written with an array."""
    if not h5a.exists(data, b"crc32"):
        return None
    found = np.empty((), np.uint32)
    h5a.open(data, b"crc32").read(found)
    return found
