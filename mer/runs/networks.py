"""The networks of a finished run: which there are, loaded for use, and what an export says of them.

    run = finished.open_run("path")                           # a project's folder, or an export
    for network in networks.choose(run, "all"):               # or the name of one fold
        model = networks.load(run, network)                   # nn.Module in evaluation mode
"""

import difflib
import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import mer
from mer import params
from mer.base import graph
from mer.base.errors import MerError
from mer.params import Params
from mer.runs.finished import CONFIG, FORMAT, Network, Run

KEEP = "dvc exp run -S train.keep_checkpoints=true"


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
                       + f"; it has {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}, or all")
    found = tuple(n for n in run.networks if fold in ("all", n.fold) and seed in (None, n.seed))
    missing = [n.file for n in found if not n.file.is_file()]
    if missing and not run.params.train.keep_checkpoints:
        raise MerError(f"{run.folder}: train.keep_checkpoints = false, so that the run kept no network; run `{KEEP}`")
    if missing or not found:
        where = (missing[0] if missing else run.folder or Path()).as_posix()
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

    # every weight is in the file, so that those it started from need not be there
    model = tasks.task(_asked("without_weights", run.params)).build(len(run.classes))
    if network.sha256 and not unchanged(network):
        raise MerError(f"{network.file}: its SHA-256 is not the one in {CONFIG}, so it is damaged; export the run "
                       "again, or copy the file again")
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


def unchanged(network: Network) -> bool:
    """Whether a file of an export has the SHA-256 that config.json names."""
    # exports of before 2026-12 have that of the file's name and content
    return network.sha256 in (_sha256(network.file), graph.digest(network.file))


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(run: Run, networks: tuple[Network, ...], commit: str, files: list[Path], metrics: dict) -> dict:
    """The content of an export's config.json; paths of this machine are left out.

    Args:
        files: one weight file a network; metrics: what reports/metrics.json says of the run.
    """
    p = replace(run.params, landmarks=replace(run.params.landmarks, model_path=None))
    rows = [asdict(n) | {"file": file.name, "sha256": _sha256(file)}
            for n, file in zip(networks, files, strict=True)]
    return {"format": FORMAT, "mer": mer.__version__, "commit": commit, "run": run.about, "networks": rows,
            "metrics": metrics, "params": asdict(_asked("without_paths", p))}


def _asked(name: str, p: Params) -> Params:
    """`p` as the function `name` of every model's config.py that has one changes its own section."""
    for model, config in params.CONFIGS.items():
        if hasattr(config, name):
            p = replace(p, **{model: getattr(config, name)(getattr(p, model))})
    return p
