"""Files of an experiment, wherever it is: a DVC experiment, a Git revision, the workspace, another checkout.

    source = sources.find("lofty-wren")
    source.text("reports/metrics.json")
"""

import contextlib
import functools
import json
import logging
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer.base.errors import MerError
from mer.base.knobs import nearest

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Source:
    """`name`: as the user typed it, of a folder its last part; `commit`: full hash, "" for a folder; `folder`: the
    files' root, None for a revision."""

    name: str
    commit: str = ""
    folder: Path | None = None

    def text(self, path: str) -> str:
        """A file's content, tracked by Git or by DVC (from the cache, else from the remote).

        Raises:
            MerError: it is not there, or its content is not in the cache.
        """
        found = self.plain(path)
        return self._decoded(path, self.content(path)) if found is None else found

    def content(self, path: str) -> bytes:
        """The bytes of a file of the folder, or of one that DVC tracks; else as `text`."""
        if self.folder is not None:
            if (self.folder / path).is_file():
                return (self.folder / path).read_bytes()
            raise MerError(f"{self.name}: no {path} there; run `dvc checkout` (or `dvc pull`) to fetch it, `dvc repro` "
                           "to make it")
        from dvc_data.index import DataIndexDirError

        try:
            with _quiet():
                return self._tracked.read_bytes(path)
        except DataIndexDirError:  # the list of the folder that it is in
            raise MerError(self._not_cached(path)) from None
        except FileNotFoundError:
            raise MerError(self._not_cached(path) if self.has(path) else f"{self.name}: {path} is not part of this "
                           "revision; it was not run: `git checkout` it and `dvc repro`") from None

    def plain(self, path: str) -> str | None:
        """A file's content as the folder or Git itself holds it, None where neither does: DVC is not asked, because it
        first reads the whole graph of the revision, which takes a second."""
        if self.folder is not None:
            file = self.folder / path
            return self._decoded(path, file.read_bytes()) if file.is_file() else None
        shown = subprocess.run(["git", "show", f"{self.commit}:./{path}"], capture_output=True, check=False)
        return None if shown.returncode else self._decoded(path, shown.stdout)

    def json(self, path: str) -> Any:
        """The value of a JSON file.

        Raises:
            MerError: as `text`, or it is no JSON.
        """
        content = self.text(path)
        try:
            return json.loads(content)
        except ValueError as error:
            raise MerError(f"{path}: not valid JSON ({error}); delete it and run `dvc repro`") from None

    def has(self, path: str) -> bool:
        """Whether the experiment has such a file, be its content in the cache or not."""
        return self.plain(path) is not None or (self.folder is None and self._tracked.exists(path))

    def _decoded(self, path: str, content: bytes) -> str:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MerError(f"{self.name}: {path}: not a text file ({error})") from None

    @functools.cached_property
    def _tracked(self):
        from dvc.api import DVCFileSystem
        from dvc.exceptions import NotDvcRepoError

        try:
            return DVCFileSystem(".", rev=self.commit)
        except NotDvcRepoError:
            raise MerError(f"{self.name}: no project under DVC here; run the command in the project's root") from None

    def _not_cached(self, path: str) -> str:
        said = f"{self.name}: the content of {path} is not in the cache; "
        if self.commit and self.commit == _head():  # of a fresh clone: nobody's cache has what its author made
            return (f"{said}run `dvc fetch` if there is a remote that has it, else commit your own baseline: `git "
                    "checkout . && dvc repro && git add . && git commit -m baseline`; it re-uses what the cache has")
        return (f"{said}run `dvc fetch --all-commits` (`dvc exp pull REMOTE NAME` for an experiment), or make it again "
                "by `dvc exp run`")


def find(name: str) -> Source:
    """The source called `name`: `workspace`, a DVC experiment, what Git knows, or a folder, tried in this order; a name
    with a `/` in it that is a folder is that folder.

    Raises:
        MerError: none of these, naming the nearest; or an experiment's name that stands for several.
    """
    if name == WORKSPACE:
        return Source(name, folder=Path())
    there = Path(name).is_dir()
    commit, known = ("", []) if there and (os.sep in name or name in (".", "..")) else _resolve(name)
    if commit:
        return Source(name, commit)
    if there:
        return at(name)
    raise MerError(f"{name}: no DVC experiment, Git revision or folder of this name{nearest(name, known)}; `dvc exp "
                   "list --all-commits` names the experiments")


def at(folder: str | Path) -> Source:
    """The source that is a folder."""
    return Source(Path(folder).resolve().name, folder=Path(folder))


def _resolve(name: str) -> tuple[str, list[str]]:
    """(hash, []), or ("", the names that are known); nothing is known outside of a repository."""
    from dvc.exceptions import DvcException
    from dvc.scm import SCM, RevError, resolve_rev

    try:
        scm = SCM(".")
    except DvcException:
        return "", [WORKSPACE]
    with contextlib.closing(scm):
        try:
            return resolve_rev(scm, name), []
        except RevError as error:
            if "ambiguous" in str(error):
                raise MerError(f"{name}: several experiments have this name; give the hash of the one that is meant "
                               "(`dvc exp list --all-commits`)") from None
        kinds = re.compile("refs/(?:heads|tags|exps/../[0-9a-f]+)/(.+)")
        return "", [WORKSPACE, *(match[1] for match in map(kinds.fullmatch, scm.iter_refs()) if match)]


def _head() -> str:
    shown = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return shown.stdout.strip()


@contextlib.contextmanager
def _quiet():
    """Keep DVC's warnings about a missing file from standing beside our error."""
    logger = logging.getLogger("dvc")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
