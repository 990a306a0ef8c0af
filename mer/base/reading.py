"""Files from strangers as bytes and text: of a size that can be held, or a line that names the file."""

import os
import stat
from pathlib import Path

from mer.base.errors import MerError

TABLE = 32 * 2**20  # bytes of a table or a list; the largest known one has 2 MB
SETTINGS = 2**20  # of a file of settings


def content(path: Path, most: int = TABLE, what: str = "table") -> bytes:
    """The bytes of a file.

    Raises:
        FileNotFoundError: there is none, for the caller to say what it is wanted for.
        MerError: no file but a folder, a pipe or a device; it cannot be read; it has more than `most` bytes.
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise MerError(f"{path.as_posix()} cannot be read: it is no file; expected a {what}")
        if about.st_size > most:
            raise MerError(f"{path.as_posix()} has {about.st_size:,} bytes; a {what} of at most {most:,} is read: is "
                           "it this one?")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MerError(f"{path.as_posix()} cannot be read: {error.strerror}") from error


def text(path: Path, most: int = TABLE, what: str = "table") -> str:
    """The content of a file as UTF-8 text, with or without a mark of the byte order.

    Raises:
        FileNotFoundError, MerError: as `content`, or it is no such text.
    """
    try:
        return content(path, most, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MerError(f"{path} cannot be read as UTF-8 text: {error}; save it as UTF-8") from error
