"""The one exception for what a user can mend, and the wrapper that every command line of the project runs in."""

import os
import sys
from collections.abc import Callable

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

    Exit codes: 0 success, 2 a `MerError` (its one line on stderr), 130 Ctrl-C, 141 when who reads the output (`| head`)
    has closed it. Any other exception keeps its traceback, because it is a defect of ours and the traceback is what we
    need to see.
    """
    try:
        code = run()
        sys.stdout.flush()
    except MerError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        sys.exit(141)
    except KeyboardInterrupt:
        print("interrupted; finished items are kept, run the same command again to continue", file=sys.stderr)
        sys.exit(130)
    sys.exit(code or 0)
