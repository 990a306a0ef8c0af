"""What DVC knows of a project, read from its files: dvc.lock, dvc.yaml, *.dvc and the cache. DVC itself starts slowly,
and takes locks."""

import configparser
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mer.base.errors import MerError
from mer.base.knobs import read_yaml

FOLDER = ".dir"  # ends the hash of the list of a folder's files


@dataclass(frozen=True)
class Out:
    """A product, or a file or folder that was added: its path, MD5, and the stage that makes it, "" of one added."""

    path: str
    md5: str
    stage: str


def outs(root: Path) -> list[Out]:
    """What dvc.lock and the *.dvc files below data/ name; [] where nothing has run.

    Raises:
        MerError: such a file is no YAML.
    """
    lock = root / "dvc.lock"
    locked = (read_yaml(lock).get("stages") or {}) if lock.is_file() else {}
    found = [(entry, name, "") for name, stage in locked.items() for entry in stage.get("outs", [])]
    for file in sorted((root / "data").glob("*/*.dvc")):
        found += [(entry, "", f"{file.parent.relative_to(root).as_posix()}/")
                  for entry in read_yaml(file).get("outs", []) if file.is_file()]
    return [Out(before + entry["path"], entry["md5"], name) for entry, name, before in found if entry.get("md5")]


def kept(root: Path) -> tuple[set[str], set[str]]:
    """The outs of dvc.yaml as it writes them: (those that no cache has, those that `dvc push` leaves here)."""
    entries: list[object] = []
    stages = (read_yaml(root / "dvc.yaml").get("stages") or {}) if (root / "dvc.yaml").is_file() else {}
    for stage in stages.values():
        body = stage.get("do", stage)
        entries += [*body.get("outs", []), *body.get("metrics", []), *body.get("plots", [])]
    said = [next(iter(entry.items())) for entry in entries if isinstance(entry, dict)]
    return ({path for path, how in said if how.get("cache") is False},
            {path for path, how in said if how.get("push") is False})


def cache(root: Path) -> Path:
    """The folder where DVC keeps its objects, which may not exist."""
    told = subprocess.run(["dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False) \
        if shutil.which("dvc") else None
    named = told.stdout.strip() if told and told.returncode == 0 else ""
    return root / (named or ".dvc/cache")  # an absolute path stays


def place(objects: Path, md5: str) -> Path:
    """Where the cache has the object of this hash."""
    return objects / "files/md5" / md5[:2] / md5[2:]


def files(objects: Path, out: Out) -> Iterator[tuple[str, str]]:
    """(path, MD5) of each file of a product; of a folder whose list is not in the cache, or is damaged, none."""
    if not out.md5.endswith(FOLDER):
        yield out.path, out.md5
        return
    try:
        for entry in json.loads(place(objects, out.md5).read_text(encoding="utf-8")):
            yield f"{out.path}/{entry['relpath']}", entry["md5"]
    except (OSError, ValueError, KeyError, TypeError):
        return


def remote(root: Path) -> str:
    """Where `dvc push` goes, "" where no remote is set."""
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read([root / ".dvc/config", root / ".dvc/config.local"], encoding="utf-8")
    except configparser.Error as error:
        raise MerError(f".dvc/config: {error}") from None
    name = config.get("core", "remote", fallback="")
    return config.get(f"'remote \"{name}\"'", "url", fallback=name) if name else ""
