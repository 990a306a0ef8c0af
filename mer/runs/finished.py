"""A finished experiment, wherever it is: a project, an export, a Git revision, a DVC experiment, the workspace.

    run = finished.open_run("lofty-wren")
    run.params.lr, run.metrics["accuracy"], run.predictions.subject, run.commit
"""

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mer import params
from mer.base import cost, knobs, store
from mer.base.errors import MerError
from mer.datasets.lists import SHORT
from mer.evaluation import predictions
from mer.runs import freshness, sources
from mer.runs.freshness import DETAILS, METRICS
from mer.runs.sources import Source

CONFIG = "config.json"  # what makes a folder an export
FORMAT = 1
PARAMS, LOCK, PREDICTIONS, SUMMARY = "params.yaml", "dvc.lock", "reports/predictions.csv", "folds/summary.json"
CLIPS = "reports/clips.json"


@dataclass(frozen=True)
class Network:
    """One fold's network, as it was after the last training step.

    `held_out`: the subjects it has not seen; of their `clips` it recognised `right` after the last step. `sha256`: of
    an export's file, as config.json says.
    """

    seed: int
    fold: str
    held_out: tuple[str, ...]
    clips: int
    right: int
    file: Path
    sha256: str = ""

    @property
    def name(self) -> str:
        """As errors and tables name it."""
        return f"fold {self.fold}, seed {self.seed}"


class Run:
    """A finished experiment. What it holds is read when it is first asked for; what is missing is a MerError then.

    Attributes:
        source: where its files are read; name: as the user typed it, of a folder its last part.
        commit: the full hash, empty for a folder; folder: None for what lies in Git and DVC alone.
        label: what it goes by in a table, such as its short hash and name.
        data: the project's data folder; None for an export too.
    """

    def __init__(self, source: Source, label: str = "", data: Path | None = None, **known: object):
        """`known`: by name, properties that need not be read."""
        self.source, self.label, self.data = source, label, data
        self.name, self.commit, self.folder = source.name, source.commit, source.folder
        self.__dict__.update(known)  # where a cached property looks first

    @functools.cached_property
    def params(self) -> params.Params:
        """The parameters, resolved: no null is left that stands for a profile's value."""
        return params.resolve(self._raw, PARAMS, self.folder or ".")

    @functools.cached_property
    def parameters(self) -> dict[str, object]:
        """`params`, flat: {"train.steps": 40}."""
        return knobs.flatten(asdict(self.params))

    @functools.cached_property
    def written(self) -> dict[str, object]:
        """The parameters as params.yaml has them, flat, the profiles left out."""
        return knobs.flatten({key: value for key, value in self._raw.items() if key != "profiles"})

    @functools.cached_property
    def metrics(self) -> dict[str, float]:
        """The numbers of reports/metrics.json and details.json; of an export those that were written into it."""
        found = self.source.json(METRICS)
        if not isinstance(found, dict):
            raise MerError(f"{METRICS}: expected numbers by name, found {type(found).__name__}")
        return found | (self.source.json(DETAILS) if self.source.plain(DETAILS) else {})

    @functools.cached_property
    def costs(self) -> dict[str, cost.Record]:
        """What each stage cost; {} where it is not known."""
        try:
            return cost.parse(self.source.plain(cost.RECORDS.as_posix()) or "{}")
        except ValueError:
            return {}

    @functools.cached_property
    def predictions(self) -> predictions.Predictions:
        """The prediction table, all selections and seeds."""
        if self.exported:
            raise MerError(f"{self.name}: an export, which holds no predictions; name the project, or a revision of it")
        return predictions.parse(self.source.text(PREDICTIONS), PREDICTIONS)

    @functools.cached_property
    def about(self) -> dict:
        """The summary of the folds: classes in the order of the outputs, subjects, number of clips and more."""
        if self.data is None:
            return self.source.json(f"data/{SUMMARY}")
        return store.read_json(self._folds(self.data) / "summary.json")

    @functools.cached_property
    def clip_list(self) -> str:
        """The first digits of the hash of the tested clips' list (mer/datasets/lists.py), "" where it is not known."""
        found = self.source.plain(CLIPS)
        return json.loads(found)["sha256"][:SHORT] if found else ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the networks' outputs."""
        return tuple(self.about["class_names"])

    @functools.cached_property
    def networks(self) -> tuple[Network, ...]:
        """The folds' networks, of a folder only."""
        if self.data is None:
            raise MerError(f"{self.name}: a revision, whose networks are in no folder; `git checkout` (`dvc exp apply` "
                           "an experiment) and `dvc checkout` it, or name a folder")
        return tuple(map(_network, sorted(self._folds(self.data).glob("*/*/predictions.csv"))))

    @property
    def title(self) -> str:
        """Model, data and classes, as the page of the run is called."""
        return (f"{self.about['model'].upper()} on {' + '.join(self.about['datasets']).replace('_', ' ')}, "
                f"{len(self.classes)} classes")

    @property
    def exported(self) -> bool:
        """Whether it is an export: a folder without data."""
        return self.folder is not None and self.data is None

    def _folds(self, data: Path) -> Path:
        if not (data / SUMMARY).is_file():
            raise MerError(_nothing(self.folder, data))
        return data / "folds"

    @functools.cached_property
    def _raw(self) -> dict:
        return knobs.parse_yaml(self.source.text(PARAMS), PARAMS)


def open_run(name: str | Path, stages: tuple[str, ...] = freshness.NETWORKS) -> Run:
    """The finished run of that name.

    Args:
        name: a project's folder or its data folder, an export's folder, `workspace`, a DVC experiment, a Git revision.
        stages: those of dvc.lock whose parameters params.yaml must still have.

    Raises:
        MerError: there is none of this name, or params.yaml is no longer what the run was made with.

    >>> import pathlib, tempfile
    >>> from mer.runs import open_run
    >>> with tempfile.TemporaryDirectory() as project:
    ...     _ = pathlib.Path(project, "params.yaml").write_text("train: {steps: 40}")
    ...     print(open_run(project).written)
    {'train.steps': 40}
    >>> open_run("nowhere/at/all")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mer.base.errors.MerError: nowhere/at/all: no DVC experiment, Git revision or folder of this name; ...
    """
    path = Path(name)
    if (path / CONFIG).is_file():
        return _exported(path)
    inside = (path / SUMMARY).is_file()  # a data folder
    if inside or (path / "data" / SUMMARY).is_file():
        source = sources.at(path.absolute().parent if inside else path)
    else:
        source = sources.find(str(name))
    root = source.folder
    data = None if root is None else path if inside else root / "data"
    run = Run(source, data=data)
    if data is not None and source.plain(PARAMS) is None:
        raise MerError(_nothing(root, data))
    freshness.refuse(source.text(PARAMS), source.plain(LOCK), stages=stages)
    if data is not None and "train" in stages and (data / SUMMARY).is_file():
        try:
            p = run.params
        except MerError:  # of another version of the code, perhaps: to be told where they are used
            return run
        freshness.refuse_other(p, run.about)
    return run


def _nothing(folder: Path | None, data: Path) -> str:
    return (f"{folder}: no finished run ({(data / SUMMARY).as_posix()} is not there) and no export; run "
            "`dvc repro` in the project, with train.keep_checkpoints: true, or name its folder by --run")


def _exported(path: Path) -> Run:
    config = store.read_json(path / CONFIG)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise MerError(f"{path / CONFIG}: not an export of this version of mer; expected format {FORMAT}")
    try:
        p = knobs.build(params.Params, config.get("params"), "")
    except MerError as error:
        raise MerError(f"{path / CONFIG}: {str(error).removeprefix('params.yaml: ')}; made by another version of mer"
                       ) from None
    try:
        networks = tuple(Network(n["seed"], n["fold"], tuple(n["held_out"]), n["clips"], n["right"],
                                 path / Path(n["file"]).name, n["sha256"]) for n in config["networks"])
        return Run(sources.at(path), params=p, about=config["run"], networks=networks, metrics=config["metrics"])
    except (KeyError, TypeError) as error:
        raise MerError(f"{path / CONFIG}: damaged ({type(error).__name__}: {error}); export the run again") from None


def _network(path: Path) -> Network:
    t = predictions.read(path)
    last = t.where("last")
    return Network(int(t.seed[0]), str(t.fold[0]), tuple(sorted(set(t.subject.tolist()))), len(last),
                   int((last.predicted == last.label).sum()), path.with_name("model.pt"))
