"""A finished experiment and its networks: a project after `dvc repro`, its data folder, or what `mer.export` wrote.

    run = finished.open_run("path")                           # parameters, classes, networks
    for network in finished.choose(run, "all"):               # or the name of one fold
        model = finished.load(run, network)                   # nn.Module in evaluation mode
"""

import contextlib
import difflib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import mer
from mer import params
from mer.base import graph, knobs, store
from mer.base.errors import MerError
from mer.evaluation import predictions

CONFIG = "config.json"  # what makes a folder an export
FORMAT = 1
KEEP = "dvc exp run -S train.keep_checkpoints=true"
SAME = ("model", "datasets", "classes", "protocol", "profile", "seeds", "shuffle_labels")  # of params.yaml and the run


@dataclass(frozen=True)
class Network:
    """One fold's network, as it was after the last training step.

    `held_out`: the subjects it has not seen; of their `clips` it recognised `right` after the last step.
    """

    seed: int
    fold: str
    held_out: tuple[str, ...]
    clips: int
    right: int
    file: Path

    @property
    def name(self) -> str:
        return f"fold {self.fold}, seed {self.seed}"


@dataclass(frozen=True)
class Run:
    """`about`: data/folds/summary.json; `data`: the project's data folder, None for an export."""

    path: Path
    params: params.Params
    classes: tuple[str, ...]
    about: dict
    networks: tuple[Network, ...]
    data: Path | None

    @property
    def title(self) -> str:
        """Model, data and classes, as the page of the run is called."""
        return (f"{self.about['model'].upper()} on {' + '.join(self.about['datasets']).replace('_', ' ')}, "
                f"{len(self.classes)} classes")


def open_run(path: str | Path) -> Run:
    """The finished run in a project's folder, in its data folder, or in an export.

    Raises:
        MerError: there is none, or params.yaml is no longer what the run was made with.
    """
    path = Path(path)
    if (path / CONFIG).is_file():
        return _exported(path)
    data = path if (path / "folds").is_dir() else path / "data"
    root = data.absolute().parent
    if not (data / "folds/summary.json").is_file():
        raise MerError(f"{path}: no finished run ({(data / 'folds/summary.json').as_posix()} is not there) and no "
                       "export; run `dvc repro` in the project, with train.keep_checkpoints: true, or name its folder "
                       "by --run")
    with contextlib.chdir(root):  # one's own datasets are looked up below the project's root
        p = params.load()
        refuse_changes()
    about = store.read_json(data / "folds/summary.json")
    for key in SAME:
        now = getattr(p, key)
        now = list(now) if isinstance(now, tuple) else now
        if key in about and now != about[key]:
            raise MerError(f"params.yaml: {key} = {now!r}; the finished run has {about[key]!r}; put it back (`dvc exp "
                           "apply`, `git checkout`), or run `dvc repro`")
    found = sorted((data / "folds").glob("*/*/predictions.csv"))
    return Run(path, p, tuple(about["class_names"]), about, tuple(map(_network, found)), data)


def choose(run: Run, fold: str = "all", seed: int | None = None) -> tuple[Network, ...]:
    """The networks of one fold or of all, of one seed or of all.

    Raises:
        MerError: there is no such fold or seed, or the run kept no checkpoints.
    """
    seeds, names = (sorted({getattr(n, key) for n in run.networks}) for key in ("seed", "fold"))
    if seed is not None and seed not in seeds:
        raise MerError(f"--seed {seed}: the run has seeds {', '.join(map(str, seeds))}")
    if fold != "all" and fold not in names:
        # a fold is called after its subject, whose dataset is easily left out
        near = [name for name in names if name.split("/")[-1] == fold] or difflib.get_close_matches(fold, names, 1, 0.4)
        raise MerError(f"--fold {fold}: the run has no such fold" + (f"; did you mean {near[0]}?" if near else "")
                       + f" It has {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}, or all")
    found = tuple(n for n in run.networks if fold in ("all", n.fold) and seed in (None, n.seed))
    missing = [n.file for n in found if not n.file.is_file()]
    if missing and not run.params.train.keep_checkpoints:
        raise MerError(f"{run.path}: train.keep_checkpoints = false, so that the run kept no network; run `{KEEP}`")
    if missing or not found:
        where = (missing[0] if missing else run.path).as_posix()
        raise MerError(f"{where}: the network is missing; run `dvc checkout`, or `dvc repro` to make it again")
    return found


def load(run: Run, network: Network):
    """A fold's network (torch.nn.Module) on the CPU in evaluation mode, built from the run's parameters.

    Raises:
        MerError: the file is damaged, or holds another network or other classes.
    """
    from mer.training import checkpoint
    from mer.training import task as tasks
    from mer.training.checkpoint import read_safetensors

    # every weight is in the file, so that those of ImageNet need not be there
    p = replace(run.params, ma2mi=replace(run.params.ma2mi, encoder_weights=None))
    model = tasks.task(p).build(len(run.classes))
    if network.file.suffix == ".safetensors":
        state = read_safetensors(network.file)
    else:
        kept = checkpoint.load(network.file)
        state = kept["model"]
        if tuple(kept["classes"]) != run.classes:
            raise MerError(f"{network.file}: classes {', '.join(kept['classes'])}; the run has {', '.join(run.classes)}"
                           "; run `dvc repro`")
    own = model.state_dict()
    for key in sorted(set(own) | set(state)):
        found, wanted = (tuple(tensors[key].shape) if key in tensors else "missing" for tensors in (state, own))
        if found != wanted:
            raise MerError(f"{network.file}: tensor {key} is {found}, the parameters want {wanted}; they are not those "
                           "that it was trained with")
    model.load_state_dict(state)
    return model.eval()


def describe(run: Run, networks: tuple[Network, ...], commit: str, files: list[Path], metrics: dict) -> dict:
    """The content of an export's config.json; paths of this machine are left out.

    Args:
        files: one weight file a network; metrics: what reports/metrics.json says of the run.
    """

    vae = Path(run.params.ma2mi.sd_vae)
    p = replace(run.params, landmarks=replace(run.params.landmarks, model_path=None),
                ma2mi=replace(run.params.ma2mi, sd_vae=vae.name if vae.is_absolute() else vae.as_posix()))
    rows = [asdict(n) | {"file": file.name, "sha256": graph.digest(file)}
            for n, file in zip(networks, files, strict=True)]
    return {"format": FORMAT, "mer": mer.__version__, "commit": commit, "run": run.about, "networks": rows,
            "metrics": metrics, "params": asdict(p)}


def _exported(path: Path) -> Run:
    config = store.read_json(path / CONFIG)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise MerError(f"{path / CONFIG}: not an export of this version of mer; expected format {FORMAT}")
    try:
        p = knobs.build(params.Params, config["params"], "")
    except MerError as error:
        raise MerError(f"{path / CONFIG}: {str(error).removeprefix('params.yaml: ')}; made by another version of mer"
                       ) from None
    networks = tuple(Network(n["seed"], n["fold"], tuple(n["held_out"]), n["clips"], n["right"], path / n["file"])
                     for n in config["networks"])
    return Run(path, p, tuple(config["run"]["class_names"]), config["run"], networks, None)


def _network(path: Path) -> Network:
    t = predictions.read(path)
    last = t.where("last")
    return Network(int(t.seed[0]), str(t.fold[0]), tuple(sorted(set(t.subject.tolist()))), len(last),
                   int((last.predicted == last.label).sum()), path.with_name("model.pt"))


def refuse_changes() -> None:
    """Stop when a parameter that a clip's way to the network depends on differs from the one in dvc.lock.

    Another alignment or sampling than in training would go unnoticed and give other scores.
    """
    if not Path("dvc.lock").is_file():
        return
    now, stages = knobs.read_yaml(Path("params.yaml")), knobs.read_yaml(Path("dvc.lock"))["stages"]
    for name, stage in stages.items():
        if name.split("@")[0] not in ("landmarks", "align", "train"):
            continue
        for key, then in stage.get("params", {}).get("params.yaml", {}).items():
            value = now
            for word in key.split("."):
                value = value.get(word) if isinstance(value, dict) else None
            if value != then:
                key, value, then = _leaf(key, value, then)
                raise MerError(f"params.yaml: {key} = {value!r}, but the finished run was made with {then!r} "
                               f"(dvc.lock, stage {name}); put it back, or run `dvc repro`")


def _leaf(key: str, value: object, then: object) -> tuple[str, object, object]:
    """The first key below `key` whose values differ."""
    if isinstance(value, dict) and isinstance(then, dict):
        for name in {**then, **value}:
            if value.get(name) != then.get(name):
                return _leaf(f"{key}.{name}", value.get(name), then.get(name))
    return key, value, then
