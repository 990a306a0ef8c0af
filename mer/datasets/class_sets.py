"""Label sets are data: which raw labels make which class, which clips a set leaves out, and how many there should be.

`classes.yaml` beside this file holds those of the known releases; a dataset of one's own may have a file of the same
form (the body of one dataset) in its raw folder. A set is chosen by name (`classes: 5`), because the papers disagree on
what "3 classes" means.
"""

import difflib
import functools
from dataclasses import dataclass, field
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import Clip

FIRM = ("counts", "total", "subjects")


@dataclass(frozen=True)
class Expected:
    """Published counts of one set on one version of a release, per class or in total; None where none is published.

    A difference in what `firm` names ('counts', 'total', 'subjects') stops the run; the rest is second-hand or derived,
    a difference is shown only.
    """

    counts: tuple[int, ...] | None
    total: int | None
    subjects: int | None
    firm: tuple[str, ...] = FIRM


@dataclass(frozen=True)
class LabelSet:
    """`names` are the classes, in the order of their indices; `map` leads from lower-case raw labels to names."""

    dataset: str
    name: str
    names: tuple[str, ...]
    map: dict[str, str]
    source: str = ""
    note: str = ""
    expected: dict[str, Expected] = field(default_factory=dict)  # by version of the release
    exclude: dict[str, dict[str, str]] = field(default_factory=dict)  # version -> clip_id -> reason


@dataclass(frozen=True)
class Labels:
    """All label sets of a dataset and its vocabulary (empty: any word is taken)."""

    vocabulary: tuple[str, ...]
    sets: dict[str, LabelSet]


def label_set(dataset: str, name: str, index_root: str | Path = "data/index") -> LabelSet:
    """The label set `name` of a dataset.

    Sets of known releases come from classes.yaml, those of one's own datasets from the summary that `index` wrote.
    Raises MerError for an unknown name, listing those there are.
    """
    known = known_labels()
    sets = known[dataset].sets if dataset in known else _sets_of_index(dataset, Path(index_root))
    if name not in sets:
        nearest = difflib.get_close_matches(name, sets, 1)
        raise MerError(f"classes: dataset {dataset} has no label set '{name}'; it has {', '.join(sets)}"
                       + (f" (did you mean {nearest[0]}?)" if nearest else ""))
    return sets[name]


def class_index(clip: Clip, labels: LabelSet) -> int | None:
    """The clip's class as an index into `labels.names`; None when the set leaves the clip out."""
    if clip.clip_id in labels.exclude.get(clip.release, {}):
        return None
    name = labels.map.get(clip.label_raw.lower())
    return None if name is None else labels.names.index(name)


@functools.cache
def known_labels() -> dict[str, Labels]:
    """Label sets of every known release, by dataset."""
    path = Path(__file__).with_name("classes.yaml")
    return {dataset: parse_labels(dataset, body, path) for dataset, body in _load_yaml(path).items()}


def own_labels(dataset: str, raw_root: Path, raw_labels: set[str]) -> Labels:
    """Label sets of one's own dataset: `classes.yaml` in its raw folder, or a set 'all' of all labels, sorted."""
    path = raw_root / "classes.yaml"
    if path.is_file():
        return parse_labels(dataset, _load_yaml(path), path)
    names = tuple(sorted({label.lower() for label in raw_labels}))
    return Labels((), {"all": LabelSet(dataset, "all", names, {name: name for name in names}, "every label there is")})


def parse_labels(dataset: str, body: object, path: Path) -> Labels:
    """Check and build the label sets of one dataset from YAML. Raises MerError naming file, dataset, set and key."""
    _keys(body, {"labels", "sets"}, {"sets"}, f"{path}: {dataset}")
    sets = body["sets"]
    if not isinstance(sets, dict) or not sets:
        raise MerError(f"{path}: {dataset}: 'sets' must map names of label sets to their classes")
    vocabulary = tuple(str(word).lower() for word in body.get("labels", ()))
    parsed = {str(name): _parse_set(dataset, str(name), body, vocabulary, path) for name, body in sets.items()}
    return Labels(vocabulary, parsed)


def _parse_set(dataset: str, name: str, body: object, vocabulary: tuple[str, ...], path: Path) -> LabelSet:
    where = f"{path}: {dataset}: set '{name}'"
    _keys(body, {"classes", "source", "note", "expected", "exclude"}, {"classes"}, where)
    classes = body["classes"]
    if isinstance(classes, list):
        classes = {word: [word] for word in classes}
    if not isinstance(classes, dict) or len(classes) < 2 or not all(isinstance(w, list) for w in classes.values()):
        raise MerError(f"{where}: 'classes' must list two labels or more, or map classes to lists of labels")
    names = tuple(str(key) for key in classes)
    mapping: dict[str, str] = {}
    for key, words in classes.items():
        for word in (str(word).lower() for word in words):
            if word in mapping:
                raise MerError(f"{where}: label '{word}' stands in two classes, '{mapping[word]}' and '{key}'")
            if vocabulary and word not in vocabulary:
                raise MerError(f"{where}: '{word}' is not one of the labels {', '.join(vocabulary)}")
            mapping[word] = str(key)
    expected = {str(release): _parse_expected(value, names, f"{where}: expected {release}")
                for release, value in body.get("expected", {}).items()}
    exclude = {str(release): {str(clip): str(why) for clip, why in clips.items()}
               for release, clips in body.get("exclude", {}).items()}
    return LabelSet(dataset, name, names, mapping, body.get("source", ""), body.get("note", ""), expected, exclude)


def _parse_expected(body: object, names: tuple[str, ...], where: str) -> Expected:
    _keys(body, {"counts", "total", "subjects", "firm"}, set(), where)
    counts = body.get("counts")
    if counts is not None and (not isinstance(counts, list) or len(counts) != len(names)):
        raise MerError(f"{where}: 'counts' must list {len(names)} numbers, one a class")
    total = body.get("total") if counts is None else sum(counts)
    firm = tuple(body.get("firm", FIRM))
    if not set(firm) <= set(FIRM):
        raise MerError(f"{where}: 'firm' is {list(firm)}, expected some of {', '.join(FIRM)}")
    return Expected(None if counts is None else tuple(counts), total, body.get("subjects"), firm)


def _keys(body: object, allowed: set[str], required: set[str], where: str) -> None:
    if not isinstance(body, dict):
        raise MerError(f"{where}: expected keys {', '.join(sorted(allowed))}, found {type(body).__name__}")
    wrong = [str(key) for key in body if key not in allowed]
    missing = sorted(required - set(body))
    if wrong or missing:
        raise MerError(f"{where}: {f'unknown key {wrong[0]!r}' if wrong else f'key {missing[0]!r} is missing'}; "
                       f"the keys are {', '.join(sorted(allowed))}")


def _load_yaml(path: Path) -> dict:
    import yaml  # here, so that what imports this module for class_index needs no yaml

    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MerError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(body, dict):
        raise MerError(f"{path}: expected a mapping, found {type(body).__name__}")
    return body


def _sets_of_index(dataset: str, index_root: Path) -> dict[str, LabelSet]:
    from mer.base.store import read_json  # here, so that class_index needs no h5py

    summary = read_json(index_root / dataset / "summary.json")
    summary = summary.get("index", summary)  # a label store carries the index's summary on
    return {name: LabelSet(dataset, name, tuple(entry["classes"]), entry["map"], entry["source"], entry["note"])
            for name, entry in summary["sets"].items()}
