"""`mer COMMAND` is `python -m mer.COMMAND`: the same options, the same words, one list."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mer
from mer.__main__ import COMMANDS, SHELLS

ROOT = Path(__file__).parents[1]


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_help_lists_every_command():
    told = run("-m", "mer", "--help")
    assert told.returncode == 0 and told.stdout.startswith("usage: mer ")
    listed = re.findall(r"^ +(\w+)\b", told.stdout, re.MULTILINE)
    assert {*COMMANDS, "completion"} <= set(listed)
    assert run("-m", "mer", "--version").stdout == f"mer {mer.__version__}\n"


def test_every_command_of_the_package_is_in_the_list():
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "mer").glob("*.py")}
    files = {name for name, text in texts.items() if "    main(run)" in text}
    folders = {path.parent.name for path in (ROOT / "mer").glob("*/__main__.py")}
    assert files | folders == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_options_of_its_module_and_its_own_name(name):
    console, module = run("-m", "mer", name, "--help"), run("-m", f"mer.{name}", "--help")
    assert console.returncode == module.returncode == 0, console.stderr + module.stderr
    assert console.stdout.startswith(f"usage: mer {name} ")
    assert module.stdout.startswith(f"usage: python -m mer.{name} ")
    options = [set(re.findall(r"--[a-z-]+", told.stdout)) for told in (console, module)]
    assert options[0] == options[1] >= {"--help"}


def test_an_unknown_command_is_refused_in_one_line_with_the_known_ones():
    told = run("-m", "mer", "predcit")
    assert told.returncode == 2 and "'predcit'" in told.stderr and "predict" in told.stderr
    assert "Traceback" not in told.stderr
    assert run("-m", "mer").returncode == 2


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_completes_commands_and_their_options(shell):
    told = run("-m", "mer", "completion", shell)
    assert told.returncode == 0, told.stderr
    assert [word for word in (*COMMANDS, "--onset", "--leave-out") if word.lstrip("-") not in told.stdout] == []
