"""The stages and commands on which faults are tried, in a copy of a finished miniature, and how one is run."""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline import PROJECT, ROOT, environment, finished

STAGES = ("check", "synthesize", "index synthetic", "landmarks synthetic", "align synthetic", "flow synthetic",
          "dynamic synthetic", "quality", "latents", "pretrain", "train", "evaluate", "report")
COMMANDS = ("doctor", "doctor --verify", "datasets check data/raw/synthetic", "datasets page synthetic",
            "tables mol-8", "tables queue mol-8", "export --fold all --out export/all",
            "predict data/raw/synthetic/frames/s01_disgust_1 --out predict/x", "compare HEAD workspace")
UNEQUAL = ("data/costs/", "reports/costs.json")  # what a run costs is measured


@dataclass
class Ended:
    """A process that ended: exit code, what it wrote to stderr, seconds, processes of its session that are left."""

    code: int
    err: str
    seconds: float
    orphans: list[int] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The lines of stderr that are no progress bar."""
        return [line for part in self.err.splitlines() for line in part.split("\r") if line.strip() and "it/s" not in
                line and "%|" not in line and "/s]" not in line]


class Project:
    """A copy of a finished miniature with this checkout's code, in which each stage ran once for its time and bytes."""

    def __init__(self, base: Path):
        self.root = base / "faults"
        if not self.root.exists():
            whole = base / "finished"
            shutil.copytree(whole if whole.is_dir() else finished(base), self.root, symlinks=True)
            for name in PROJECT[:2]:
                shutil.rmtree(self.root / name)
                shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        graph = yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        self.outs = {stage: _outs(graph, stage) for stage in STAGES}
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, dict[str, str]] = {}

    def measure(self, what: str) -> None:
        """Run a stage or command undisturbed: its time, and the bytes of its products."""
        if what in self.seconds:
            return
        done = self.run(what)
        assert done.code in (0, 1) and not done.orphans, (what, done.err[-2000:])
        self.seconds[what], self.bytes[what] = done.seconds, self.digests(what)

    def words(self, what: str) -> list[str]:
        package = "stages" if what in STAGES else "mer"
        name, *rest = what.split()
        return [sys.executable, "-m", f"{package}.{name}", *rest]

    def clear(self, what: str) -> None:
        """As DVC does before it runs a stage; its folders for outs it makes as well."""
        for path in self.outs.get(what, ()):
            target = self.root / path
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)

    def start(self, what: str, **how) -> subprocess.Popen:
        self.clear(what)
        env = {**environment(self.root), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.root), **how.pop("env", {})}
        self.log = self.root.with_name("stderr")  # no pipe, which a worker that is left would keep open
        with open(self.log, "wb") as file:
            words = [*how.pop("before", ()), *self.words(what)]
            return subprocess.Popen(words, cwd=self.root, env=env, stdout=subprocess.DEVNULL, stderr=file,
                                    start_new_session=True,
                                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler), **how)

    def run(self, what: str, **how) -> Ended:
        began = time.monotonic()
        return self.end(self.start(what, **how), began)

    def end(self, process: subprocess.Popen, began: float) -> Ended:
        """Wait for a process and, a few seconds, for those that it started."""
        process.wait(timeout=900)
        seconds = time.monotonic() - began
        for _ in range(100):
            left = session(process.pid)
            if not left:
                break
            time.sleep(0.1)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return Ended(process.returncode, self.log.read_text(encoding="utf-8", errors="replace"), seconds, left)

    def digests(self, what: str) -> dict[str, str]:
        """SHA-256 of every product of a stage, {} of a command."""
        found = {}
        for out in self.outs.get(what, ()):
            path = self.root / out
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                name = file.relative_to(self.root).as_posix()
                if file.is_file() and not name.startswith(UNEQUAL) and file.name != ".gitignore":
                    found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found

    def again(self, what: str) -> tuple[Ended, bool]:
        """The next run, and whether its products have the undisturbed run's bytes."""
        done = self.run(what)
        return done, done.code in (0, 1) and self.digests(what) == self.bytes[what]


def _outs(graph: dict, stage: str) -> list[str]:
    name, _, item = stage.partition(" ")
    body = graph[name].get("do", graph[name])
    entries = [*body.get("outs", []), *body.get("metrics", [])]
    return [(entry if isinstance(entry, str) else next(iter(entry))).replace("${item}", item) for entry in entries]


def session(leader: int) -> list[int]:
    """The living processes of the session that `leader` began."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader and words[0] != "Z":
            found.append(int(path.parent.name))
    return found
