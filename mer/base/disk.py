"""Whether a disk holds what a stage is about to write: asked before it starts, not found out after hours."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from mer.base.errors import MerError, nearest_folder

LARGE = 10**9  # bytes from which a need is told of


def words(size: float) -> str:
    """A size in bytes as people write it: '58.1 GB', '24 MB'."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def ask(stage: str, need: float, *folders: Path) -> None:
    """Stop a stage that needs more bytes than are free; one line where it needs many.

    Args:
        folders: where it writes, all of it in each; they need not be there yet, and a disk is asked once.

    Raises:
        MerError: names the need, what is free, and where.
    """
    disks = {os.stat(place).st_dev: place for place in map(nearest_folder, folders)}
    for place in disks.values():
        free = shutil.disk_usage(place).free
        about = f"{stage}: needs about {words(need)} of disk, {words(free)} are free in {place.as_posix()}"
        if need > free:
            raise MerError(f"{about}; make room there, and run the same command again")
        if need >= LARGE:
            print(about)


def used(files: Iterable[Path]) -> int:
    """Bytes of the files that are there."""
    return sum(path.stat().st_size for path in files if path.is_file())
