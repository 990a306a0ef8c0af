"""Knobs: fields of dataclasses with their ranges and choices, and the mappings of YAML files that are checked by them.

Every error names the key, the value, and what was expected.
"""

import dataclasses
import difflib
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

from mer.base.errors import MerError


def knob(low: float | None = None, high: float | None = None, choices: tuple | None = None, empty: bool = True,
         default: object = dataclasses.MISSING):
    """A dataclass field with its allowed range, both ends included, or its choices; lists: of each item.

    `default`: of a key that params.yaml need not have.
    """
    return field(default=default, metadata={"low": low, "high": high, "choices": choices, "empty": empty})


@dataclass(frozen=True)
class Parallel:
    workers: int = knob(0, 4096)
    backend: str = knob(choices=("loky", "dask"))


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
            raise MerError(f"{path}: {key} = {word!r}; expected one of {', '.join(map(str, known))}"
                           f"{nearest(str(word), known)}")
        block = block[word]
    own = {key: raw[key] for key in kinds if key in raw}
    missing = next((key for key in kinds if key not in raw), None)
    if missing:
        raise MerError(f"{path}: key `{missing}` is missing; expected a section")
    filled = fill(own, {key: value for key, value in block.items() if key in own}, f"profiles.{model}.{name}")
    return types.SimpleNamespace(**{key: build(kind, filled[key], f"{key}.") for key, kind in kinds.items()})


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


def fill(section: dict, defaults: dict, where: str) -> dict:
    """`section` with its nulls replaced by the profile's values; a profile key that no section has is refused."""
    filled = dict(section)
    for key, value in (defaults or {}).items():
        if key not in section:
            raise MerError(f"params.yaml: {where}.{key} fits no key of params.yaml{nearest(key, section)}")
        if isinstance(value, dict):
            if not isinstance(section[key], dict):
                raise MerError(f"params.yaml: {key} = {section[key]!r}; expected a section with keys")
            filled[key] = fill(section[key], value, f"{where}.{key}")
        elif section[key] is None:
            filled[key] = value
    return filled


def build(kind: type, values: object, where: str):
    """An instance of the dataclass `kind` from a mapping, none unknown, none absent that has no default."""
    if not isinstance(values, dict):
        raise MerError(f"params.yaml: {where[:-1]} = {values!r}; expected a section with keys")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in fields:
            raise MerError(f"params.yaml: unknown key `{where}{key}`{nearest(str(key), fields)}")
    built = {}
    for name, f in fields.items():
        if name not in values and f.default is not dataclasses.MISSING:
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


def _value(value: object, hint: object, limits: dict, key: str):
    near = nearest(value, limits["choices"]) if limits.get("choices") and isinstance(value, str) else ""
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


def check_value(kind: type, name: str, text: str, key: str):
    """The value that `text`, as typed after -S, gives the field `name` of a section, checked as by `build`."""
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


def nearest(word: str, known: typing.Iterable) -> str:
    near = difflib.get_close_matches(word, [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else ""


def flatten(parameters: dict, prefix: str = "") -> dict[str, object]:
    """{'mol': {'fcc': 'fcc'}} -> {'mol.fcc': 'fcc'}."""
    flat: dict[str, object] = {}
    for key, value in parameters.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
