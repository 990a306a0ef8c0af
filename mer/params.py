"""params.yaml -> frozen dataclasses, checked whole in the first second of every stage.

Every knob stands in params.yaml. A value of `null` is filled from `profiles.<model>.<profile>`, so that `model: fdp` or
`profile: paper` changes all budgets at once and `-S train.steps=100` still overrides a single one. Every error names
the key, the value, and what was expected.
"""

import dataclasses
import importlib
import itertools
import types
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer.base.errors import MerError
from mer.base.knobs import Parallel, build, fill, knob, nearest, profile, read_yaml
from mer.base.shown import shown
from mer.datasets.releases import Index, check_name, known, people
from mer.datasets.sections import Synthetic
from mer.labels.sections import Align, Dynamic, Flow, Landmarks, Sampling


def _configs() -> dict[str, types.ModuleType]:
    """{model: its config.py}, of every folder of mer/models that has one, by their ORDER and name."""
    names = sorted(path.parent.name for path in Path(__file__).parent.glob("models/*/config.py"))
    found = {name: importlib.import_module(f"mer.models.{name}.config") for name in names}
    return dict(sorted(found.items(), key=lambda item: getattr(item[1], "ORDER", len(found))))


CONFIGS = _configs()


@dataclass(frozen=True, kw_only=True)
class Training:
    """What `pretrain` and `train` share: steps or epochs, learning-rate schedule, crops in pixels."""

    steps: int | None = knob(0, 10**7)
    epochs: int | None = knob(1, 10**6, default=None, optional=True)  # runs from before it was a key have steps
    batch: int = knob(1, 4096)
    crop: int = knob(16, 512)
    flip: bool = knob()
    schedule: str = knob(choices=("constant", "one_cycle", "exponential"))
    weight_decay: float = knob(0, 10)
    clip_norm: float = knob(0, 1e6)
    flow_pairs: int = knob(0, 64)
    threads: int = knob(1, 256)
    checkpoint_every: int = knob(1, 10**6)


@dataclass(frozen=True, kw_only=True)
class Pretrain(Training):
    """Section `pretrain`: the macro-expression releases, their sampling sets, and what becomes of the class layer."""

    sources: tuple[str, ...] = knob()
    classes: str = knob()
    sets: int | None = knob(1, 64, default=None, optional=True)  # runs from before it was a key are without
    head: str = knob(choices=("drop", "match"))


@dataclass(frozen=True, kw_only=True)
class Train(Training):
    """Section `train`: the folds, where they run and in what precision."""

    device: str = knob(choices=("auto", "cpu", "cuda"))
    precision: str = knob(choices=("fp32", "tf32", "bf16"))
    workers: int = knob(0, 4096)
    eval_every: int = knob(0, 10**6)
    inner_subjects: int = knob(1, 999)
    keep_checkpoints: bool = knob()
    resident_gb: float | None = knob(0, 1e6, default=None, optional=True)  # older runs are without it
    portable: bool = knob()


@dataclass(frozen=True)
class KFold:
    """Section `kfold`, for `protocol: kfold` alone."""

    k: int = knob(2, 999)
    seed: int = knob(0, 2**31)


@dataclass(frozen=True)
class Evaluate:
    """Section `evaluate`: draws of the intervals and tests."""

    bootstrap: int = knob(100, 10**6)
    permutations: int = knob(100, 10**6)
    pictures: int = knob(0, 100)
    seed: int = knob(0, 2**31)


@dataclass(frozen=True)
class Report:
    """Section `report`: what the pages may show."""

    faces: bool = knob(default=False, optional=True)  # runs from before it was a key


@dataclass(frozen=True, kw_only=True)
class _Run:
    model: str = knob(choices=tuple(CONFIGS))
    datasets: tuple[str, ...] = knob(empty=False)
    classes: str = knob()
    protocol: str = knob(choices=("loso", "composite", "cross_dataset", "kfold", "official"))
    seeds: tuple[int, ...] = knob(0, 2**31, empty=False)
    profile: str = knob()
    shuffle_labels: bool = knob()
    selection: tuple[str, ...] = knob(choices=("last", "inner", "oracle"), empty=False)


@dataclass(frozen=True, kw_only=True)
class _Common:
    lr: float = knob(1e-12, 10)
    kfold: KFold
    parallel: Parallel
    synthetic: Synthetic
    index: Index
    landmarks: Landmarks
    align: Align
    sampling: Sampling
    flow: Flow
    dynamic: Dynamic


OWN = {name: getattr(config, "TopLevel", None) for name, config in CONFIGS.items()}  # keys beside a model's section
if TYPE_CHECKING:  # which models there are, and so which sections, is known once their folders are listed
    class _TopLevel: ...

    class _Models:
        def __getattr__(self, name: str) -> Any: ...
else:
    _TopLevel = make_dataclass(
        "_TopLevel", [], bases=tuple(kind for kind in reversed(OWN.values()) if kind), frozen=True)
    _Models = make_dataclass("_Models", [(name, config.Config) for name, config in CONFIGS.items()], frozen=True)


@dataclass(frozen=True, kw_only=True)
class _Budgets:
    pretrain: Pretrain
    train: Train
    evaluate: Evaluate
    report: Report = field(default=Report(), metadata={"optional": True})


@dataclass(frozen=True)
class Params(_Budgets, _Models, _Common, _TopLevel, _Run):  # the fields of the last come first
    """The whole of params.yaml; the right-hand comments there say what each key means."""


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml of the working folder.

    Raises:
        MerError: one line that names the key, the value found and what was expected.
    """
    return resolve(read_yaml(Path(path)), path)


def resolve(raw: dict, path: str | Path = "params.yaml", root: str | Path = ".") -> Params:
    """The checked parameters that the content `raw` of a params.yaml stands for, nulls filled from its profiles.

    Raises:
        MerError: as `load`; `path` is the file that it names, `root` the project below which one's own datasets lie.
    """
    raw = dict(raw)
    profiles = raw.pop("profiles", None)
    model, name = raw.get("model"), raw.get("profile")
    if not isinstance(model, str) or model not in CONFIGS:
        raise MerError(f"{path}: model = {shown(model)}; expected one of {', '.join(CONFIGS)}"
                       f"{nearest(model, CONFIGS)}")
    for each in CONFIGS:
        if not isinstance(profiles, dict) or not isinstance(profiles.get(each), dict) or "paper" not in profiles[each]:
            raise MerError(f"{path}: key `profiles.{each}.paper` is missing; expected a block per profile")
    if not isinstance(name, str) or name not in profiles[model]:
        raise MerError(f"{path}: profile = {shown(name)}; expected one of {', '.join(map(str, profiles[model]))}"
                       f"{nearest(name, profiles[model])}")
    # a network's own section and loss weights come from its own profile, all others from that of the chosen model
    filled = fill(raw, profile(profiles, model, name, path), f"profiles.{model}.{name}")
    for each in CONFIGS:
        found = name if name in profiles[each] else "paper"  # not every model has a profile `released`
        kind = OWN[each]
        keys = {each, *(f.name for f in dataclasses.fields(kind))} if kind else {each}
        own = {key: value for key, value in profile(profiles, each, found, path).items() if key in keys}
        filled |= fill({key: raw.get(key) for key in own}, own, f"profiles.{each}.{found}")
    params = build(Params, _shared(filled), "")
    _check_sense(params, Path(root))
    return params


def _shared(values: dict) -> dict:
    """`values` with the knobs that stand in one place and are used in two: the frames of a clip, FDP's coefficients."""
    values = dict(values)
    for section, key, source in ((name, key, source) for name, config in CONFIGS.items()
                                 for key, source in getattr(config, "SHARED", {}).items()):
        own, other = values.get(section), values.get(source)
        if isinstance(own, dict) and isinstance(other, dict) and key not in own:
            values[section] = {**own, key: other.get(key)}
    return values


def of_model(p: Params, name: str) -> tuple:
    """What the function `name` of the chosen model's config.py says of the parameters, () where it has none.

    `labels(p)`: the label stores that the run reads beside the aligned clips. `files(p)`: further files that it reads.
    `problems(p)`: combinations with other sections that cannot run, each a line. `limits(p)`: what the model card says
    of its weights.
    """
    return tuple(getattr(CONFIGS[p.model], name, lambda p: ())(p))


def _word(value: int | None) -> str:
    return "null" if value is None else str(value)


def _check_sense(p: Params, root: Path) -> None:
    """Refuse combinations that cannot run, before any work is done."""
    from mer.datasets.class_sets import label_set

    for name in p.datasets + p.pretrain.sources:
        check_name(name, root / "data/raw")
    for names, classes in ((p.datasets, p.classes), (p.pretrain.sources, p.pretrain.classes)):
        for name in names:
            if name in known():  # the sets of one's own dataset are known once it is indexed
                label_set(name, classes)
    for source in p.pretrain.sources:  # of one's own datasets the names of people are compared once they are indexed
        same = [name for name in p.datasets if people(name) == people(source) and name != source]
        if same and source in known():
            raise MerError(f"params.yaml: pretrain.sources = {list(p.pretrain.sources)} with datasets = "
                           f"{list(p.datasets)}; {source} shows the subjects that are tested, which is a leak; "
                           "expected a release of other people")
    for first, second in itertools.combinations(p.datasets, 2):
        if people(first) == people(second) and first in known() and second in known():
            raise MerError(f"params.yaml: datasets = {list(p.datasets)}; {first} and {second} show the same people, "
                           "who would be trained on and tested, which is a leak; expected releases of other people")
    both = set(p.datasets) & set(p.pretrain.sources)
    if both:
        raise MerError(f"params.yaml: {min(both)} stands in datasets and in pretrain.sources; pretraining on the "
                       "subjects that are tested is a leak, expected different datasets")
    if p.selection[0] == "oracle":
        raise MerError("params.yaml: selection[0] = 'oracle'; the first selection is the headline and the oracle, "
                       "which looks at the test subject, may only stand beside it; expected last or inner")
    if p.train.eval_every == 0 and {"oracle", "inner"} & set(p.selection):
        raise MerError(f"params.yaml: train.eval_every = 0; selection = {list(p.selection)} needs evaluations "
                       "during training, expected a number of steps > 0")
    for name, section in (("pretrain", p.pretrain), ("train", p.train)):
        if (section.steps is None) == (section.epochs is None):
            raise MerError(f"params.yaml: {name}.steps = {_word(section.steps)} and {name}.epochs = "
                           f"{_word(section.epochs)}, with what profiles.{p.model}.{p.profile} fills in; expected one "
                           "of the two, the other null")
        if section.crop > p.align.size:
            raise MerError(f"params.yaml: {name}.crop = {section.crop}; expected at most align.size = {p.align.size}")
    for name, config in CONFIGS.items():
        for problem in config.validate(getattr(p, name)):
            raise MerError(f"params.yaml: {problem}")
    side = getattr(CONFIGS[p.model], "SIZE", None)
    for name, section in (("pretrain", p.pretrain), ("train", p.train)):
        if side is not None and section.crop != side:
            raise MerError(f"params.yaml: {name}.crop = {section.crop}; expected {side}, the side of the input of "
                           f"model = {p.model}")
    if "mer" not in getattr(getattr(p, p.model), "tasks", ("mer",)) and p.selection != ("last",):
        raise MerError(f"params.yaml: selection = {list(p.selection)}; expected [last], because without the task "
                       "`mer` there are no class predictions to select by")
    for problem in of_model(p, "problems"):
        raise MerError(f"params.yaml: {problem}")
    if p.protocol in ("composite", "cross_dataset") and len(p.datasets) < 2:
        raise MerError(f"params.yaml: protocol = {p.protocol!r} with datasets = {list(p.datasets)}; expected two "
                       "datasets or more")
