"""`mer doctor --verify`: every store, checkpoint, export and object of DVC's cache is read and compared with what it
must be: its own checksums, the SHA-256 of an export, the MD5 that names an object or stands in dvc.lock."""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mer.base import store, terminal
from mer.base.errors import MerError, refused
from mer.runs import finished, networks, tracked
from mer.runs.finished import Network
from mer.runs.tracked import Out

OWN = (".h5", ".pt")  # what has checksums of its own
DIFFERS = "its bytes are not those that dvc.lock names: damaged, or changed by hand"


@dataclass(frozen=True)
class Damage:
    """A damaged file: its path, what is wrong, and what makes it anew."""

    path: str
    what: str
    anew: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.anew}"


def verify(root: Path, exports: list[Path]) -> tuple[int, list[Damage]]:
    """(files that were read, those that are damaged), each told as soon as it is found, with progress on stderr.

    Args:
        exports: folders of exports beside those that lie in the project.

    Raises:
        MerError: dvc.lock is no YAML, or a folder of `exports` is no export.
    """
    objects = tracked.cache(root)
    known = [(path, md5, out) for out in tracked.outs(root) for path, md5 in tracked.files(objects, out)]
    wanted = {path: (md5, out) for path, md5, out in known}
    owners = {out.md5: (out.path, out) for out in tracked.outs(root)} | {md5: (path, out) for path, md5, out in known}
    cached = sorted(path for path in (objects / "files/md5").glob("??/*") if path.is_file())
    mine = sorted({path for folder in ("data", ".scratch") for path in (root / folder).rglob("*")
                   if path.suffix in OWN and path.is_file()} | {root / p for p in wanted if (root / p).is_file()})
    weights = list(_weights(root, exports))
    read = _Read()
    sizes = sum(path.stat().st_size for path in [*cached, *mine, *(network.file for network in weights)])
    damaged: list[Damage] = []
    with terminal.progress(None, total=sizes, desc="verify", unit="B", scaled=True) as bar:
        def told(path: Path, found: Damage | None) -> None:
            bar.update(path.stat().st_size if path.exists() else 0)
            if found is not None:
                damaged.append(found)
                bar.write(f"FAIL  {found}", file=sys.stdout)

        for path in cached:
            told(path, _object(path, objects, owners, read))
        broken = {damage.path for damage in damaged}
        for path in mine:
            told(path, _product(path, root, objects, wanted, broken, read))
        for network in weights:
            told(network.file, _weight(network))
    return len(cached) + len(mine) + len(weights), damaged


class _Read:
    """MD5 of files, of each once: DVC links its objects into the working tree where it can."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, int], str] = {}

    def __call__(self, path: Path) -> str:
        told = path.stat()
        key = (told.st_dev, told.st_ino)
        if key not in self.seen:
            with open(path, "rb") as file:
                self.seen[key] = hashlib.file_digest(file, "md5").hexdigest()
        return self.seen[key]


def _object(path: Path, objects: Path, owners: dict[str, tuple[str, Out]], read: _Read) -> Damage | None:
    """An object of the cache, which is named by its MD5."""
    name = path.parent.name + path.name
    try:
        found = read(path)
    except OSError as error:
        return Damage(_shown(path), refused(error), "make it readable")
    if found == name.removesuffix(tracked.FOLDER):
        return None
    owner = owners.get(name)
    shown = _shown(path)
    of, anew = ("", "no product here needs it: delete it") if owner is None else (
        f" ({owner[0]})", _made_by(owner[1], f"{owner[0]} and {shown}"))
    return Damage(shown, f"damaged object of DVC's cache{of}, its MD5 is {found}", anew)


def _shown(path: Path) -> str:
    """A path as the user types it: below the working folder if it lies there."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def _made_by(out: Out, gone: str) -> str:
    """What makes a product anew, after the files `gone` were deleted."""
    if not out.stage:
        return f"it was added, not made: delete {gone}, then `dvc pull {out.path}`, or put it there and `dvc add` again"
    return f"delete {gone}, then `dvc pull {out.path}` where a remote has it, else `dvc repro {out.stage}` makes it"


def _product(path: Path, root: Path, objects: Path, wanted: dict[str, tuple[str, Out]], broken: set[str],
             read: _Read) -> Damage | None:
    """A file of the working tree: by dvc.lock where that names it, else by its own checksums."""
    name = path.relative_to(root).as_posix()
    md5, out = wanted.get(name, ("", None))
    try:
        if md5 and read(path) == md5:
            return None
        own = _own(path)
    except OSError as error:
        return Damage(name, refused(error), "make it readable")
    if own is None and out is None:
        return None
    if out is None:
        return Damage(name, own or "", "delete it, the next run of its stage makes it anew")
    there = tracked.place(objects, md5)
    whole = there.is_file() and _shown(there) not in broken
    anew = f"delete it, then `dvc checkout {name}`" if whole else _made_by(out, name)
    return Damage(name, own or DIFFERS, anew)


def _own(path: Path) -> str | None:
    """What a file's own checksums say is wrong; None where nothing is, or where it has none."""
    from mer.training import checkpoint  # torch is slow to import

    try:
        if path.suffix == ".h5":
            store.read_shard(path)
        elif path.suffix == ".pt":
            checkpoint.load(path)
    except MerError as error:
        return str(error).removeprefix(f"{path}: ").partition("; ")[0]
    return None


def _weights(root: Path, exports: list[Path]) -> Iterator[Network]:
    """The networks of the exports that are named, and of those in the project."""
    found = [path.parent for pattern in ("*", "export/*") for path in root.glob(f"{pattern}/{finished.CONFIG}")]
    for folder in dict.fromkeys([*exports, *found]):
        if not (folder / finished.CONFIG).is_file():
            raise MerError(f"{folder}: no export ({finished.CONFIG} is not there)")
        yield from (network for network in finished.open_run(folder).networks if network.file.is_file())


def _weight(network: Network) -> Damage | None:
    if networks.unchanged(network):
        return None
    return Damage(network.file.as_posix(), f"its SHA-256 is not the one in {finished.CONFIG}: damaged",
                  "export the run again, `mer export --fold all --out FOLDER`, or copy the file again")
