"""Which versions of the packages give the bytes of these: one row an environment, one column a product.

    python tests/bench/versions.py opencv-contrib-python==4.10.0.84 opencv-contrib-python==5.1.0.95
    python tests/bench/versions.py there/bin/python         # an environment that is there (.ci/newest can keep one)

A miniature (tests/pipeline.py) is run with the Python that runs this. Then each stage is run again by each other
environment, on the inputs that this one made, so that a stage answers for itself alone. The first row is this
environment's own second run. What a product says of the versions that made it (`made_with`) is not compared.
"""

import argparse
import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from bench import rows  # noqa: E402
from pipeline import ROOT, SMALL, environment, write_params  # noqa: E402

DATASETS = ("synthetic", "synthetic_macro")
VERSIONS = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"


@dataclass(frozen=True)
class Stage:
    """`words`: what follows `python -m stages.`, one run each; `products`: column -> files and folders it writes."""

    words: tuple[str, ...]
    products: dict[str, tuple[str, ...]]
    model: str = "mol"


def per_dataset(stage: str, folder: str, model: str = "mol") -> Stage:
    return Stage(tuple(f"{stage} {name}" for name in DATASETS), {stage: (f"data/{folder}",)}, model)


STAGES = (
    Stage(("check",), {"check": ("data/check",)}),
    Stage(("synthesize",), {"frames": tuple(f"data/raw/{name}/frames" for name in DATASETS),
                            "truth": tuple(f"data/raw/{name}/truth" for name in DATASETS),
                            "contact sheets": ("reports/plots/synthetic",)}),
    per_dataset("index", "index"),
    per_dataset("landmarks", "landmarks"),
    per_dataset("align", "aligned"),
    per_dataset("flow", "flow"),
    per_dataset("dynamic", "dynamic", model="fdp"),
    Stage(("quality",), {"quality": ("reports/quality.json",), "its pictures": ("reports/plots/labels",)}),
    Stage(("latents", "pretrain", "train"), {"networks, predictions": ("data/pretrained", "data/folds")}),
    Stage(("evaluate",), {"scores": ("reports/metrics.json", "reports/details.json", "reports/predictions.csv"),
                          "result pictures": ("reports/plots/results",)}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", nargs="*", help="PACKAGE==VERSION[,PACKAGE==VERSION] or an interpreter")
    names = [stage.words[0].split()[0] for stage in STAGES]
    parser.add_argument("--stages", nargs="+", choices=names, help="only these")
    options = rows.parse(parser)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        base = scratch / "base"
        project(base)
        chosen = [stage for stage in STAGES if not options.stages or stage.words[0].split()[0] in options.stages]
        for stage in STAGES[: STAGES.index(chosen[-1]) + 1]:
            print(f"base: {' '.join(stage.words)}", file=sys.stderr)
            perform(sys.executable, stage, base)
        columns = [column for stage in chosen for column in stage.products]
        here = installed(sys.executable)
        print("| versions |" + "".join(f" {column} |" for column in columns))
        print("|---|" + "---|" * len(columns), flush=True)
        equals = []
        for number, told in enumerate([sys.executable, *options.environments]):
            python = interpreter(told, scratch / str(number))
            cells = [cell for stage in chosen for cell in compared(python, stage, base, scratch / "trial")]
            equals.append(cells.count("equal"))
            print(f"| {difference(installed(python), here)} |" + "".join(f" {cell} |" for cell in cells), flush=True)
        rows.emit(options, *(rows.row(f"products with the same bytes: {told}", equal, f"of {len(columns)}",
                                      goal=f"ours >= {len(columns)}")
                             for told, equal in zip(["a second run", *options.environments], equals,
                                                    strict=True)))


def project(target: Path) -> None:
    """The miniature's code and parameters in a folder of their own; no DVC, which would bring in its cache."""
    for name in ("stages", "mer", "data/encoder_weights", "data/sd_vae"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", target)  # the label stages read there what they depend on
    write_params(target / "params.yaml", SMALL)


def interpreter(told: str, folder: Path) -> str:
    """The interpreter named, or that of an environment made of this one with the packages named."""
    if "==" not in told:
        return told
    command = [ROOT / ".ci/overlay", folder, *told.split(",")]
    made = subprocess.run(command, env=environment(ROOT) | {"PYTHON": sys.executable}, check=True, text=True,
                          stdout=subprocess.PIPE)
    return made.stdout.strip()


@functools.cache
def installed(python: str) -> dict[str, str]:
    """The versions of the project's direct dependencies."""
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = [re.match(r"[\w.-]+", line)[0] for line in lines]
    return json.loads(subprocess.run([python, "-c", VERSIONS, *names], check=True, stdout=subprocess.PIPE).stdout)


def difference(there: dict[str, str], here: dict[str, str]) -> str:
    return ", ".join(f"{name} {there[name]}" for name in there if there[name] != here.get(name)) or "these"


def perform(python: str, stage: Stage, root: Path) -> None:
    """Run a stage in `root`, its products removed before."""
    for paths in stage.products.values():
        for path in (root / name for name in paths):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    write_params(root / "params.yaml", SMALL | {"model": stage.model})
    for words in stage.words:
        done = subprocess.run([python, "-m", *f"stages.{words}".split()], cwd=root, env=environment(root), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise RuntimeError(f"{words}: exit code {done.returncode}\n{done.stdout[-2000:]}")


def compared(python: str, stage: Stage, base: Path, trial: Path) -> Iterator[str]:
    """A cell for each product of a stage: 'equal', or how many of its files are not."""
    shutil.copytree(base, trial)
    try:
        perform(python, stage, trial)
        for paths in stage.products.values():
            then, now = ({file: digest(file, root) for file in files(root, paths)} for root in (base, trial))
            wrong = sum(then.get(file) != now.get(file) for file in then | now)
            yield f"{wrong} of {len(then)} differ" if wrong else "equal"
    except RuntimeError as error:
        print(error, file=sys.stderr)
        yield from ["fails"] * len(stage.products)
    finally:
        shutil.rmtree(trial)


def files(root: Path, paths: tuple[str, ...]) -> list[str]:
    found = [file for name in paths for file in (root / name, *(root / name).rglob("*")) if file.is_file()]
    return sorted(file.relative_to(root).as_posix() for file in found)


def without_versions(value: dict) -> dict:
    return {key: inner for key, inner in value.items() if key != "made_with"}


def digest(name: str, root: Path) -> str:
    """SHA-256 of a file; of a shard its arrays, of JSON all but `made_with`, which names the versions at any depth."""
    path = root / name
    if path.suffix == ".json":
        value = json.loads(path.read_text(encoding="utf-8"), object_hook=without_versions)
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()
    if path.suffix != ".h5":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    total = hashlib.sha256()

    def add(key: str, value: h5py.Group | h5py.Dataset) -> None:
        if isinstance(value, h5py.Dataset):
            array = np.ascontiguousarray(value[()])
            total.update(f"{key} {array.dtype} {array.shape}".encode() + array.tobytes())

    with h5py.File(path) as file:
        file.visititems(add)
    return total.hexdigest()


if __name__ == "__main__":
    main()
