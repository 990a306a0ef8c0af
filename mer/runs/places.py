"""What a folder's file system and DVC's own files say before a stage would fail: locks, links, a lock file that a kill
left broken, products that a full cache did not take."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from mer.base.errors import nearest_folder, refused
from mer.runs import tracked

Told = tuple[str, str]  # OK, WARN or FAIL, and the line


def repository(root: Path) -> Iterator[Told]:
    """A FAIL where no folder from `root` upwards holds .git or .dvc: a project may be a part of a repository."""
    for name, command in ((".git", "git init"), (".dvc", "dvc init")):  # of a worktree .git is a file
        if not any((folder / name).exists() for folder in (root.absolute(), *root.absolute().parents)):
            yield "FAIL", f"{name}: not here; run this in the project's root, or {command}"


def locks(root: Path) -> Told:
    """Whether the file system of .scratch gives locks: without, two runs at once could take each other's pieces."""
    scratch = root / ".scratch"
    try:
        scratch = scratch if scratch.is_dir() else root
        with tempfile.TemporaryDirectory(dir=scratch) as folder, FileLock(Path(folder) / "lock", timeout=0):
            return "OK", "file locks: given"
    except (OSError, NotImplementedError) as error:
        return "FAIL", f"file locks in {scratch}: {refused(error) if isinstance(error, OSError) else error}"


def writable(root: Path) -> Iterator[Told]:
    """A FAIL for each folder that a stage writes to and that refuses it."""
    for name in (".", "data", "reports", ".scratch", ".dvc/tmp"):
        if (folder := root / name).is_dir():
            try:
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                yield "FAIL", f"{name}: cannot be written: {refused(error)}"


def lock_of_dvc(root: Path) -> Iterator[Told]:
    """A FAIL for what a kill left of the file in which DVC notes who reads and writes what."""
    path = next((found for folder in (root.absolute(), *root.absolute().parents)
                 if (found := folder / ".dvc/tmp/rwlock").is_file()), None)
    if path is None:
        return
    with contextlib.suppress(ValueError):
        if isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
            return
    yield "FAIL", (f"{path}: broken by a kill, so that every dvc command says that its JSON structure is corrupted; if "
                   "no other dvc runs here, delete this file and go on (nothing else is lost)")


def cached(root: Path) -> Iterator[Told]:
    """A WARN where products are here and not in DVC's cache, which a full disk does without a word."""
    objects = tracked.cache(root)
    outside, _ = tracked.kept(root)
    here = [out for out in tracked.outs(root) if out.path not in outside and (root / out.path).exists()]
    needed = [each for out in here for each in ((out.path, out.md5), *tracked.files(objects, out))]
    lost = list(dict.fromkeys(path for path, md5 in needed if not tracked.place(objects, md5).is_file()))
    if not lost:
        return
    free = shutil.disk_usage(nearest_folder(objects)).free
    yield "WARN", (f"DVC cache {objects.as_posix()}: {len(lost)} products of dvc.lock are not in it, the first "
                   f"{lost[0]}: no `dvc checkout` or `dvc push` will find them; {free / 1e6:.0f} MB are free there: "
                   "make room if it was full, then `dvc commit --force`")
