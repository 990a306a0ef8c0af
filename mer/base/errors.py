"""The one exception for what a user can mend, and the wrapper that every command line of the project runs in."""

import errno
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

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
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = run()
        sys.stdout.flush()
    except MerError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        sys.exit(141)
    except OSError as error:
        print(f"error: {refused(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    except _Terminated:
        print(INTERRUPTED.replace("interrupted", "terminated"), file=sys.stderr)
        sys.exit(143)
    except Exception as error:
        if type(error).__name__ != "TerminatedWorkerError":  # joblib's, which is not imported here
            raise
        print("error: a worker process was killed, by the system if memory ran out; finished items are kept: run the "
              "same command again, with fewer parallel.workers or train.workers", file=sys.stderr)
        sys.exit(2)
    sys.exit(code or 0)


INTERRUPTED = "interrupted; finished items are kept, run the same command again to continue"
HINTS = {errno.EACCES: "allow it, or name another place", errno.EPERM: "allow it, or name another place",
         errno.EROFS: "name a place that can be written", errno.ENOTDIR: "a part of the path is a file",
         errno.EISDIR: "a file is expected there", errno.ENOENT: "make it, or correct the path",
         errno.ENOLCK: "this file system gives no locks: set HDF5_USE_FILE_LOCKING=FALSE, keep .scratch elsewhere"}


def refused(error: OSError) -> str:
    """In a line, what the machine refuses: the file, why, and what to do; of a full disk how much is free."""
    found = re.search(r"errno\s*=\s*(\d+)", str(error))  # HDF5 tells it in words
    number = error.errno or (int(found[1]) if found else 0)
    named = re.search(r"name\s*=\s*'([^']+)'", str(error))
    path = str(error.filename or (named[1] if named else ""))
    reason = os.strerror(number) if number else str(error)
    if number in (errno.ENOSPC, errno.EDQUOT):
        place = Path(path or ".").absolute()
        folder = next(parent for parent in (place, *place.parents) if parent.is_dir())
        hint = (f"{shutil.disk_usage(folder).free / 1e6:.0f} MB are free there; make room and run the same command "
                "again, finished items are kept")
    else:
        hint = HINTS.get(number, "")
    return "; ".join(filter(None, (f"{path}: {reason}" if path else reason, hint)))


class _Terminated(BaseException):
    """SIGTERM came; no `except Exception` on the way swallows it."""


def _terminate(number: int, frame: object) -> None:
    """SIGTERM ends the command as Ctrl-C does: pools are closed, locks are given back."""
    signal.signal(number, signal.SIG_IGN)
    raise _Terminated


def quiet_interrupt() -> None:
    """From now on Ctrl-C outside of `main`, such as while modules are imported, is one line as well."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print(INTERRUPTED, file=sys.stderr)
        else:
            usual(kind, error, trace)

    sys.excepthook = hook
