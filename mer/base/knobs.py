"""Knobs: fields of dataclasses with their ranges and choices, and the mappings of YAML files that are checked by them.

Every error names the key, the value, and what was expected.
"""

import dataclasses
import difflib
import operator
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mer.base import reading
from mer.base.errors import MerError
from mer.base.shown import shown

BUDGET = ("steps", "epochs")  # two words for one thing: a section that says one of them means nothing by the other


def knob(low: float | None = None, high: float | None = None, *, above: float | None = None,
         below: float | None = None, choices: tuple | None = None, empty: bool = True, repeat: bool = False,
         length: int | None = None, note: str = "", default: object = dataclasses.MISSING, optional: bool = False):
    """A dataclass field with its allowed range or its choices; of a list: those of each item.

    Args:
        low, high: the ends, both included; above, below: ends that are left out.
        empty, repeat: whether a list may be empty, may hold a value twice; length: of a list, None = any.
        note: what a user who is refused should know too.
        default: for code; optional: params.yaml need not have the key, and the default holds.
    """
    return field(default=default, metadata={"low": low, "high": high, "above": above, "below": below, "note": note,
                                            "choices": choices, "empty": empty, "repeat": repeat, "length": length,
                                            "optional": optional})


@dataclass(frozen=True)
class Parallel:
    """Section `parallel`: processes (0: one per core), who runs them and where; no result depends on any of it."""

    workers: int = knob(0, 4096)
    backend: str = knob(choices=("loky", "dask"))
    cluster: str | None = knob(default=None, optional=True, note="local, slurm or tcp://host:port")
    devices: tuple[str, ...] = knob(repeat=True, default=(), optional=True, note="cpu, cuda:0, cuda:1 ...")

    def __post_init__(self) -> None:
        if self.cluster is not None and not re.fullmatch(r"local|slurm|(tcp|tls|ucx)://[^\s/]+:\d+", self.cluster):
            raise ValueError(f"cluster = {self.cluster!r}; expected null, local, slurm or tcp://host:port")
        if self.cluster is not None and self.backend != "dask":
            raise ValueError(f"cluster = {self.cluster!r} with backend = {self.backend!r}; expected backend = dask")
        wrong = [name for name in self.devices if not re.fullmatch(r"cpu|cuda:\d+", name)]
        if wrong:
            raise ValueError(f"devices = {list(self.devices)}; expected of cpu, cuda:0, cuda:1 ...")
        if len({name.split(":")[0] for name in self.devices}) > 1:
            raise ValueError(f"devices = {list(self.devices)}; expected all of one kind, whose bytes differ")

    @property
    def where(self) -> str:
        """`here`: processes of this machine; of dask `local`, `slurm` or the address of a scheduler."""
        if self.backend == "loky":
            return "here"
        return self.cluster or os.environ.get("DASK_SCHEDULER_ADDRESS") or "local"


HERE = Parallel(0, "loky")  # processes of this machine, one per core


def sections(path: str | Path = "params.yaml", **kinds: type) -> types.SimpleNamespace:
    """These sections of params.yaml alone, by their dataclasses, nulls filled from the run's profile.

    Raises:
        MerError: one line that names the key, the value found and what was expected. The rest of the file is not looked
            at: stages/check.py does.
    """
    raw = read_yaml(Path(path))
    profiles, model, name = raw.get("profiles"), raw.get("model"), raw.get("profile")
    block = profiles
    for key, word in (("model", model), ("profile", name)):
        if not isinstance(block, dict) or word not in block:
            known = list(block) if isinstance(block, dict) else []
            raise MerError(f"{path}: {key} = {shown(word)}; expected one of {', '.join(map(str, known))}"
                           f"{nearest(word, known)}")
        block = block[word]
    block = profile(profiles, model, name, path)
    own = {key: raw[key] for key in kinds if key in raw}
    missing = next((key for key in kinds if key not in raw), None)
    if missing:
        raise MerError(f"{path}: key `{missing}` is missing; expected a section")
    filled = fill(own, {key: value for key, value in block.items() if key in own}, f"profiles.{model}.{name}")
    return types.SimpleNamespace(**{key: build(kind, filled[key], f"{key}.") for key, kind in kinds.items()})


def profile(profiles: typing.Any, model: object, name: object, path: str | Path = "params.yaml") -> dict:
    """The values of `profiles.<model>.<name>`; with `like: paper` its sections hold only what differs from the paper's.

    It names each key of the paper's profile, {} for a section without a difference: DVC looks for them by name.

    Raises:
        MerError: `like` says something else, or such a key is missing.
    """
    found, base = profiles[model][name], profiles[model].get("paper")
    if not isinstance(found, dict):
        raise MerError(f"{path}: profiles.{model}.{name} = {shown(found)}; expected a section with keys")
    if "like" not in found:
        return found
    if found["like"] != "paper" or name == "paper" or not isinstance(base, dict):
        raise MerError(f"{path}: profiles.{model}.{name}.like = {shown(found['like'])}; expected paper, in a "
                       "profile of another name")
    missing = next((key for key in base if key not in found), None)
    if missing is not None:
        empty = " ({}: as the paper's)" if isinstance(base[missing], dict) else ""
        raise MerError(f"{path}: key `profiles.{model}.{name}.{missing}` is missing; a profile like paper names "
                       f"each of its keys{empty}")
    return {key: {**_unsaid(base[key], value), **value}
            if isinstance(base.get(key), dict) and isinstance(value, dict) else value
            for key, value in found.items() if key != "like"}


def _unsaid(defaults: dict, section: dict) -> dict:
    """`defaults` without BUDGET's words where `section` says one of them itself."""
    said = any(section.get(word) is not None for word in BUDGET)
    return {key: value for key, value in defaults.items() if not (said and key in BUDGET)}


def read_yaml(path: Path) -> dict:
    """The mapping that a YAML file holds.

    Raises:
        MerError: there is no such file, or as `parse_yaml`.
    """
    try:
        return parse_yaml(reading.text(path, reading.SETTINGS, "file of settings"), path)
    except FileNotFoundError:
        raise MerError(f"{path}: no such file; run the command in the project's root") from None


MERGE = "tag:yaml.org,2002:merge"  # the key `<<`
VALUES = 100_000  # in a file of settings, counted where they are named, so that names of names of names end


def parse_yaml(text: str, path: Path | str) -> dict:
    """The mapping that the text of a YAML file holds; errors name `path`."""
    raw = _parsed(text, path)
    if not isinstance(raw, dict):
        raise MerError(f"{path}: expected keys and values, found {type(raw).__name__}")
    return raw


def _parsed(text: str, path: Path | str) -> typing.Any:
    import yaml

    try:
        raw = yaml.load(text, _loader(path))
    except RecursionError:
        raise MerError(f"{path}: not valid YAML: its values are nested too deep") from None
    except (ValueError, TypeError, yaml.YAMLError) as error:  # ValueError: a number or a date that is none
        raise MerError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    _refuse_many(raw, path)
    return raw


def _refuse_many(raw: object, path: Path | str) -> None:
    count, level = 0, [raw]
    while level:
        count += len(level)
        if count > VALUES:
            raise MerError(f"{path}: holds more than {VALUES:,} values, or one that holds itself")
        level = [item for value in level if isinstance(value, dict | list)
                 for item in ([*value, *value.values()] if isinstance(value, dict) else value)]


def _loader(path: Path | str) -> type:
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML reads YAML 1.1, where 1e-05 is a string and off is false; DVC writes YAML 1.2, which this takes."""

        def construct_mapping(self, node, deep=False):
            seen = set()
            for key in (self.construct_object(key) for key, _ in node.value if key.tag != MERGE):
                if not isinstance(key, str | int | float | bool | None):
                    raise MerError(f"{path}: key `{shown(key)}` (line {node.start_mark.line + 1} and below); expected "
                                   "a word")
                if key in seen:
                    raise MerError(f"{path}: key `{key}` stands twice (line {node.start_mark.line + 1} and below)")
                seen.add(key)
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(
        r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
        list("-+0123456789."))
    for letter in "yYnNoO":  # of yes, no, on, off
        Loader.yaml_implicit_resolvers[letter] = [
            (tag, rule) for tag, rule in Loader.yaml_implicit_resolvers[letter] if tag != "tag:yaml.org,2002:bool"]
    return Loader


def fill(section: dict, defaults: dict, where: str) -> dict:
    """`section` with its nulls replaced by the profile's values; a profile key that no section has is refused.

    A section with steps or epochs of its own takes neither from the profile.
    """
    filled, unsaid = dict(section), _unsaid(defaults or {}, section)
    for key, value in (defaults or {}).items():
        if key not in section:
            raise MerError(f"params.yaml: {where}.{key} fits no key of params.yaml{nearest(key, section)}")
        if isinstance(value, dict):
            if not isinstance(section[key], dict):
                raise MerError(f"params.yaml: {key} = {shown(section[key])}; expected a section with keys")
            filled[key] = fill(section[key], value, f"{where}.{key}")
        elif section[key] is None and key in unsaid:
            filled[key] = value
    return filled


def build(kind: type, values: object, where: str):
    """An instance of the dataclass `kind` from a mapping, none unknown, none absent but optional ones."""
    if not isinstance(values, dict):
        raise MerError(f"params.yaml: {where[:-1]} = {shown(values)}; expected a section with keys")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in fields:
            raise MerError(f"params.yaml: unknown key `{where}{key}`{nearest(key, fields)}")
    built = {}
    for name, f in fields.items():
        if name not in values and f.metadata.get("optional"):
            continue
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


def problems(section: typing.Any, name: str) -> list[str]:
    """The fields of a section (a dataclass) outside of their knobs: a line each, with what is expected."""
    found, hints = [], typing.get_type_hints(type(section))
    for f in dataclasses.fields(section):
        value = getattr(section, f.name)
        try:
            _value(value, hints[f.name], f.metadata, f.name)
        except MerError:
            found.append(f"{name}.{f.name} = {shown(value)}: expected {_expected(hints[f.name], f.metadata)}")
    return found


def refuse(problems: list[str]) -> None:
    """Raise MerError with all of them in one line, if there are any."""
    if problems:
        raise MerError("; ".join(problems))


KEEPS = {"low": operator.ge, "high": operator.le, "above": operator.gt, "below": operator.lt}  # value, limit


def _value(value: typing.Any, hint: typing.Any, limits: Mapping, key: str):
    near = nearest(value, limits["choices"]) if limits.get("choices") and isinstance(value, str) else ""
    refuse = MerError(f"params.yaml: {key} = {shown(value)}; expected {_expected(hint, limits)}{near}")
    if isinstance(hint, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or (not value and limits.get("empty") is False) or (
                len(set(map(str, value))) < len(value) and not limits.get("repeat")) or (
                len(value) != (limits.get("length") or len(value))):
            raise refuse
        inner = typing.get_args(hint)[0]
        return tuple(_value(item, inner, limits, f"{key}[{i}]") for i, item in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > 2**53:
            raise refuse
        value = float(value)
    # -S classes=3 is written by DVC as the number 3, and label sets are names
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise refuse
    choices = limits.get("choices")
    if choices is not None and value not in choices:
        raise refuse
    if any(limits.get(name) is not None and not keeps(value, limits[name]) for name, keeps in KEEPS.items()):
        raise refuse
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise refuse
    return value


def check_value(kind: type, name: str, text: str, key: str):
    """The value that `text`, as typed after -S, gives the field `name` of a section, checked as by `build`."""
    f = next(f for f in dataclasses.fields(kind) if f.name == name)
    return _value(_parsed(text, "command line"), typing.get_type_hints(kind)[name], f.metadata, key)


def _expected(hint: typing.Any, limits: Mapping) -> str:
    optional = ""
    if isinstance(hint, types.UnionType):
        optional = " or null"
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    many = typing.get_origin(hint) is tuple
    if many:
        hint = typing.get_args(hint)[0]
    text = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}.get(hint, "a section")
    low, high, above, below = (limits.get(name) for name in KEEPS)
    if limits.get("choices"):
        text = "one of " + ", ".join(map(str, limits["choices"]))
    elif above is not None:
        text = text.replace("a ", "a positive ") if above == 0 else f"{text} above {above:g}"
    elif low is not None and (high, below) == (None, None):
        text += f" of at least {low:g}"
    elif low is not None:
        text += f" from {low:g} to " + (f"{high:g}" if below is None else f"below {below:g}")
    if many:
        unlike = "" if limits.get("repeat") else " without repetition"
        length = f" of {limits['length']}" if limits.get("length") else ""
        text = f"a list{length}{unlike}, each {text}" + (", not empty" if limits.get("empty") is False else "")
    return text + optional + (f"; {limits['note']}" if limits.get("note") else "")


def nearest(word: object, known: typing.Iterable) -> str:
    """The end of an error message: what of `known` was perhaps meant, or nothing."""
    names = {str(name).lower(): str(name) for name in known}
    typed = word if isinstance(word, str) else shown(word)
    near = difflib.get_close_matches(typed.lower(), names, n=1, cutoff=0.5)
    return f"; did you mean `{names[near[0]]}`?" if near else ""


def flatten(parameters: dict, prefix: str = "") -> dict[str, object]:
    """{'mol': {'fcc': 'fcc'}} -> {'mol.fcc': 'fcc'}."""
    flat: dict[str, object] = {}
    for key, value in parameters.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
