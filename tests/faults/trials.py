"""One fault, tried once: each function tries it at a moment or place that `draw` chooses, lets the next run go on, and
says what came of it."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from victims import COMMANDS, STAGES, Ended, Project, session

WHOLE = ("check", "synthesize", "index synthetic", "landmarks synthetic", "align synthetic", "flow synthetic",
         "quality", "pretrain", "train", "evaluate", "report")  # stages that do something in a run of MOL


@dataclass
class Trial:
    """What came of a fault. `problem`: empty, or what should not be; `lost`: the part of the work done twice."""

    fault: str
    what: str
    result: str
    problem: str = ""
    lost: float = 0.0

    def plain(self) -> dict:
        return asdict(self)


def judged(fault: str, what: str, done: Ended, codes: tuple[int, ...], words: tuple[str, ...] = ()) -> Trial:
    """A stopped or refused process: exit code, one line, no traceback, nothing left behind."""
    if done.code == 0:
        return Trial(fault, what, "ended before", "orphans" if done.orphans else "")
    lines, problem = done.lines, ""
    early = done.code in (-signal.SIGTERM, -signal.SIGINT) and "/mer/" not in done.err and "/stages/" not in done.err
    if early and not done.orphans:
        return Trial(fault, what, "before our first line: Python's own end")
    if done.code not in codes:
        problem = f"exit code {done.code}"
    elif "Traceback" in done.err or "Exception ignored" in done.err:
        problem = "traceback"
    elif done.orphans:
        problem = f"{len(done.orphans)} processes left"
    elif words and not any(word in lines[-1] for word in words if lines):
        problem = f"last line {lines[-1:]}"
    return Trial(fault, what, f"exit {done.code}, one line" if not problem else "bad",
                 problem and f"{problem}: {done.err[-1500:]}")


def signals(project: Project, draw: random.Random) -> Trial:
    """Ctrl-C (of a terminal: to all; or to one) or SIGTERM at a random moment of a stage or a command."""
    what = draw.choice(WHOLE + COMMANDS)
    project.measure(what)
    number, send = draw.choice([(signal.SIGINT, os.killpg), (signal.SIGINT, os.kill), (signal.SIGTERM, os.kill)])
    began = time.monotonic()
    process = project.start(what)
    time.sleep(draw.uniform(0.15, project.seconds[what]))
    with contextlib.suppress(ProcessLookupError):
        send(process.pid, number)
    trial = judged(f"{signal.Signals(number).name}", what, project.end(process, began), (128 + number,),
                   ("interrupted; ", "terminated; "))
    return _goes_on(project, what, trial) if what in STAGES else trial


def kills(project: Project, draw: random.Random) -> Trial:
    """`kill -9` of the stage, of one of its workers, or of all, at a random moment."""
    what, victim = draw.choice(WHOLE), draw.choice(("stage", "worker", "all"))
    project.measure(what)
    began = time.monotonic()
    process = project.start(what)
    time.sleep(draw.uniform(0.15, project.seconds[what]))
    others = [pid for pid in session(process.pid) if pid != process.pid]
    workers = [pid for pid in others if "popen_loky" in _command(pid)]  # not joblib's trackers of its own
    if victim == "worker" and not workers:
        victim = "stage"
    chosen = {"stage": [process.pid], "worker": workers[:1], "all": [process.pid, *others]}[victim]
    for pid in chosen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    done = project.end(process, began)
    trial = Trial(f"kill -9, {victim}", what, "killed" if done.code else "ended before")
    if victim == "worker" and "Traceback" in done.err:
        trial.problem = done.err[-1500:]
    if done.orphans:
        trial.problem = f"{len(done.orphans)} workers outlived the stage"
    return _goes_on(project, what, trial)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def full_disks(project: Project, draw: random.Random) -> Trial:
    """A real file system too small for what is written, under data, reports or .scratch; then there is room."""
    what = draw.choice([stage for stage in WHOLE if stage != "check"])
    project.measure(what)
    places = sorted({(project.root / out).parent for out in project.outs[what]} | {project.root / ".scratch"})
    place = draw.choice([path for path in places if path.name != "costs"])
    size = draw.choice([4, 8, 16, 64, 256, 1024])  # KB; tmpfs gives whole pages
    project.clear(what)
    with too_small(place, size):
        began = time.monotonic()
        done = project.end(project.start(what), began)
    trial = judged(f"full disk, {place.name}", what, done, (2,), ("No space left",))
    if done.code and " are free" not in done.lines[-1]:
        trial.problem = trial.problem or f"does not say what is free: {done.lines[-1]}"
    return _goes_on(project, what, trial)


@contextlib.contextmanager
def too_small(place: Path, kilobytes: int) -> Iterator[None]:
    """A file system of so many KB at a folder, with what fits of what lay there; afterwards the folder as it was,
    and what was written to the small one in it, as if room had been made."""
    kept = place.with_name(f"{place.name}.kept")
    shutil.copytree(place, kept, symlinks=True) if place.exists() else kept.mkdir()
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes + _size(kept)}k", "tmpfs", place], check=True)
    try:
        shutil.copytree(kept, place, symlinks=True, dirs_exist_ok=True)
        yield
    finally:
        left = place.with_name(f"{place.name}.left")
        shutil.copytree(place, left, symlinks=True)
        subprocess.run(["umount", place], check=True)
        shutil.rmtree(place)
        left.rename(place)
        shutil.rmtree(kept)


def _size(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4 + 1 for path in folder.rglob("*") if path.is_file())


def _goes_on(project: Project, what: str, trial: Trial) -> Trial:
    """The next run ends in the same bytes; how much of it was done twice."""
    done, same = project.again(what)
    if not same and not trial.problem:
        trial.problem = f"the next run: code {done.code}, other bytes: {done.err[-1500:]}"
    trial.lost = min(1.0, done.seconds / max(project.seconds[what], 0.1))
    return trial


KINDS: dict[str, Callable[[Project, random.Random], Trial]] = {
    "signals": signals, "kills": kills, "full": full_disks}
