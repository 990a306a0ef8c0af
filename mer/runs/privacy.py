"""`mer doctor --privacy`: every product that shows a person or tells who one is, and where each would go."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from mer.base import knobs, store
from mer.base.errors import MerError
from mer.datasets.releases import is_synthetic
from mer.runs import tracked

BY_DATASET = {  # a folder of data/ with one folder a dataset: what its files show
    "raw": "the release itself", "index": "names of subjects and clips",
    "landmarks": "68 points of each face, by which a person can be known again", "aligned": "face crops",
    "flow": "how each face moves", "dynamic": "dynamic images, in which faces can be known again",
    "latents": "codes from which the faces can be drawn"}
WHOLE = {  # what is of all datasets of the run
    "data/latents": "codes from which the faces can be drawn, and the network that draws them",
    "data/pretrained": "networks trained on the faces",
    "data/folds": "networks trained on the faces, predictions by subject and clip, what they drew of tested clips",
    "reports/predictions.csv": "predictions by subject and clip", "reports/clips.json": "hash of the list of clips",
    "reports/plots/results": "frames of tested clips, names of subjects", "reports/plots/labels": "frames of clips",
    "reports/plots/pretraining": "frames of clips",
    "reports/index.html": "the page: names of subjects and clips{faces}",
    "reports/comparison.html": "a page of several runs: names of subjects, with --clips faces",
    "reports/comparison": "the list of the clips that are drawn", "reports/annotations": "names of subjects and clips",
    "export": "networks trained on the faces, names of subjects", "predict": "pages with a face of one's own clips",
    "dvc_plots": "pictures of several runs, of subjects",
    ".scratch": "unfinished pieces of all these"}
NOT_IN_GIT = "git push: not in Git"


def told(root: Path) -> list[str]:
    """A line a product: what it shows, and where `dvc push`, `git push` or sending it would bring it.

    Raises:
        MerError: dvc.yaml, dvc.lock or params.yaml cannot be read.
    """
    real = sorted(name for name in _datasets(root) if not is_synthetic([name]))
    if not real:
        return ["OK    all that is here is made of synthetic faces, which show nobody",
                *(["WARN  predict: " + WHOLE["predict"]] if (root / "predict").is_dir() else [])]
    never, stays = tracked.kept(root)
    added = {out.path for out in tracked.outs(root) if not out.stage}
    where = tracked.remote(root)
    lines = [f"WARN  {path}: {what}; {_pushed(path, never, stays, added, where)}; {_in_git(root, path)}"
             for path, what in _products(root, real)]
    cache = tracked.cache(root)
    if cache.is_dir():
        lines.append(f"WARN  {cache.as_posix()}: every run's products, of all lines above that are DVC's; whoever can "
                     "read it has them")
    return [f"real people: {', '.join(real)}; data stays private as long as nothing below is pushed or sent", *lines]


def _datasets(root: Path) -> set[str]:
    """The datasets that lie here, and those that params.yaml and the last run name."""
    found = {path.name for path in (root / "data/raw").glob("*") if path.is_dir()}
    found |= {path.name for folder in BY_DATASET for path in (root / "data" / folder).glob("*/")
              if (path / "clips.csv").is_file() or (path / "summary.json").is_file()}
    run = root / "data/folds/summary.json"
    if run.is_file():
        about = store.read_json(run)
        found |= {*about["datasets"], *about["pretrained_on"]}
    return found


def _products(root: Path, real: list[str]) -> Iterator[tuple[str, str]]:
    for folder, what in BY_DATASET.items():
        yield from ((f"data/{folder}/{name}", what) for name in real if (root / "data" / folder / name).exists())
    for path, what in WHOLE.items():
        if (root / path).exists() and (path != "data/latents" or any((root / path).glob("*.*"))):
            yield path, what.format(faces=", and faces (report.faces: true)" if _faces(root) else ", no face "
                                    "(report.faces: false)") if "{faces}" in what else what


def _faces(root: Path) -> bool:
    try:
        return bool(knobs.read_yaml(root / "params.yaml").get("report", {}).get("faces"))
    except MerError:
        return False


def _pushed(path: str, never: set[str], stays: set[str], added: set[str], where: str) -> str:
    """What `dvc push` does with a product."""
    names = {path, path.rpartition("/")[0] + "/${item}"}
    to = f" to {where}" if where else " (no remote is set)"
    if path in added:
        return f"dvc push: GOES{to}, as it was added to DVC"
    if names & never or path.split("/")[0] not in ("data", "reports") or path.startswith("data/raw/") or path in (
            "reports/comparison.html", "reports/comparison", "reports/annotations"):
        return "dvc push: not DVC's"
    return "dvc push: stays here (push: false)" if names & stays else f"dvc push: GOES{to}"


def _in_git(root: Path, path: str) -> str:
    """What `git push` does with it."""
    try:
        done = subprocess.run(["git", "ls-files", "--", path], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return NOT_IN_GIT
    if not done.stdout.strip():
        return NOT_IN_GIT
    return "git push: GOES, `git rm --cached` takes it out of the next commit, not out of those before"
