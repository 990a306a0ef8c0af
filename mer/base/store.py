"""Files appear whole or not at all: HDF5 shards, JSON and text, written under a temporary name, fsynced, renamed.

A shard holds the clips of one subject. Each clip is a group, each array of the clip one contiguous, uncompressed
dataset (so that a clip is read in one piece) with its CRC-32, which is compared when it is read. Nothing in the file
depends on the time or place of writing: the same arrays give the same bytes, which is what keeps DVC from re-running
the stages below.
"""

import csv
import errno
import io
import json
import os
import zlib
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mer.base.errors import MerError

SCHEMA = 2  # version of the shards' layout, stored in every one of them


@contextmanager
def atomic(path: str | Path):
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`, on failure remove it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    r"""Write UTF-8 text atomically, with `\n` line ends on every system."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


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

    Clips and arrays are written in sorted order; running it again gives the same bytes.
    """
    with atomic(path) as temporary, h5py.File(temporary, "w", libver=("earliest", "v108")) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["about"] = json.dumps(attrs or {}, sort_keys=True)
        for clip_id in sorted(clips):
            group = file.create_group(clip_id)
            for name in sorted(clips[clip_id]):
                # track_times=False: a creation time in the file would change its hash at every run
                array = np.asarray(clips[clip_id][name], order="C")
                group.create_dataset(name, data=array, track_times=False).attrs["crc32"] = _crc(array)


def _crc(array: np.ndarray) -> np.uint32:
    """CRC-32 of an array's bytes: it finds every flipped bit, at 3 GB/s and more."""
    return np.uint32(zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data))


def read_shard(path: str | Path, names: Iterable[str] | None = None) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
    """Read one shard whole: ({clip id: {name: array}}, attrs); with `names`, only those arrays of each clip.

    Raises:
        MerError: the file is missing, damaged, or of another version of the layout; an array is damaged or missing.
    """
    wanted = None if names is None else set(names)
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("schema") != SCHEMA:
                raise MerError(f"{path}: shard of schema {file.attrs.get('schema')}, expected {SCHEMA}, so made by "
                               "another version of mer; delete it and run `dvc repro`")
            clips = {clip_id: _arrays(group, wanted, f"{path}: clip {clip_id}") for clip_id, group in file.items()}
            return clips, json.loads(file.attrs["about"])
    except FileNotFoundError:
        raise MerError(f"{path}: no such shard; run `dvc repro` to make it") from None
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOLCK, errno.EACCES) or "unable to lock" in str(error):
            raise  # the file may be whole: another program has it open, or there are no locks; errors.main tells
        raise MerError(f"{path}: unreadable HDF5 shard ({error}); delete it and run `dvc repro`") from None
    except (KeyError, ValueError, AttributeError, TypeError, RuntimeError) as error:  # RuntimeError: HDF5's own
        raise MerError(f"{path}: damaged shard ({error}); delete it and run `dvc repro`") from None


def _arrays(group: h5py.Group, wanted: set[str] | None, where: str) -> dict[str, np.ndarray]:
    """The arrays of a clip, each compared with its checksum."""
    found = {name: data[()] for name, data in group.items() if wanted is None or name in wanted}
    for name, array in found.items():
        if group[name].attrs.get("crc32") != _crc(np.asarray(array)):
            raise MerError(f"{where}, {name}: damaged, its checksum differs; delete the file and run `dvc repro`")
    return found
