"""What a stage costs: seconds, peak memory, steps per second, the machine; measured once for the same products.

    cost.begin("train", decides, scratch=scratch)
    ...
    cost.end("train")

Times are never equal, products are. So a record bears a key, the hash of what decides the stage's products, and the
first measurement of a key stays: `end` writes the record to data/costs, an output of the stage, which DVC restores
with the products that it is of, and takes it from reports/costs.json, where `report` collects those of a run and Git
keeps them, if it is there already. Thus a fresh clone's `dvc repro` gives the committed files. No later stage but
`report` reads data/costs: a change of code that changes no product runs nothing else again.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from mer.base import environment, graph, memory, parallel, portable, store
from mer.base.errors import MerError

RECORDS, FOLDER = Path("reports/costs.json"), "costs"
WHOLE, BY_DATASET = ("synthesize", "latents", "pretrain", "train"), ("index", "landmarks", "align", "flow", "dynamic")
STAGES = (*WHOLE[:1], *BY_DATASET, *WHOLE[1:])  # in the graph's order
NUMBERS = {"seconds", "memory_mb", "gpu_mb", "worker_memory_mb", "worker_gpu_mb", "steps", "steps_per_second"}

Record = dict  # key, machine and what there is of NUMBERS; continued: finished items of an earlier run were re-used
_begun: dict[str, tuple[str, bool, float]] = {}  # stage -> key, continued, when


def begin(name: str, *inputs: object, scratch: Path | None = None, model: str = "") -> None:
    """Call it when what decides the products of a stage (`align@D`) is known, and before `scratch` is worked in.

    inputs: as of `scratch.scratch_dir`, with nothing that holds on this machine alone (times of change, paths).
    """
    stage = name.split("@")[0]
    decides = [store.SCHEMA, environment.versions(stage), graph.code(stage, model), *inputs]
    key = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]
    _begun[name] = key, scratch is not None and _left_over(scratch), time.monotonic()


def _left_over(scratch: Path) -> bool:
    """Whether a file in it is finished: written whole, and renamed."""
    return any(path.is_file() and not any(part.startswith(".") for part in path.relative_to(scratch).parts)
               for path in scratch.rglob("*"))


def end(name: str, logs: Iterable[Path] = (), networks: int = 1) -> None:
    """Write the record of a stage that is complete but for it.

    logs: of the networks that it has trained, a line a step; networks: how many were trained for each log.
    """
    key, continued, when = _begun.pop(name)
    record = read().get(name, {})
    if record.get("key") != key:
        record = {"key": key, "seconds": round(memory.running(), 1), **memory.peak(),
                  **{f"worker_{what}": size for what, size in memory.workers().items()}}
        if steps := networks * sum(path.read_text(encoding="utf-8").count("\n") - 1 for path in logs):
            record["steps"] = steps
            if not continued:  # else not all of them were trained in this time
                record["steps_per_second"] = float(f"{steps / (time.monotonic() - when):.3g}")
        record |= {"machine": machine()} | ({"continued": True} if continued else {})
    store.write_json(_path(name), record)


def nothing(name: str) -> None:
    """The empty record of a stage that has not measured anything, such as one that these settings leave out."""
    store.write_json(_path(name), {})


def _path(name: str, data: Path = Path("data")) -> Path:
    stage, _, dataset = name.partition("@")
    return data / FOLDER / stage / f"{dataset}.json" if dataset else data / FOLDER / f"{stage}.json"


def machine() -> str:
    """The machine in words: 'AMD EPYC 9B45, 2 cores, 8 GB', with the GPU where one is in use."""
    words = [portable.processor(), f"{parallel.cores()} cores"]
    if hasattr(os, "sysconf"):  # not on Windows
        words.append(f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2 ** 30:.0f} GB")
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        words.append(torch.cuda.get_device_name())
    return ", ".join(words)


def parse(text: str) -> dict[str, Record]:
    """The records by stage, of the text of reports/costs.json.

    Raises:
        ValueError: it is not what `report` writes.
    """
    found = json.loads(text)
    if not isinstance(found, dict) or not all(map(_is_record, found.values())):
        raise ValueError("expected a record of each stage")
    return found


def _is_record(value: object) -> bool:
    return (isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("key", "machine"))
            and "seconds" in value and all(isinstance(value[name], int | float) for name in NUMBERS & value.keys()))


def read(path: Path = RECORDS) -> dict[str, Record]:
    """The records of a file, {} without one; one that is damaged is told of in a line, and counts as none."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        print(f"{path.as_posix()}: no records of costs ({error}); what runs now is measured anew", file=sys.stderr)
        return {}


def collect(datasets: Iterable[str], data: Path = Path("data")) -> dict[str, Record]:
    """The records of a run's stages, in the graph's order; without those that did nothing.

    Raises:
        MerError: a file of data/costs is damaged.
    """
    names = [name for stage in STAGES for name in (
        [f"{stage}@{dataset}" for dataset in datasets] if stage in BY_DATASET else [stage])]
    found = {name: store.read_json(path) for name in names if (path := _path(name, data)).is_file()}
    for name, record in found.items():
        if record != {} and not _is_record(record):
            raise MerError(f"{_path(name, data).as_posix()}: not a record of what {name} cost; delete it and run "
                           "`dvc repro`")
    return {name: record for name, record in found.items() if record}


def peak_mb(record: Record) -> int | None:
    """MB of the largest process of a stage; None where the system did not tell."""
    return max((record[name] for name in ("memory_mb", "worker_memory_mb") if name in record), default=None)
