"""Files appear whole or not at all: HDF5 shards, JSON and text, written under a temporary name, fsynced, renamed.

A shard holds the clips of one subject. Each clip is a group, each array of the clip one contiguous, uncompressed
dataset (so that a clip is read in one piece) with its CRC-32, which is compared when it is read. Nothing in the file
depends on the time or place of writing: the same arrays give the same bytes, which is what keeps DVC from re-running
the stages below.
"""

import contextlib
import csv
import io
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mer.base.errors import MerError, full, machine

SCHEMA = 2  # version of the shards' layout, stored in every one of them
ANEW = "delete it and run `dvc repro`; if it comes back so from DVC's cache, `mer doctor --verify` says what to do"


@contextlib.contextmanager
def atomic(path: str | Path, needed: int = 0):
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`, on failure remove it.

    Args:
        needed: bytes of the file, where they are known, for who reads that the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path, needed):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # of a part of the path that is a file, or of a disk that is gone
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path, needed: int = 0):
    """An error that says within that a disk is full, and not where, is one that names `path` and what it needs."""
    try:
        yield
    except Exception as error:
        refusal = full(error, path, needed)
        if refusal is None:
            raise
        raise refusal from error


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic(path, len(content)) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    r"""Write UTF-8 text atomically, with `\n` line ends on every system."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: object) -> None:
    """Write JSON atomically: indented, keys in the given order, one final newline; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises:
        MerError: the file is missing or is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MerError(f"{Path(path).as_posix()}: no such file; run `dvc repro` to make it") from None
    except ValueError as error:
        raise MerError(f"{path}: not valid JSON ({error}); delete it and run `dvc repro`") from None


def write_csv(path: str | Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV table atomically; floats with nine significant digits, enough to give a float32 back exactly."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{cell:.9g}" if isinstance(cell, float | np.floating) else cell for cell in row])
    write_text(path, buffer.getvalue())


def write_shard(path: str | Path, clips: dict[str, dict[str, np.ndarray]], attrs: dict | None = None) -> None:
    """Write one shard: `clips` maps clip ids to named arrays, `attrs` (units, parameters ...) is stored as JSON.

    Clips and arrays are written in sorted order; running it again gives the same bytes. HDF5 makes the file in memory:
    on a disk that gets full it prints a page for each object, and may crash.
    """
    with h5py.File(path, "w", libver=("earliest", "v108"), driver="core", backing_store=False) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["about"] = json.dumps(attrs or {}, sort_keys=True)
        for clip_id in sorted(clips):
            group = file.create_group(clip_id)
            for name in sorted(clips[clip_id]):
                # track_times=False: a creation time in the file would change its hash at every run
                array = np.asarray(clips[clip_id][name], order="C")
                group.create_dataset(name, data=array, track_times=False).attrs["crc32"] = _crc(array)
        file.flush()
        content = file.id.get_file_image()
    write_bytes(path, content)


def _crc(array: np.ndarray) -> np.uint32:
    """CRC-32 of an array's bytes: it finds every flipped bit, at 3 GB/s and more."""
    return np.uint32(zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data))


def read_shard(path: str | Path, names: Iterable[str] | None = None, *,
               every: bool = False) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
    """Read one shard whole: ({clip id: {name: array}}, attrs); with `names`, only those arrays of each clip.

    Args:
        every: whether a clip that lacks some of `names` is damaged.

    Raises:
        MerError: the file is missing, damaged, or of another version of the layout; an array is damaged or missing.
    """
    wanted = None if names is None else set(names)
    try:
        # files appear whole, so that no lock is needed, and not every file system has them
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("schema") != SCHEMA:
                raise MerError(f"{path}: shard of schema {file.attrs.get('schema')}, expected {SCHEMA}, so made by "
                               "another version of mer; delete it and run `dvc repro`")
            clips = {clip_id: _arrays(group, wanted, f"{path}: clip {clip_id}") for clip_id, group in file.items()}
            for clip_id, arrays in clips.items():
                if every and (lost := (wanted or set()) - set(arrays)):
                    raise MerError(f"{path}: clip {clip_id} has no array {min(lost)}; {ANEW}")
            return clips, json.loads(file.attrs["about"])
    except FileNotFoundError:
        raise MerError(f"{path}: no such shard; run `dvc repro` to make it") from None
    except OSError as error:
        if machine(error):
            raise  # the file may be whole; errors.main tells
        raise MerError(f"{path}: unreadable HDF5 shard ({error}); {ANEW}") from None
    except (KeyError, ValueError, AttributeError, RuntimeError, TypeError, MemoryError, OverflowError) as error:
        raise MerError(f"{path}: damaged shard ({error}); {ANEW}") from None


def _arrays(group: h5py.Group, wanted: set[str] | None, where: str) -> dict[str, np.ndarray]:
    """The arrays of a clip, each compared with its checksum."""
    found = {name: data[()] for name, data in group.items() if wanted is None or name in wanted}
    for name, array in found.items():
        if group[name].attrs.get("crc32") != _crc(np.asarray(array)):
            raise MerError(f"{where}, {name}: damaged, its checksum differs; {ANEW}")
    return found
