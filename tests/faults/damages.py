"""Flipped bits in what is read, and folders that refuse: found, and named in one line."""

import contextlib
import io
import os
import random
import stat
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from trials import WHOLE, Trial, judged
from victims import Project

from mer.base import store
from mer.base.errors import MerError
from mer.runs import damage, finished, networks, tracked
from mer.training import checkpoint


def flipped(path: Path, draw: random.Random) -> bytes:
    """Flip a bit of a file, which may be a link of DVC's cache; the bytes that it had."""
    whole = path.read_bytes()
    spoilt = bytearray(whole)
    spoilt[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
    path.unlink()
    path.write_bytes(spoilt)
    return whole


def bits(project: Project, draw: random.Random) -> Trial:
    """A bit of a store, a checkpoint, an export or an object of the cache: does its reader use it, does --verify see
    it?"""
    root = project.root
    export = root / "export/all"
    if not export.is_dir():
        project.measure("export --fold all --out export/all")
    kind = draw.choice(("store", "checkpoint", "export", "object of DVC's cache"))
    found = {"store": (root / "data").rglob("*.h5"), "checkpoint": (root / "data").rglob("*.pt"),
             "export": export.glob("*.safetensors"),
             "object of DVC's cache": (root / ".dvc/cache/files/md5").glob("??/*")}[kind]
    path = draw.choice(sorted(found))
    before = None if kind.startswith("object") else _read(path, export)
    whole = flipped(path, draw)
    try:
        trial = Trial(f"flipped bit, {kind}", path.relative_to(root).as_posix(), "refused by its reader")
        if before is not None:
            try:
                after = _read(path, export)
                trial.result = "found by --verify, and its reader got the same numbers"
                trial.problem = "" if after == before else "the reader used it in silence"
            except MerError as error:
                trial.problem = "" if path.name in str(error) else f"the file is not named: {error}"
            except Exception as error:
                trial.problem = f"traceback {error!r}"
        else:
            trial.result = "found by --verify"
        _, named = verified(root)
        if not any(path.name in line or path.parent.name + path.name in line.replace("/", "") for line in named):
            trial.problem = trial.problem or "not found by --verify"
    finally:
        path.write_bytes(whole)
    return trial


def _read(path: Path, export: Path) -> object:
    """What a reader of the project gets of a file, to be compared."""
    if path.suffix == ".h5":
        clips, about = store.read_shard(path)
        return about, {(clip, name): (array.dtype.str, array.shape, array.tobytes()) for clip, arrays in clips.items()
                       for name, array in arrays.items()}
    if path.suffix == ".pt":
        return _plain(checkpoint.load(path))
    run = finished.open_run(export)
    network = next(one for one in run.networks if one.file.name == path.name)
    return _plain(networks.load(run, network).state_dict())


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.numpy().tobytes() if hasattr(value, "numpy") else value


def verified(root: Path) -> tuple[int, list[str]]:
    """`mer doctor --verify` in this process."""
    cache, tracked.cache = tracked.cache, lambda root: root / ".dvc/cache"
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            count, found = damage.verify(root, [])
        return count, [str(one) for one in found]
    finally:
        tracked.cache = cache


def used(project: Project, draw: random.Random) -> Trial:
    """A bit of what a stage reads: it stops with a line that names the file, or makes the same bytes."""
    reads = {"align synthetic": "data/landmarks/synthetic", "flow synthetic": "data/aligned/synthetic",
             "quality": "data/flow/synthetic", "pretrain": "data/aligned/synthetic_macro",
             "train": draw.choice(("data/flow/synthetic", "data/aligned/synthetic", "data/pretrained")),
             "evaluate": "data/folds"}
    what = draw.choice(sorted(reads))
    project.measure(what)
    path = draw.choice(sorted(p for p in (project.root / reads[what]).rglob("*") if p.suffix in (".h5", ".pt")))
    whole = flipped(path, draw)
    try:
        began = time.monotonic()
        done = project.end(project.start(what), began)
        trial = judged("flipped bit, read by a stage", f"{what}: {path.relative_to(project.root).as_posix()}", done,
                       (2,), (path.name, "neither labelled nor excluded"))
        if done.code == 0:
            trial.result = "the same bytes: the bit is not read"
            trial.problem = "" if project.digests(what) == project.bytes[what] else "used in silence"
    finally:
        path.write_bytes(whole)
    _, same = project.again(what)
    trial.problem = trial.problem or ("" if same else "the next run has other bytes")
    return trial


def forbidden(project: Project, draw: random.Random) -> Trial:
    """Another user's folder, which one may read: a stage that writes there is refused, in a line."""
    what = draw.choice(WHOLE)
    project.measure(what)
    place = draw.choice([project.root / Path(out).parent for out in project.outs[what]] + [project.root / ".scratch"])
    project.clear(what)
    place.mkdir(parents=True, exist_ok=True)
    with others(place):
        began = time.monotonic()
        done = project.end(project.start(what, before=ORDINARY), began)
    trial = judged(f"forbidden folder, {place.name}", what, done, (2,), ("Permission denied", "cannot be read"))
    _, same = project.again(what)
    trial.problem = trial.problem or ("" if same else "the next run has other bytes")
    return trial


# root without the right to pass over permissions, which others do not have either
ORDINARY = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


@contextlib.contextmanager
def others(place: Path):
    """A folder and all in it belong to another user, and nobody else may write there."""
    inside = [place, *place.rglob("*")]
    before = stat.S_IMODE(place.stat().st_mode)
    for path in inside:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    place.chmod(0o555)
    try:
        yield
    finally:
        place.chmod(before)
        for path in inside:
            if path.exists():
                os.chown(path, 0, 0, follow_symlinks=False)


KINDS = {"bits": bits, "used": used, "forbidden": forbidden}
