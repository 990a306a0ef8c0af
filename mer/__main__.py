"""`mer COMMAND ...`: all commands under one name; each is also a module, `python -m mer.COMMAND`.

`mer completion bash` (or zsh, tcsh) prints what a shell needs to complete commands, options and files.
"""

import argparse
import importlib
import sys

from mer.base.command import CONSOLE
from mer.base.errors import main, quiet_interrupt

COMMANDS = {  # name -> what it is for; its module is mer.<name>, with `parser` and `run`
    "doctor": "what will and won't work here, and which versions made what is here",
    "run": "`dvc exp run` whose values are looked at first: `run -S key=value`",
    "datasets": "`datasets check FOLDER`: what a raw release is, counted; `datasets table`: all that are read",
    "predict": "a finished run's networks on a clip of your own",
    "compare": "experiments side by side, with paired tests",
    "export": "networks as safetensors with a model card",
    "tables": "the papers' tables from all experiments; `tables queue`: what they lack",
    "tune": "one knob chosen on validation subjects",
    "bench": "how fast it is here, beside the other arm, goal and floor of each; needs a checkout"}
SHELLS = ("bash", "zsh", "tcsh")


def parser(full: bool = False) -> argparse.ArgumentParser:
    """The commands; `full`: with the options of each, for completion (imports all of them)."""
    import mer

    made = argparse.ArgumentParser(prog=CONSOLE, description=__doc__.splitlines()[0],
                                   epilog=f"`{CONSOLE} COMMAND --help` tells a command's options; the pipeline itself "
                                          "is `dvc repro`")
    made.add_argument("--version", action="version", version=f"mer {mer.__version__}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        parents = [module(name).parser()] if full else []
        commands.add_parser(name, help=about, add_help=False, parents=parents)
    completion = commands.add_parser("completion", help="the shell's completion of these commands")
    completion.add_argument("shell", choices=SHELLS)
    return made


def module(name: str):
    """The module of a command: a file, or the __main__ of a package."""
    found = importlib.import_module(f"mer.{name}")
    return importlib.import_module(f"mer.{name}.__main__") if hasattr(found, "__path__") else found


def cli() -> None:
    """The console script."""
    quiet_interrupt()  # before the command's own imports
    words = sys.argv[1:]
    if words[:1] and words[0] in COMMANDS:
        sys.argv = [f"{CONSOLE} {words[0]}", *words[1:]]
        main(module(words[0]).run)
    asked = parser().parse_args(words)
    if asked.command == "completion":
        import shtab  # DVC brings it

        print(shtab.complete(parser(full=True), asked.shell))


if __name__ == "__main__":
    cli()
