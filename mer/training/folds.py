"""One fold after another: each is trained alone from (seed, fold), in any order, beside others or after a crash.

A finished fold is a folder `<seed>/<fold>` with predictions.csv (one row per test clip and selection), log.csv (losses
by step; where tasks share a trunk also gradients.csv), outputs.h5 (what the network says of the test clips, for
pictures) and model.pt.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from mer.base import store
from mer.base.terminal import counted, say
from mer.evaluation import predictions, protocols
from mer.evaluation.protocols import Fold
from mer.training import checkpoint, engine, gradients
from mer.training import task as tasks
from mer.training.batches import Clips, Entry

STATES = "state*.pt"  # resume states, which a kill may leave beside what is finished
SHARED = ".clips.pt"  # in the scratch folder; hidden, since it is no finished fold


@dataclass(frozen=True)
class Plan:
    """Everything a fold needs but its seed and its clips; picklable, so that folds run in other processes.

    `params` is the whole of params.yaml, `data` the folder of the label stores, `pretrained` the folder with one
    pretrained network per seed or None, `scratch` where finished and half-finished folds are kept.
    """

    params: object
    data: Path
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    pretrained: Path | None
    scratch: Path
    device: str

    @property
    def task(self) -> tasks.Method:
        """The model's side of training in the folds."""
        return tasks.task(self.params)


def split(plan: Plan) -> list[Fold]:
    """The folds of the run's protocol; positions are those of `plan.entries`."""
    rows = plan.entries
    return protocols.split(plan.params.protocol, [e.clip.clip_id for e in rows], [e.label for e in rows],
                           [e.subject for e in rows], plan.params.datasets, k=plan.params.kfold.k,
                           seed=plan.params.kfold.seed, flags=[e.clip.flags for e in rows])


def parts(plan: Plan) -> dict[str, list[str]]:
    """For the run's summary: its test sets that have their own numbers, see `protocols.parts`; nothing without any."""
    names = list(protocols.parts(split(plan)))
    return {"parts": names} if names else {}


def steps(plan: Plan) -> tuple[int, int]:
    """Of how many steps the folds are, the fewest and the most: a budget in epochs goes by a fold's own clips."""
    found = {engine.steps(plan.params.train, len(fold.train)) for fold in split(plan)}
    return min(found), max(found)


def folder(plan: Plan, seed: int, fold: Fold) -> Path:
    """Where a fold is written: <scratch>/<seed>/<fold's name with / as _>."""
    return plan.scratch / str(seed) / fold.name.replace("/", "_")


def is_done(plan: Plan, seed: int, fold: Fold) -> bool:
    """Whether the fold's last file is there."""
    return (folder(plan, seed, fold) / "predictions.csv").exists()


@functools.lru_cache(maxsize=1)
def load_clips(plan: Plan, pretraining: bool = False) -> Clips:
    """The run's clips on the device, once per process: those of `shared`, else read from the stores.

    pretraining: as the task before the folds reads them.
    """
    path = plan.scratch / SHARED
    if path.is_file():  # ours, so that any class may be in it; what was on a GPU goes to that of this process
        return torch.load(path, mmap=True, weights_only=False, map_location=lambda storage, place: (
            storage if place == "cpu" else storage.cuda()))
    return _read(plan, pretraining)


def _read(plan: Plan, pretraining: bool) -> Clips:
    task = tasks.pretraining(plan.params) if pretraining else plan.task
    return task.load(plan.data, plan.entries, plan.device)


@contextmanager
def shared(plan: Plan, wanted: bool = True, pretraining: bool = False) -> Iterator[None]:
    """Inside, all processes of a machine have one copy of the run's clips, mapped from a file in the scratch folder.

    The system keeps a page once, whoever reads it; on a GPU each process has a copy of its own.
    """
    path = plan.scratch / SHARED
    if wanted:
        if not path.is_file():
            with store.atomic(path) as temporary, open(temporary, "wb") as file:
                torch.save(_read(plan, pretraining), file)
        say(f"{'pretrain' if pretraining else 'train'}: {path.stat().st_size / 2**20:.1f} MB of clips, one copy in "
            "memory for all processes")
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is mapped
            path.unlink(missing_ok=True)


def run_fold(job: tuple[Plan, int, Fold]) -> None:
    """Train and test one fold and write its folder; predictions.csv comes last and marks it complete."""
    plan, seed, fold = job
    p = plan.params
    engine.configure(p.train.threads, p.train.precision)
    clips = load_clips(plan)
    out = folder(plan, seed, fold)
    train, test = torch.from_numpy(fold.train), torch.from_numpy(fold.test)
    truth = clips.label[test.to(plan.device)].cpu()
    if p.shuffle_labels:
        clips = shuffled(clips, train, engine.derive(seed, fold.name, "shuffle"))

    watch = (lambda model: [probabilities(plan, model, clips, test)]) if "oracle" in p.selection else None
    model, constants = start_model(plan, clips, train, seed, fold.name)
    log, evaluations = _fit(plan, model, clips, train, seed, fold.name, out / "state.pt", watch)
    values, errors, outputs = test_outputs(plan, model, clips, test, constants)
    tables = [predictions_of(clips, test, values, fold.name, seed, "last", errors)]
    if "oracle" in p.selection:
        # the best step on the test clips themselves: what much of the field reports, never a headline
        best = max(evaluations, key=lambda e: ((e[1][0].argmax(dim=1) == truth).sum().item(), -e[0]))[1][0]
        tables.append(predictions_of(clips, test, best, fold.name, seed, "oracle"))
    if "inner" in p.selection:
        chosen = _inner(plan, clips, train, test, seed, fold.name, out / "state-inner.pt")
        tables.append(predictions_of(clips, test, chosen, fold.name, seed, "inner"))

    store.write_shard(out / "outputs.h5", outputs, {"units": "pixels of the centre crop", "selection": "last"})
    if p.train.keep_checkpoints:
        save_model(out / "model.pt", model, plan.classes)
    write_log(out, log)
    predictions.write(out / "predictions.csv", predictions.concat(tables))
    for state in ("state.pt", "state-inner.pt"):
        (out / state).unlink(missing_ok=True)


def shuffled(clips: Clips, rows: torch.Tensor, seed: int) -> Clips:
    """`clips` with the labels of `rows` permuted among them: the control that must not beat chance."""
    label = clips.label.clone()
    order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
    label[rows.to(label.device)] = clips.label[order.to(label.device)]
    return replace(clips, label=label)


def start_model(plan: Plan, clips: Clips, rows: torch.Tensor, seed: int, name: str,
                task: tasks.Method | None = None) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A network, freshly initialised or pretrained, its input statistics fitted on the training clips `rows` alone.

    Also the constants of those clips that its estimates are compared with (MOL: their mean face).
    """
    task, crop = task or plan.task, plan.params.train.crop
    torch.manual_seed(engine.derive(seed, name, "init"))
    model = task.build(len(plan.classes))
    if plan.pretrained is None:
        return model.to(plan.device), task.fit(model, clips, rows, crop, fresh=True)
    task.carry_over(model, checkpoint.load(plan.pretrained / str(seed) / "model.pt"), plan.classes)
    # the statistics of this fold's subjects, not of the source
    return model.to(plan.device), task.fit(model, clips, rows, crop, fresh=False)


def _fit(plan: Plan, model: nn.Module, clips: Clips, rows: torch.Tensor, seed: int, name: str, state: Path,
         evaluate: Callable | None) -> tuple[list[dict], list]:
    return engine.train(model, plan.task, clips, rows, engine.budget(plan.params, plan.params.train, len(rows)),
                        seed=engine.derive(seed, name), state=state, desc=f"fold {name} seed {seed}", evaluate=evaluate)


def _inner(plan: Plan, clips: Clips, train: torch.Tensor, test: torch.Tensor, seed: int, name: str,
           state: Path) -> torch.Tensor:
    """Test probabilities at the step that was best on validation subjects, who were taken out of the training clips."""
    p = plan.params
    subject = {i: clips.entries[i].subject for i in train.tolist()}
    held = set(protocols.inner_subjects(subject.values(), p.train.inner_subjects, (seed, name, "inner")))
    valid = torch.tensor([i for i, person in subject.items() if person in held])
    rest = torch.tensor([i for i, person in subject.items() if person not in held])
    model, _ = start_model(plan, clips, rest, seed, name)
    _, evaluations = _fit(plan, model, clips, rest, seed, f"{name} (inner)", state,
                          lambda m: [probabilities(plan, m, clips, which) for which in (valid, test)])
    truth = clips.label[valid.to(plan.device)].cpu()

    def likelihood(evaluation: tuple[int, list]) -> tuple[float, int]:
        # the mean log-likelihood of the validation clips: finer than their accuracy, which ties on few clips
        step, (values, _) = evaluation
        return values.clamp_min(1e-12).log()[torch.arange(len(truth)), truth].mean().item(), -step

    return max(evaluations, key=likelihood)[1][1]


def probabilities(plan: Plan, model: nn.Module, clips: Clips, rows: torch.Tensor) -> torch.Tensor:
    """Class probabilities (n, m) float32 on the CPU of the clips `rows` (n,); uniform for a model without classes."""
    return torch.cat([_softmax(outputs, len(part), len(plan.classes)) for part, _, outputs in engine.predict(
        model, plan.task, clips, rows, crop=plan.params.train.crop)])


def _softmax(outputs: dict, clips: int, classes: int) -> torch.Tensor:
    if "logits" not in outputs:  # MOL's Tables XIV and XV, FDP's 14: trained without classes, so none is preferred
        return torch.full((clips, classes), 1 / classes)
    return outputs["logits"].float().softmax(dim=1).cpu()


def test_outputs(plan: Plan, model: nn.Module, clips: Clips, rows: torch.Tensor, constants: dict):
    """Of the clips `rows` (n,): probabilities (n, m), auxiliary errors {name: (n,)}, outputs {clip id: arrays}."""
    values, errors, kept, task = [], [], {}, plan.task
    for part, batch, outputs in engine.predict(model, task, clips, rows, crop=plan.params.train.crop):
        values.append(_softmax(outputs, len(part), len(plan.classes)))
        errors.append(task.errors(outputs, batch, constants))
        arrays = {name: values.cpu().numpy() for name, values in task.keep(model, outputs, batch).items()}
        for b, i in enumerate(part.tolist()):
            kept[clips.entries[i].clip.clip_id] = {name: values[b] for name, values in arrays.items()}
    aux = {name: torch.cat([e[name] for e in errors]).double().cpu().numpy() for name in errors[0]}
    return torch.cat(values), aux, kept


def predictions_of(clips: Clips, rows: torch.Tensor, values: torch.Tensor, fold: str, seed: int, selection: str,
                   aux: dict | None = None) -> predictions.Predictions:
    """The prediction table of the clips `rows` (n,) from probabilities (n, m) and named auxiliary errors (n,)."""
    entries = [clips.entries[i] for i in rows.tolist()]
    return predictions.table([e.clip.clip_id for e in entries], [e.subject for e in entries], fold, seed, selection,
                             [e.label for e in entries], values.double().numpy(), aux)


def zero_shot(plan: Plan, groups: list[list[int]], seed: int) -> predictions.Predictions:
    """Predictions of the pretrained network for all clips before any fold is trained.

    Its classes are the source's; `groups[j]` are those source classes that make class j of this run (none: the class
    gets probability 0); the probabilities of a group are summed and the rest is renormalised.
    """
    p = plan.params
    engine.configure(p.train.threads, p.train.precision)
    clips = load_clips(plan)
    state = checkpoint.load(plan.pretrained / str(seed) / "model.pt")
    task = tasks.pretraining(p)
    model = task.build(len(state["classes"]))
    model.load_state_dict(state["model"])
    rows = torch.arange(len(clips))
    source = probabilities(plan, model.to(plan.device), clips, rows).double()
    values = torch.stack([source[:, group].sum(dim=1) for group in groups], dim=1)
    total = values.sum(dim=1, keepdim=True)
    values = torch.where(total > 1e-9, values / total.clamp_min(1e-9), torch.full_like(values, 1 / len(groups)))
    return predictions_of(clips, rows, values, "all", seed, "zero_shot")


def write_log(folder: Path, log: list[dict]) -> None:
    """gradients.csv, where any were measured, and then log.csv, the losses by step (also what `dvc plots` draws)."""
    gradients.write(folder / "gradients.csv", log)
    header = gradients.losses(log[0]) if log else ["step"]
    store.write_csv(folder / "log.csv", header, [[entry[name] for name in header] for entry in log])


def save_model(path: Path, model: nn.Module, classes: tuple[str, ...]) -> None:
    """The network's tensors and the names of its classes."""
    checkpoint.save(path, {"model": {k: v.cpu() for k, v in model.state_dict().items()}, "classes": list(classes)})


def report_reuse(plan: Plan, jobs: list[tuple[int, Fold]]) -> int:
    """Say how many folds of an interrupted run are reused, and return the number."""
    done = sum(is_done(plan, seed, fold) for seed, fold in jobs)
    if done:
        say(f"train: reusing {done} of {counted(len(jobs), 'fold')} from an interrupted run")
    return done
