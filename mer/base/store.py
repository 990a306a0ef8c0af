"""Files appear whole or not at all: HDF5 shards, JSON and text, written under a temporary name, fsynced, renamed.

A shard holds the clips of one subject. Each clip is a group, each array of the clip one contiguous, uncompressed
dataset (so that a clip is read in one piece) with its CRC-32, which is compared when it is read. Nothing in the file
depends on the time or place of writing: the same arrays give the same bytes, which is what keeps DVC from re-running
the stages below.
"""

import contextlib
import csv
import errno
import functools
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mer.base.errors import MerError, full
from mer.base.shard import SCHEMA, Shard, checksum

PIECE = 2 ** 24  # bytes that are copied at a time, or of a file that is made in memory


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


def write_shard(path: str | Path, clips: Mapping[str, Mapping[str, np.ndarray]], attrs: dict | None = None) -> None:
    """Write one shard: `clips` maps clip ids to named arrays, `attrs` (units, parameters ...) is stored as JSON.

    Clips and arrays are written in sorted order; running it again gives the same bytes.
    """
    def fill(file: h5py.File) -> None:
        for clip_id in sorted(clips):
            group = file.create_group(clip_id)
            for name in sorted(clips[clip_id]):
                _write_array(group, name, np.asarray(clips[clip_id][name], order="C"))

    # of arrays that are made when they are asked for, one after another, nobody knows the size: too large for memory
    known = all(isinstance(named, dict) for named in clips.values())
    _write(path, fill, sum(np.asarray(array).nbytes for named in clips.values() for array in named.values())
           if known else PIECE + 1, attrs)


def join_shards(path: str | Path, parts: Mapping[str, Path], attrs: dict | None = None) -> None:
    """Write the shard of the clips of others, {clip id: its shard}: the bytes of `write_shard`, though no more than
    PIECE bytes of an array are held at a time.

    Raises:
        MerError: a part is missing or damaged.
    """
    def fill(file: h5py.File) -> None:
        for clip_id in sorted(parts):
            with Shard(parts[clip_id]) as part:
                group = file.create_group(clip_id)
                for name in part.names(clip_id):
                    _copy_array(part, clip_id, name, group)

    _write(path, fill, sum(os.stat(part).st_size for part in set(parts.values()) if part.is_file()), attrs)


def _write(path: str | Path, fill: Callable[[h5py.File], None], size: int, attrs: dict | None) -> None:
    """A shard of about `size` bytes. On a disk that gets full HDF5 prints a page for each object, and may crash: so a
    small file is made in memory, and for a large one is asked before whether there is room."""
    def make(place: str | Path, **driver) -> bytes:
        with h5py.File(place, "w", libver=("earliest", "v108"), **driver) as file:
            file.attrs["schema"] = SCHEMA
            file.attrs["about"] = json.dumps(attrs or {}, sort_keys=True)
            fill(file)
            file.flush()
            return file.id.get_file_image() if driver else b""

    if size <= PIECE:
        write_bytes(path, make(path, driver="core", backing_store=False))
        return
    with atomic(path, size) as temporary:
        if size > shutil.disk_usage(temporary.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        make(temporary)


def _write_array(group: h5py.Group, name: str, array: np.ndarray) -> None:
    # track_times=False: a creation time in the file would change its hash at every run
    group.create_dataset(name, data=array, track_times=False).attrs["crc32"] = np.uint32(checksum(array))


def _copy_array(part: Shard, clip_id: str, name: str, group: h5py.Group) -> None:
    shape, dtype = part.shape(clip_id, name)
    cuts = list(_cuts(shape, dtype.itemsize))
    if len(cuts) == 1:
        _write_array(group, name, np.asarray(part.read(clip_id, (name,))[name]))
        return
    made, crc = group.create_dataset(name, shape, dtype, track_times=False), 0
    for cut in cuts:
        piece = part.piece(clip_id, name, cut)
        crc = checksum(piece, crc)
        made[cut] = piece
    part.compare(clip_id, name, crc)
    made.attrs["crc32"] = np.uint32(crc)


def _cuts(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple]:
    """Indices that cut an array into pieces of at most PIECE bytes, in the order of its bytes."""
    row = itemsize * math.prod(shape[1:])
    if not shape or shape[0] * row <= PIECE:
        yield ()
    elif row > PIECE:
        yield from ((first, *rest) for first in range(shape[0]) for rest in _cuts(shape[1:], itemsize))
    else:
        yield from ((slice(first, first + PIECE // row),) for first in range(0, shape[0], PIECE // row))


def digest(path: str | Path) -> str:
    """`Shard.digest` of a file."""
    with Shard(path) as shard:
        return shard.digest()


def refuse_other(path: str | Path, told: str | None) -> None:
    """Refuse a shard whose digest is another than was `told` when it was written (None: it was not told).

    Raises:
        MerError: names the file.
    """
    about = os.stat(path)
    if told is not None and _digest(str(path), about.st_mtime_ns, about.st_size) != told:
        raise MerError(f"{path}: not the shard that the summary.json beside it tells of; delete the folder and run "
                       "`dvc repro`")


@functools.lru_cache(maxsize=1024)  # asked for each of a shard's clips, by each process
def _digest(path: str, changed: int, size: int) -> str:
    return digest(path)


def link(source: str | Path, target: str | Path) -> None:
    """Make `target` the file `source`, which stays: a second name of it, a copy where the file system has none."""
    source, target = Path(source), Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        os.link(source, temporary)
        os.replace(temporary, target)
    except OSError:
        with atomic(target) as copy:
            shutil.copyfile(source, copy)
    finally:
        temporary.unlink(missing_ok=True)  # a rename to another name of the same file does nothing


def link_folder(source: str | Path, target: str | Path, *leave: str) -> None:
    """`link` every file of a folder, but those whose names are like one of the patterns `leave`, or being written."""
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=link,
                    ignore=shutil.ignore_patterns(".*.tmp", *leave))


def read_shard(path: str | Path, names: Iterable[str] | None = None) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
    """Read one shard whole: ({clip id: {name: array}}, attrs); with `names`, only those arrays of each clip.

    Raises:
        MerError: as `Shard`.
    """
    with Shard(path) as shard:
        return {clip_id: shard.read(clip_id, names) for clip_id in shard.clips}, shard.about
