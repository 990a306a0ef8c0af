"""params.yaml -> frozen dataclasses, checked whole in the first second of every stage.

Every knob stands in params.yaml. A value of `null` is filled from `profiles.<model>.<profile>`, so that `model: fdp` or
`profile: paper` changes all budgets at once and `-S train.steps=100` still overrides a single one. Every error names
the key, the value, and what was expected.
"""

import dataclasses
import difflib
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

from mer.errors import MerError
from mer.models import fdp_config, ma2mi_config, mol_config
from mer.models.fdp_config import FdpConfig
from mer.models.ma2mi_config import Ma2miConfig
from mer.models.mol_config import MolConfig

CONFIGS = {"mol": mol_config, "fdp": fdp_config, "ma2mi": ma2mi_config}


def knob(low: float | None = None, high: float | None = None, choices: tuple | None = None, empty: bool = True):
    """A dataclass field with its allowed range, both ends included, or its choices; lists: of each item."""
    return field(metadata={"low": low, "high": high, "choices": choices, "empty": empty})


@dataclass(frozen=True)
class Parallel:
    workers: int = knob(0, 4096)
    backend: str = knob(choices=("loky", "dask"))


@dataclass(frozen=True)
class Synthetic:
    seed: int = knob(0, 2**31)
    width: int = knob(160, 1920)
    height: int = knob(200, 1920)
    jpeg_quality: int = knob(50, 100)
    distractors: float = knob(0, 5)
    head_motion: float = knob(0, 10)
    noise: float = knob(0, 30)
    au_jitter: float = knob(0, 3)
    subjects: int = knob(2, 999)
    classes: tuple[str, ...] = knob(choices=("happiness", "disgust", "surprise", "repression", "sadness"), empty=False)
    clips_per_class: int = knob(1, 999)
    frames: int = knob(3, 999)
    fps: float = knob(1, 10000)
    amplitude: float = knob(0, 5)
    macro_subjects: int = knob(0, 999)
    macro_clips_per_class: int = knob(1, 999)
    macro_frames: int = knob(3, 999)
    macro_fps: float = knob(1, 10000)
    macro_amplitude: float = knob(0, 5)


@dataclass(frozen=True)
class Index:
    accept_counts: bool
    images: str = knob(choices=("raw", "cropped"))
    casme2: str = knob(choices=("auto", "2014", "2019"))
    smic: str = knob(choices=("hs", "vis", "nir", "hs_long", "vis_long", "nir_long"))
    casme3: str = knob(choices=("auto", "a_v1", "a_v2", "c"))
    affwild2: str = knob(choices=("auto", "7", "8"))


@dataclass(frozen=True)
class Landmarks:
    model_path: str | None
    upsample_retry: int = knob(0, 3)


@dataclass(frozen=True)
class Align:
    size: int = knob(32, 512)
    enlarge: float = knob(1, 6)
    border: int = knob(0, 255)
    per_frame: bool = knob()


@dataclass(frozen=True)
class Sampling:
    t: int = knob(2, 64)
    span: str = knob(choices=("clip", "onset_offset", "onset_apex"))
    sets: int = knob(1, 64)
    seed: int = knob(0, 2**31)


@dataclass(frozen=True)
class Flow:
    pairs: int = knob(1, 64)


@dataclass(frozen=True)
class Dynamic:
    coeffs: str = knob(choices=("exact", "simple"))


@dataclass(frozen=True)
class Training:
    steps: int = knob(0, 10**7)
    batch: int = knob(1, 4096)
    crop: int = knob(16, 512)
    flip: bool = knob()
    schedule: str = knob(choices=("constant", "one_cycle", "exponential"))
    weight_decay: float = knob(0, 10)
    clip_norm: float = knob(0, 1e6)
    flow_pairs: int = knob(1, 64)
    threads: int = knob(1, 256)
    checkpoint_every: int = knob(1, 10**6)


@dataclass(frozen=True)
class Pretrain(Training):
    sources: tuple[str, ...] = knob()
    classes: str = knob()
    head: str = knob(choices=("drop", "match"))


@dataclass(frozen=True)
class Train(Training):
    device: str = knob(choices=("auto", "cpu", "cuda"))
    precision: str = knob(choices=("fp32", "tf32", "bf16"))
    workers: int = knob(0, 4096)
    eval_every: int = knob(0, 10**6)
    inner_subjects: int = knob(1, 999)
    keep_checkpoints: bool = knob()
    portable: bool = knob()


@dataclass(frozen=True)
class KFold:
    k: int = knob(2, 999)
    seed: int = knob(0, 2**31)


@dataclass(frozen=True)
class Evaluate:
    bootstrap: int = knob(100, 10**6)
    permutations: int = knob(100, 10**6)
    pictures: int = knob(0, 100)
    seed: int = knob(0, 2**31)


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml; the right-hand comments there say what each key means."""

    model: str = knob(choices=tuple(CONFIGS))
    datasets: tuple[str, ...] = knob(empty=False)
    classes: str = knob()
    protocol: str = knob(choices=("loso", "composite", "cross_dataset", "kfold", "official"))
    seeds: tuple[int, ...] = knob(0, 2**31, empty=False)
    profile: str = knob()
    shuffle_labels: bool = knob()
    selection: tuple[str, ...] = knob(choices=("last", "inner", "oracle"), empty=False)
    lambda_f: float = knob(0, 1e6)
    lambda_m: float = knob(0, 1e6)
    lambda_d: float = knob(0, 1e6)
    lambda_r: float = knob(0, 1e6)
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
    mol: MolConfig
    fdp: FdpConfig
    ma2mi: Ma2miConfig
    pretrain: Pretrain
    train: Train
    evaluate: Evaluate


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    Raises:
        MerError: one line that names the key, the value found and what was expected.
    """
    return resolve(read_yaml(Path(path)), path)


def resolve(raw: dict, path: str | Path = "params.yaml") -> Params:
    """The checked parameters that the content `raw` of a params.yaml stands for, nulls filled from its profiles.

    Raises:
        MerError: as `load`; `path` is the file that it names.
    """
    raw = dict(raw)
    profiles = raw.pop("profiles", None)
    model, name = raw.get("model"), raw.get("profile")
    if model not in CONFIGS:
        raise MerError(f"{path}: model = {model!r}; expected one of {', '.join(CONFIGS)}"
                       f"{_nearest(str(model), CONFIGS)}")
    for each in CONFIGS:
        if not isinstance(profiles, dict) or not isinstance(profiles.get(each), dict) or "paper" not in profiles[each]:
            raise MerError(f"{path}: key `profiles.{each}.paper` is missing; expected a block per profile")
    if name not in profiles[model]:
        raise MerError(f"{path}: profile = {name!r}; expected one of {', '.join(map(str, profiles[model]))}"
                       f"{_nearest(str(name), profiles[model])}")
    # a network's own section and loss weights come from its own profile, all others from that of the chosen model
    filled = _fill(raw, profiles[model][name], f"profiles.{model}.{name}")
    for each in CONFIGS:
        found = name if name in profiles[each] else "paper"  # not every model has a profile `released`
        own = {key: value for key, value in profiles[each][found].items() if key == each or key.startswith("lambda_")}
        filled |= _fill({key: raw.get(key) for key in own}, own, f"profiles.{each}.{found}")
    params = build(Params, _shared(filled), "")
    _check_sense(params)
    return params


def _shared(values: dict) -> dict:
    """`values` with the knobs that stand in one place and are used in two: the frames of a clip, FDP's coefficients."""
    values = dict(values)
    for section, key, source in (("mol", "t", "sampling"), ("fdp", "t", "sampling"), ("fdp", "coeffs", "dynamic")):
        own, other = values.get(section), values.get(source)
        if isinstance(own, dict) and isinstance(other, dict) and key not in own:
            values[section] = {**own, key: other.get(key)}
    return values


def _loader(path: Path | str) -> type:
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML reads YAML 1.1, where 1e-05 is a string and off is false; DVC writes YAML 1.2, which this takes."""

        def construct_mapping(self, node, deep=False):
            keys = [self.construct_object(key) for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                raise MerError(f"{path}: key `{twice}` stands twice (line {node.start_mark.line + 1} and below)")
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(
        r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
        list("-+0123456789."))
    for letter in "yYnNoO":  # of yes, no, on, off
        Loader.yaml_implicit_resolvers[letter] = [
            (tag, rule) for tag, rule in Loader.yaml_implicit_resolvers[letter] if tag != "tag:yaml.org,2002:bool"]
    return Loader


def read_yaml(path: Path) -> dict:
    import yaml

    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _loader(path))
    except FileNotFoundError:
        raise MerError(f"{path}: no such file; run the command in the project's root") from None
    except yaml.YAMLError as error:
        raise MerError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise MerError(f"{path}: expected keys and values, found {type(raw).__name__}")
    return raw


def _fill(section: dict, defaults: dict, where: str) -> dict:
    """`section` with its nulls replaced by the profile's values; a profile key that no section has is refused."""
    filled = dict(section)
    for key, value in (defaults or {}).items():
        if key not in section:
            raise MerError(f"params.yaml: {where}.{key} fits no key of params.yaml{_nearest(key, section)}")
        if isinstance(value, dict):
            if not isinstance(section[key], dict):
                raise MerError(f"params.yaml: {key} = {section[key]!r}; expected a section with keys")
            filled[key] = _fill(section[key], value, f"{where}.{key}")
        elif section[key] is None:
            filled[key] = value
    return filled


def build(kind: type, values: object, where: str):
    """An instance of the dataclass `kind` from a mapping, every key present, none unknown, each of its type."""
    if not isinstance(values, dict):
        raise MerError(f"params.yaml: {where[:-1]} = {values!r}; expected a section with keys")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in fields:
            raise MerError(f"params.yaml: unknown key `{where}{key}`{_nearest(str(key), fields)}")
    built = {}
    for name, f in fields.items():
        if name not in values:
            wanted = _expected(hints[name], f.metadata)
            raise MerError(f"params.yaml: key `{where}{name}` is missing; expected {wanted}")
        if dataclasses.is_dataclass(hints[name]):
            built[name] = build(hints[name], values[name], f"{where}{name}.")
        else:
            built[name] = _value(values[name], hints[name], f.metadata, f"{where}{name}")
    try:
        return kind(**built)
    except ValueError as error:  # a dataclass's own check of a combination
        raise MerError(f"params.yaml: {where[:-1]}: {error}") from None


def _value(value: object, hint: object, limits: dict, key: str):
    near = _nearest(value, limits["choices"]) if limits.get("choices") and isinstance(value, str) else ""
    refuse = MerError(f"params.yaml: {key} = {value!r}; expected {_expected(hint, limits)}{near}")
    if isinstance(hint, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list) or (not value and limits.get("empty") is False) or (
                len(set(map(str, value))) < len(value) and not limits.get("repeat")):
            raise refuse
        inner = typing.get_args(hint)[0]
        return tuple(_value(item, inner, limits, f"{key}[{i}]") for i, item in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    # -S classes=3 is written by DVC as the number 3, and label sets are names
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise refuse
    low, high, choices = (limits.get(name) for name in ("low", "high", "choices"))
    if choices is not None and value not in choices:
        raise refuse
    if low is not None and not low <= value <= high:
        raise refuse
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise refuse
    return value


def needs_latents(p: Params) -> bool:
    """Whether the run reads data/latents: MA2MI's reconstruction, unless in pixel space."""
    used = p.pretrain.sources and p.pretrain.steps or p.ma2mi.keep_reconstruction
    return bool(p.model == "ma2mi" and p.ma2mi.pretraining == "ma2mi" and p.ma2mi.autoencoder != "none" and used)


def check_value(kind: type, name: str, text: str, key: str):
    """The value that `text`, as typed after -S, gives the field `name` of a section, checked as in `load`."""
    import yaml

    f = next(f for f in dataclasses.fields(kind) if f.name == name)
    return _value(yaml.load(text, _loader("command line")), typing.get_type_hints(kind)[name], f.metadata, key)


def _expected(hint: object, limits: dict) -> str:
    optional = ""
    if isinstance(hint, types.UnionType):
        optional = " or null"
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    many = typing.get_origin(hint) is tuple
    if many:
        hint = typing.get_args(hint)[0]
    text = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}.get(hint, "a section")
    if limits.get("choices"):
        text = "one of " + ", ".join(map(str, limits["choices"]))
    elif limits.get("low") is not None:
        text += f" from {limits['low']:g} to {limits['high']:g}"
    if many:
        unlike = "" if limits.get("repeat") else " without repetition"
        text = f"a list{unlike}, each {text}" + (", not empty" if limits.get("empty") is False else "")
    return text + optional


def _nearest(word: str, known: typing.Iterable) -> str:
    near = difflib.get_close_matches(word, [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else ""


def _check_sense(p: Params) -> None:
    """Refuse combinations that cannot run, before any work is done."""
    from mer.datasets.labels import known_labels, label_set
    from mer.datasets.releases import check_name

    for name in p.datasets + p.pretrain.sources:
        check_name(name)
    for names, classes in ((p.datasets, p.classes), (p.pretrain.sources, p.pretrain.classes)):
        for name in names:
            if name in known_labels():  # the sets of one's own dataset are known once it is indexed
                label_set(name, classes)
    for micro, macro in (("mmew", "mmew_macro"), ("casme_sq", "casme_sq_macro")):
        if micro in p.datasets and macro in p.pretrain.sources:
            raise MerError(f"params.yaml: pretrain.sources = {list(p.pretrain.sources)} with datasets = "
                           f"{list(p.datasets)}; {macro} shows the subjects that are tested, which is a leak; expected "
                           "a release of other people")
    both = set(p.datasets) & set(p.pretrain.sources)
    if both:
        raise MerError(f"params.yaml: {min(both)} stands in datasets and in pretrain.sources; pretraining on the "
                       "subjects that are tested is a leak, expected different datasets")
    if p.selection[0] == "oracle":
        raise MerError("params.yaml: selection[0] = 'oracle'; the first selection is the headline and the oracle, "
                       "which looks at the test subject, may only stand beside it; expected last or inner")
    if "oracle" in p.selection or "inner" in p.selection:
        if p.train.eval_every == 0:
            raise MerError(f"params.yaml: train.eval_every = 0; selection = {list(p.selection)} needs evaluations "
                           "during training, expected a number of steps > 0")
    for name, section in (("pretrain", p.pretrain), ("train", p.train)):
        if section.crop > p.align.size:
            raise MerError(f"params.yaml: {name}.crop = {section.crop}; expected at most align.size = {p.align.size}")
    for name, config in CONFIGS.items():
        for problem in config.validate(getattr(p, name)):
            raise MerError(f"params.yaml: {problem}")
    side = {"mol": mol_config.SIZE, "fdp": fdp_config.SIZE}.get(p.model)
    for name, section in (("pretrain", p.pretrain), ("train", p.train)):
        if side is not None and section.crop != side:
            raise MerError(f"params.yaml: {name}.crop = {section.crop}; expected {side}, the side of the input of "
                           f"model = {p.model}")
    tasks = {"mol": p.mol.tasks, "fdp": p.fdp.tasks}.get(p.model, ("mer",))
    if "mer" not in tasks and p.selection != ("last",):
        raise MerError(f"params.yaml: selection = {list(p.selection)}; expected [last], because without the task "
                       "`mer` there are no class predictions to select by")
    if p.model == "ma2mi" and p.sampling.t != 2:
        raise MerError(f"params.yaml: sampling.t = {p.sampling.t}; expected 2 with model = ma2mi, which sees the onset "
                       "and the apex frame")
    if p.protocol in ("composite", "cross_dataset") and len(p.datasets) < 2:
        raise MerError(f"params.yaml: protocol = {p.protocol!r} with datasets = {list(p.datasets)}; expected two "
                       "datasets or more")
