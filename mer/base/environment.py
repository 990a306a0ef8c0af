"""Which versions of which packages decided a product's bytes: recorded with it, compared, never mixed in silence.

A store's summary.json holds `made_with`: {stage: {package: version}} of the stage that wrote it and of all stages
before it; `reports/environment.json` holds the whole run's, beside the metrics, where Git keeps it.
"""

import functools
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

Versions = dict[str, str]  # package -> version
MadeWith = dict[str, Versions]  # stage, or stage@dataset -> versions

RECORD = Path("reports/environment.json")
OPENCV = ("opencv-contrib-python", "opencv-contrib-python-headless", "opencv-python", "opencv-python-headless")
MODULES = {  # packages that decide a byte of some product -> the module that a stage imports; pyproject.toml pins them
    "opencv-contrib-python": "cv2", "dlib-bin": "dlib", "face_recognition_models": "face_recognition_models",
    "numpy": "numpy", "scipy": "scipy", "scikit-learn": "sklearn", "h5py": "h5py", "torch": "torch",
    "matplotlib": "matplotlib", "pillow": "PIL", "openpyxl": "openpyxl", "xlrd": "xlrd",
    "numba": "numba"}
LABELS = ("opencv-contrib-python", "numpy", "h5py")
NETWORKS = ("torch", "numpy", "scipy", "h5py")
PICTURES = ("matplotlib", "pillow")
DECIDE = {  # stage -> the packages that decide its products; a test compares with what the stage imports
    "synthesize": (*LABELS, *PICTURES), "index": ("numpy", "openpyxl", "xlrd"),
    "landmarks": (*LABELS, "dlib-bin", "face_recognition_models"), "align": LABELS, "flow": (*LABELS, "numba", "torch"),
    "dynamic": ("numpy", "h5py"), "quality": (*LABELS, "numba", *PICTURES), "latents": NETWORKS,
    "pretrain": (*NETWORKS, *PICTURES), "train": NETWORKS, "evaluate": (*LABELS, "scipy", *PICTURES),
    "report": ("numpy", "scipy", "pillow")}


@functools.cache
def installed(package: str) -> str:
    """The installed version of a package; for OpenCV's, of whichever of its wheels is here; '' if none is."""
    for name in OPENCV if package in OPENCV else (package,):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def versions(stage: str) -> Versions:
    """The installed versions of the packages that decide what a stage makes."""
    return {package: installed(package) for package in DECIDE[stage]}


def everything() -> Versions:
    """The installed versions of all packages that decide bytes: what was begun with others is not continued."""
    return {package: installed(package) for package in MODULES}


def made_with(stage: str, dataset: str = "", *before: Mapping, processor: str = "") -> MadeWith:
    """What `made_with` of a new product says: this stage's versions, and those in the summaries `before` it.

    before: contents of the summary.json files of the stores that the stage has read.
    processor: what else decides a network's bytes (`engine.processor`).
    """
    return merged(before) | {f"{stage}@{dataset}" if dataset else stage: versions(stage) | (
        {"processor": processor} if processor else {})}


def merged(summaries: Iterable[Mapping]) -> MadeWith:
    """The `made_with` of all these summaries as one, the last one's where two name a stage; a damaged one has none."""
    return {stage: used for summary in summaries if isinstance(summary, Mapping)
            for stage, used in summary.get("made_with", {}).items()}


def differing(recorded: MadeWith) -> dict[str, tuple[str, str, str]]:
    """Packages whose installed version is not the recorded one: {package: (installed, recorded, stage)}."""
    found: dict[str, tuple[str, str, str]] = {}
    for stage, then in recorded.items():
        for package, version in then.items():
            if package in MODULES and package not in found and installed(package) != version:
                found[package] = (installed(package), version, stage)
    return found


def mixed(recorded: MadeWith) -> dict[str, dict[str, list[str]]]:
    """Packages of which one run used several versions: {package: {version: [stages]}}."""
    used: dict[str, dict[str, list[str]]] = {}
    for stage, versions_ in recorded.items():
        for package, version in versions_.items():
            used.setdefault(package, {}).setdefault(version, []).append(stage)
    return {package: by for package, by in used.items() if len(by) > 1}


def words(differences: Mapping[str, tuple[str, str, str]]) -> str:
    """In words: 'numpy 2.4.6 here, 2.3.0 when flow@synthetic was made; ...'."""
    return "; ".join(f"{package} {here or 'missing'} here, {then or 'none'} when {stage} was made"
                     for package, (here, then, stage) in differences.items())


def tell(stage: str, summaries: Iterable[Mapping]) -> None:
    """One line on stderr where what a stage re-uses was made by other versions than those installed.

    summaries: contents of the summary.json files (or reports/environment.json) of what is there already.
    """
    if found := differing(merged(summaries)):
        print(f"{stage}: another environment: {words(found)}; bytes may differ, and a run may hold both: `python -m "
              "mer.doctor` compares, `pip install -e .` brings the pinned versions back", file=sys.stderr)


def reused(stage: str, datasets: Iterable[str], *others: str | Path, data: Path = Path("data")) -> list[dict]:
    """The summaries of what a stage re-uses, the label stores of datasets and other stores; `tell`s of them."""
    names = list(datasets)
    found = read(*(data / kind / name for kind in ("aligned", "flow", "dynamic") for name in names), *others)
    tell(stage, found)
    return found


def read(*paths: str | Path) -> list[dict]:
    """The summaries of stores (their folders, or the files themselves); what is not there is left out."""
    from mer.base.store import read_json  # here: mer.doctor tells of versions where h5py is missing too

    files = [path / "summary.json" if path.is_dir() else path for path in map(Path, paths)]
    return [read_json(file) for file in files if file.is_file()]
