"""The one exception for what a user can mend, and the wrapper that every command line of the project runs in."""

import errno
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

LONGEST = 1500  # characters of a line


class MerError(Exception):
    """A problem with the user's data, parameters or machine.

    The message is one line that names the file, key or row, the value found, and what was expected or what to do; of
    several problems one line each. It stays one where the value found, such as a cell or a file's name, holds line
    breaks or is very long.
    """

    def __str__(self) -> str:
        return "\n".join(_one_line(str(line)) for line in self.args)


def _one_line(text: str) -> str:
    line = " ".join(text.splitlines())
    return line if len(line) <= LONGEST else f"{line[:LONGEST // 2]} ... {line[-LONGEST // 2:]}"


def main(run: Callable[[], int | None]) -> None:
    """Run a command, turning errors into one line and an exit code.

    Exit codes: 0 success; 2 what the user can mend, a `MerError` or what the machine refuses (a full disk, no
    permission, a killed worker), in one line on stderr; 130 Ctrl-C, 143 SIGTERM; 141 when who reads the output
    (`| head`) has closed it. Any other exception keeps its traceback, because it is a defect of ours and the traceback
    is what we need to see.
    """
    _watch(_stop)
    try:
        code = run()
        sys.stdout.flush()
    except MerError as error:  # also what an error of our own made of the signal
        _end(_came[0] if _came else 0, 2, f"error: {error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        sys.exit(141)
    except (KeyboardInterrupt, _Terminated) as stop:
        _end(signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
    except Exception as error:
        # a compiled module that is stopped while it is imported raises what it likes
        refusal = next((one for one in _behind(error) if isinstance(one, OSError) and
                        (one is error or _number(one) in FULL)), None)
        if _came:
            _end(_came[0])
        if refusal is not None:
            _end(0, 2, f"error: {refused(refusal)}")
        if type(error).__name__ != "TerminatedWorkerError":  # joblib's, which is not imported here
            raise
        _end(0, 2, "error: a worker process was killed, by the system if memory ran out; finished items are kept: run "
                   "the same command again, with fewer parallel.workers or train.workers")
    sys.exit(code or 0)


INTERRUPTED = "interrupted; finished items are kept, run the same command again to continue"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WRITTEN = (".", "data", "reports", ".scratch", tempfile.gettempdir())
MACHINE = (errno.EACCES, errno.EPERM, errno.EIO, errno.ENOLCK, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ESTALE)
HINTS = {errno.EACCES: "allow it, or name another place", errno.EPERM: "allow it, or name another place",
         errno.EROFS: "name a place that can be written", errno.ENOTDIR: "a part of the path is a file",
         errno.EISDIR: "a file is expected there", errno.ENOENT: "make it, or correct the path",
         errno.EIO: "the disk or the network failed: try again, and if it stays look at the disk",
         errno.ENOLCK: "this file system gives no locks: make .scratch a link to a folder on a local disk"}


def refused(error: OSError) -> str:
    """In a line, what the machine refuses: the file, why, and what to do; of a full disk what is needed and free."""
    number, path = _number(error), _path(error)
    reason = os.strerror(number) if number else _one_line(str(error))
    if number in FULL:
        # where nobody told the file: the fullest of the places that are written to
        path = path or min(filter(os.path.isdir, WRITTEN), key=_free)
        needed, free = getattr(error, "needed", 0), _free(nearest_folder(Path(path)))
        hint = (f"{_size(needed)} are needed, " if needed else "") + (
            f"{_size(free)} are free there; make room and run the same command again, "
            "finished items are kept")
    else:
        hint = HINTS.get(number, "")
    return "; ".join(filter(None, (f"{path}: {reason}" if path else reason, hint)))


def full(error: BaseException, path: Path, needed: int = 0) -> OSError | None:
    """Of an error on the way of writing `path` that says that a disk is full: the one that names the file.

    Args:
        needed: bytes of the file, 0 where they are not known.
    """
    found = next((one for one in _behind(error) if _number(one) in FULL), None)
    if found is None:
        return None
    named = OSError(_number(found), os.strerror(_number(found)), str(path))
    named.needed = needed  # type: ignore[attr-defined]
    return named


def machine(error: OSError) -> bool:
    """Whether the machine refuses to read a file that may be whole."""
    return _number(error) in MACHINE or "unable to lock" in str(error)


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int:
    """The system's number of an error, 0 for none; HDF5 and shutil tell it in words."""
    found = re.search(r"errno\s*=\s*(\d+)|\[Errno (\d+)\]", str(error), re.IGNORECASE)
    return getattr(error, "errno", None) or (int(found[1] or found[2]) if found else 0)


def _path(error: OSError) -> str:
    if error.args and isinstance(error.args[0], list):  # shutil.Error: (from, to, why) of each file
        return str(error.args[0][0][1])
    named = re.search(r"name\s*=\s*'([^']+)'", str(error))
    return str(error.filename or (named[1] if named else ""))


def nearest_folder(path: Path) -> Path:
    """A folder, or the nearest above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.is_dir())


def _free(folder: str | Path) -> int:
    return shutil.disk_usage(folder).free


def _size(count: float) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.2f} MB"


class _Terminated(BaseException):
    """SIGTERM came; no `except Exception` on the way swallows it."""


_came: list[int] = []  # the first signal that stops the command


def _stop(number: int, frame: FrameType | None) -> None:
    """Ctrl-C or SIGTERM: pools are closed, locks are given back. A second one does not cut that short."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    _came.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else _Terminated


def _stop_now(number: int, frame: FrameType | None) -> None:
    """The same while modules are imported: there is nothing to clean, and an import may swallow an exception."""
    print(_words(number), file=sys.stderr, flush=True)
    os._exit(128 + number)


def _watch(handler: Callable[[int, FrameType | None], None]) -> None:
    """Handle both signals, but one that is ignored: a shell has commands in its background ignore Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _words(number: int) -> str:
    return INTERRUPTED if number == signal.SIGINT else INTERRUPTED.replace("interrupted", "terminated")


def _end(number: int, code: int = 0, words: str = "") -> None:
    """End the process with its one line: of the signal `number`, else `words` and `code`."""
    print(_words(number) if number else words, file=sys.stderr)
    sys.exit(128 + number if number else code)


def quiet_interrupt() -> None:
    """From now on Ctrl-C and SIGTERM outside of `main`, such as while modules are imported, are one line as well."""
    _watch(_stop_now)
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print(INTERRUPTED, file=sys.stderr)
        else:
            usual(kind, error, trace)

    sys.excepthook = hook
