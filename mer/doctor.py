"""`python -m mer.doctor`: what will and won't work here, one line each: OK, WARN or FAIL, and what to do.

Exit code 1 when something that every run needs is missing. It changes nothing but a few temporary files. `--verify`
reads all that is here and names what is damaged (exit code 1) and what makes it anew; `--privacy` tells which products
show a person, and where they would go.
"""

import argparse
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mer.base import environment
from mer.base.command import prog
from mer.base.errors import MerError, main, refused
from mer.runs import places, tracked

NEEDED = ("torch", "numpy", "scipy", "h5py", "yaml", "sklearn", "matplotlib", "cv2", "dlib", "joblib", "tqdm",
          "openpyxl")
FICLONE = 0x40049409  # Linux: share the blocks of another file
DISK = (1.0, 5.0)  # GB: below the first nothing runs, below the second the demo may not fit


@dataclass(frozen=True)
class Check:
    """`level`: OK, WARN (something optional or slow) or FAIL (needed by every run); `message` says what to do."""

    level: str
    message: str


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.doctor"), description=__doc__.splitlines()[0])
    which = made.add_mutually_exclusive_group()
    which.add_argument("--verify", nargs="*", type=Path, metavar="EXPORT",
                       help="read every store, checkpoint, export (others by their folders) and object of DVC's cache, "
                            "and name what is damaged")
    which.add_argument("--privacy", action="store_true",
                       help="list every product that shows a person, and where it would go by a push or by the page")
    return made


def run() -> int:
    """Print a line a check, a damaged file or a product; 1 if any is FAIL, else 0.

    Raises:
        MerError: what --verify or --privacy read first makes no sense.
    """
    asked = parser().parse_args()
    if asked.verify is not None:
        from mer.runs import damage

        count, found = damage.verify(Path("."), asked.verify)
        print(f"{'FAIL' if found else 'OK':<5} {count} files were read, {len(found)} are damaged")
        return int(bool(found))
    if asked.privacy:
        from mer.runs import privacy

        print("\n".join(privacy.told(Path("."))))
        return 0
    worst = 0
    for check in examine(Path(".")):
        print(f"{check.level:<5} {check.message}", flush=True)
        worst |= check.level == "FAIL"
    return int(worst)


def examine(root: Path) -> Iterator[Check]:
    """Every check of the project in `root`, in the order in which problems are best mended."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts: tuple[Callable[[], Iterable[Check]], ...] = (
        lambda: [python(sys.version_info[:3], root)], lambda: packages(importlib.import_module),
        lambda: [one_opencv([name for name in environment.OPENCV if _installed(name)])],
        lambda: [program("git", "DVC keeps experiments in Git; install it")],
        lambda: [program("dvc", "the stages are run by it; pip install -e .")],
        lambda: repository(root), lambda: place(root), lambda: [links(root)],
        lambda: [disk(shutil.disk_usage(root).free / 1e9)], lambda: [processors(cores)], lambda: [gpu()],
        lambda: [versions(root)], lambda: settings(root), lambda: datasets(root / "data/raw"))
    for part in parts:
        try:
            yield from part()
        except MerError as error:
            yield Check("FAIL", str(error))
        except OSError as error:  # a full disk or a forbidden folder must not hide the other checks
            yield Check("FAIL", refused(error))


def python(version: tuple[int, ...], root: Path) -> Check:
    """Against pyproject.toml, read as text: the Python that is too old for us may have no tomllib."""
    file = root / "pyproject.toml"
    found = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"', file.read_text(encoding="utf-8"), re.MULTILINE) \
        if file.is_file() else None
    name = ".".join(map(str, version))
    if found is None:
        return Check("FAIL", f"Python {name}; pyproject.toml does not say here which one is needed: run this in the "
                             "project's root")
    first, end = int(found[1]), int(found[2])
    return (Check("OK", f"Python {name}") if (3, first) <= version < (3, end)
            else Check("FAIL", f"Python {name}; expected 3.{first} to 3.{end - 1}: make an environment with one"))


def packages(load: Callable) -> Iterator[Check]:
    """Really imports them: compiled ones fail at import, not at installation."""
    good = []
    for name in NEEDED:
        try:
            module = load(name)
        except (ImportError, OSError) as error:
            yield Check("FAIL", f"package {name}: {' '.join(str(error).split())}; pip install -e .")
            continue
        good.append(f"{name} {getattr(module, '__version__', '')}".strip())
        if name == "cv2" and not hasattr(module, "optflow"):
            yield Check("FAIL", "cv2 has no optflow (TV-L1 flow is in it); pip uninstall the OpenCV packages, "
                                "then pip install opencv-contrib-python")
    if good:
        yield Check("OK", "packages: " + ", ".join(good))


def one_opencv(found: list[str]) -> Check:
    """Two OpenCV wheels overwrite each other's files."""
    if len(found) == 1:
        return Check("OK", f"one OpenCV wheel: {found[0]}")
    return Check("WARN", f"{len(found)} OpenCV wheels ({', '.join(found) or 'none'}); expected opencv-contrib-python "
                         "alone: pip uninstall the others, then reinstall it")


def program(name: str, why: str) -> Check:
    """FAIL with the reason `why` where the program is not on the path, else OK with the version that it tells."""
    path = shutil.which(name)
    if path is None:
        return Check("FAIL", f"{name}: not found; {why}")
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    words = told.stdout.split()
    return Check("OK", f"{name} {words[-1] if words else '(no version told)'}")


def repository(root: Path) -> Iterator[Check]:
    """A FAIL for each of .git and .dvc that neither `root` nor a folder above it has; a WARN for a detached HEAD."""
    yield from (Check(*told) for told in places.repository(root))
    if found := detached(root):
        yield found


def detached(root: Path) -> Check | None:
    """A WARN where no branch is checked out, which is what an experiment that was ended by force leaves behind."""
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False).stdout

    if not git("rev-parse", "--verify", "--quiet", "HEAD") or git("symbolic-ref", "--quiet", "HEAD"):
        return None
    branches = git("for-each-ref", "--format=%(refname:short)", "--contains", "HEAD~0", "refs/heads").split()
    name = branches[0] if branches else "BRANCH"
    return Check("WARN", "Git: no branch is checked out, perhaps since a `dvc exp run` was ended by force; nothing is "
                         f"lost: `git stash`, `git checkout {name}`, `git stash pop`")


def place(root: Path) -> Iterator[Check]:
    """What the file system and DVC's own files say: write permission, locks, a broken rwlock, what the cache lacks."""
    for told in (places.writable(root), places.lock_of_dvc(root), places.cached(root), iter([places.locks(root)])):
        yield from (Check(*each) for each in told)


def links(root: Path) -> Check:
    """Which of DVC's link types work between its cache and the working tree (a copy of all data if none does)."""
    cache = _cache(root)
    tried = {"reflink": _reflink, "hardlink": os.link, "symlink": os.symlink}
    works = []
    with tempfile.TemporaryDirectory(dir=cache) as source, tempfile.TemporaryDirectory(dir=root) as target:
        (Path(source) / "file").write_text("linked")
        for name, link in tried.items():
            try:
                link(Path(source).absolute() / "file", Path(target) / name)
                works.append(name)
            except (OSError, ImportError):
                continue
    if not works:
        return Check("WARN", "DVC cache: no link to the working tree works, so all data will be stored twice; put the "
                             "cache on the same disk (`dvc cache dir --local PATH`)")
    return Check("OK", f"DVC cache: {', '.join(works)} to the working tree")


def versions(root: Path) -> Check:
    """The installed versions of the packages that decide bytes against those that made the products that are here."""
    summaries = environment.read(root / environment.RECORD, *sorted(root.glob("data/*/summary.json")),
                                 *sorted(root.glob("data/*/*/summary.json")), root / "reports/plots/labels/data.json")
    recorded = environment.merged(summaries)
    if not recorded:
        return Check("OK", "versions: no product here yet")
    several = environment.mixed(recorded)
    if several:
        told = "; ".join(f"{package} " + ", ".join(f"{version} ({', '.join(stages)})" for version, stages in by.items())
                         for package, by in several.items())
        return Check("WARN", f"versions: the products here were made by different ones: {told}; `dvc repro -f` makes "
                             "them all anew by those that are installed")
    found = environment.differing(recorded)
    if found:
        return Check("WARN", f"versions: {environment.words(found)}; what is made now may have other bytes; `pip "
                             "install -e .` brings the pinned ones back")
    return Check("OK", f"versions: as when the products here were made ({len(recorded)} stages)")


def disk(free: float) -> Check:
    """`free`: GB; below the first of DISK a FAIL, below the second a WARN."""
    level = "FAIL" if free < DISK[0] else "WARN" if free < DISK[1] else "OK"
    advice = "" if level == "OK" else f"; the demo needs about {DISK[1]:g} GB with DVC's cache: make room"
    return Check(level, f"disk: {free:.1f} GB free{advice}")


def processors(cores: int) -> Check:
    """A WARN where there is one core only."""
    return (Check("OK", f"{cores} CPU cores") if cores > 1
            else Check("WARN", "1 CPU core; the demo, sized for two, will take about twice as long"))


def gpu() -> Check:
    """A WARN where torch is missing or sees no GPU, which is no error."""
    try:
        import torch
    except (ImportError, OSError):
        return Check("WARN", "GPU: cannot be looked for without torch")
    if not torch.cuda.is_available():
        return Check("WARN", "GPU: none; `profile: demo` is sized for the CPU, `profile: paper` would take days")
    return Check("OK", "GPU: " + ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())))


def settings(root: Path) -> Iterator[Check]:
    """params.yaml, and what it asks for: dlib's model file, a Dask cluster."""
    from mer import params

    model_path = None
    try:
        p = params.load(root / "params.yaml")
    except MerError as error:
        yield Check("FAIL", str(error))
    else:
        yield Check("OK", f"params.yaml: {p.model} on {', '.join(p.datasets)}, profile {p.profile}")
        model_path = p.landmarks.model_path
        if p.parallel.backend == "dask" and not _installed("distributed"):
            yield Check("FAIL", "params.yaml: parallel.backend = dask, but distributed is missing; "
                                "pip install -e .[cluster]")
        if p.parallel.cluster == "slurm" and not _installed("dask-jobqueue"):
            yield Check("FAIL", "params.yaml: parallel.cluster = slurm, but dask-jobqueue is missing; "
                                "pip install dask-jobqueue")
    try:
        from mer.labels.faces import predictor_path

        yield Check("OK", f"dlib's 68-point model: {predictor_path(model_path).name} (not for commercial use)")
    except (MerError, ImportError) as error:
        yield Check("FAIL", str(error))


def datasets(raw: Path) -> Iterator[Check]:
    """Every folder of data/raw, read by its reader."""
    from mer.datasets import releases

    folders = sorted(path for path in raw.iterdir() if path.is_dir()) if raw.is_dir() else []
    if not folders:
        yield Check("WARN", "data/raw: no dataset; `dvc repro` makes the synthetic one, put others at data/raw/<name>")
    for folder in folders:
        try:
            releases.check_name(folder.name, raw)
            found = releases.read(folder.name, folder)
        except MerError as error:
            yield Check("WARN", f"dataset {folder.name}: {error}")
            continue
        people = len({clip.subject for clip in found.clips})
        told = f"{len(found.clips)} clips of {people} subjects, {len(found.excluded)} rows left out"
        yield Check("OK" if found.clips else "WARN", f"dataset {folder.name}: release {found.release}, {told}")


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _cache(root: Path) -> Path:
    """The folder where DVC keeps its cache, or its nearest existing parent."""
    cache = tracked.cache(root)
    return next(path for path in (cache, *cache.parents, root) if path.is_dir())


def _reflink(source: Path, target: Path) -> None:
    import fcntl  # not on Windows

    with open(source, "rb") as read, open(target, "wb") as write:
        fcntl.ioctl(write.fileno(), FICLONE, read.fileno())


if __name__ == "__main__":
    main(run)
