"""A miniature of this project in a folder of its own: the same code, graph and knobs on a release of a few clips.

For the tests that run `dvc` for real, and for tests/bench/demo.py.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ("stages", "mer", "data/encoder_weights/README.md", "data/sd_vae/README.md", "dvc.yaml", "params.yaml",
           "pyproject.toml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore")
BUDGET = {"steps": 6, "batch": 4, "threads": 1, "checkpoint_every": 1}
SMALL = {  # what makes the whole graph run in about a minute on two cores
    "parallel": {"workers": 2},
    "synthetic": {"subjects": 3, "clips_per_class": 1, "frames": 9, "macro_subjects": 2, "macro_clips_per_class": 1,
                  "macro_frames": 9},
    "sampling": {"t": 4, "sets": 1},
    "flow": {"pairs": 1},
    "mol": {"width": 0.0625},
    "fdp": {"width": 0.0625, "n_local": [1, 0, 0, 0], "n_global": [0, 0, 0, 1]},
    "ma2mi": {"width": 0.0625, "conv_ae_width": 0.0625, "conv_ae_steps": 4, "dit_width": 16, "dit_depth": 1,
              "dit_heads": 2},
    "pretrain": BUDGET,
    "train": {**BUDGET, "eval_every": 3, "workers": 2},
    "evaluate": {"bootstrap": 100, "permutations": 100},
}


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code, what it wrote, and the wall time in seconds."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def ran(self) -> list[str]:
        """Names of the DVC stages that ran, in order."""
        return [line.split("'")[1] for line in self.out.splitlines() if line.startswith("Running stage '")]

    def tail(self) -> str:
        return f"{self.out[-3000:]}\n--- stderr ---\n{self.err[-3000:]}"


def checkout(target: Path) -> Path:
    """Copy the project's files into `target` and commit them to a Git repository there; nothing has been run in it."""
    skip = shutil.ignore_patterns("__pycache__")
    for name in PROJECT:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        copy = functools.partial(shutil.copytree, ignore=skip) if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, path)
    run(target, "git", "init", "--quiet")
    commit(target, "the project")
    return target


def write_params(path: Path, changes: dict) -> None:
    """Write this project's params.yaml to `path` with the values of `changes` (sections merged key by key)."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        assert key in values, key
        if isinstance(value, dict):
            assert set(value) <= set(values[key]), key
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    text = yaml.safe_dump(values, sort_keys=False)
    path.write_text(re.sub(r": null$", ":", text, flags=re.MULTILINE), encoding="utf-8")  # as DVC writes nothing


def miniature(target: Path) -> Path:
    """`checkout` with the small release's parameters committed."""
    checkout(target)
    write_params(target / "params.yaml", SMALL)
    commit(target, "small")
    return target


@functools.cache
def finished(base: Path) -> Path:
    """A miniature below `base` in which `dvc repro` ran to its end and was committed, made once per test session.

    To be read and copied, never changed.
    """
    root = miniature(base / "finished")
    done = dvc(root, "repro")
    assert done.code == 0, done.tail()
    print(f"\nminiature `dvc repro`: {done.seconds:.0f} s")
    commit(root, "results")
    return root


def environment(root: Path) -> dict[str, str]:
    """This process' variables, with this Python first and nothing of the user's Git and DVC settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", "test"), ("EMAIL", "test@example.org"))}
    folders = {f"DVC_{name}_DIR": str(root / ".dvc/tmp" / name.lower())
               for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")}
    return {**kept, **who, **folders, "GIT_CONFIG_GLOBAL": os.devnull, "DVC_NO_ANALYTICS": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])}


def dvc(root: Path, *words: str) -> Done:
    return run(root, *DVC, *words)


DVC = (sys.executable, "-m", "dvc")


def run(root: Path, *command: str) -> Done:
    began = time.monotonic()
    made = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True, timeout=900)
    return Done(made.returncode, made.stdout, made.stderr, time.monotonic() - began)


def commit(root: Path, message: str) -> None:
    for words in (("add", "--all"), ("commit", "--quiet", "--message", message)):
        done = run(root, "git", *words)
        assert done.code == 0, done.tail()


def digests(*folders: Path) -> dict[str, str]:
    """SHA-256 of every file below the folders, by path relative to its folder's parent."""
    return {path.relative_to(folder.parent).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}
