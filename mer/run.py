"""`mer run -S key=value ...`: `dvc exp run` with these values, each looked at before DVC sees it.

DVC resolves the graph by the values first, and tells of a wrong model, profile or dataset only which key or folder it
does not find. What is no option here (--queue, --name X, --temp, a stage) is handed to `dvc exp run`.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from mer import params
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.base.knobs import flatten, nearest, read_yaml

PARAMS = Path("params.yaml")


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.run"), description=__doc__.splitlines()[0], allow_abbrev=False,
                                   epilog="Other words and options are those of `dvc exp run`, such as --queue.")
    made.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE", dest="settings",
                      help="a value of params.yaml for this experiment; as often as needed")
    return made


def run() -> int:
    """Check the values, then hand everything to DVC; its exit code.

    Raises:
        MerError: a key or a value that makes no sense, or a release that is not there.
    """
    asked, others = parser().parse_known_args()
    copied = {"--queue", "--temp"} & set(others)  # run in a copy of the project
    for checked in check(asked.settings):
        problems = missing(checked, copied=bool(copied))
        if problems:
            raise MerError(*problems)
    from dvc.cli import main as dvc  # slow to import: after the check

    return dvc(["exp", "run", *others, *(word for text in asked.settings for word in ("-S", text))])


def check(settings: list[str]) -> list[params.Params]:
    """The parameters of the experiment, or of each that DVC makes where a value is several (`lr=0.1,0.01`).

    Raises:
        MerError: as `run`.
    """
    raw = read_yaml(PARAMS)
    known = flatten(raw)
    for text in settings:
        key, sign, _ = text.partition("=")
        if not sign or key not in known:
            raise MerError(f"-S {text}: " + (f"{key} is no key of params.yaml" if sign else "expected key=value")
                           + nearest(key, known))
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    checked = []
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / PARAMS.name
        try:
            for one in get_hydra_sweeps({PARAMS.name: settings}):
                shutil.copy(PARAMS, changed)
                apply_overrides(changed, one[PARAMS.name])
                checked.append(params.resolve(read_yaml(changed)))
        except MerError:
            raise
        except Exception as error:  # DVC's, Hydra's and ANTLR's, of many kinds
            cause = error.__cause__ or error
            raise MerError(f"-S {' -S '.join(settings)}: {' '.join(str(cause).split())}") from None
    return checked


def missing(p: params.Params, *, copied: bool) -> list[str]:
    """What the experiment reads and is not there, a line each; with `copied`, also what a copy of the project lacks."""
    from mer.tables import queue  # slow to import

    if copied:
        return queue.invisible(p)
    return [f"{path} does not exist; put it there, or link it" for path in queue.needed(p) if not Path(path).exists()]


if __name__ == "__main__":
    main(run)
