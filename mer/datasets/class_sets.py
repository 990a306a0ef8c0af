"""Label sets are data: which raw labels make which class, which clips a set leaves out, and how many there should be.

`readers/<reader>.yaml` beside each reader holds those of its datasets, by name; a dataset of one's own may have a file
of the same form (the body of one dataset), `classes.yaml`, in its raw folder. A set is chosen by name (`classes: 5`),
because the papers disagree on what "3 classes" means. Per dataset:

    from, reads, clips: a release's row in data/README.md, see table.py; not in a dataset of one's own
    labels: every word its tables use, in lower case (another word stops the run, so that no clip vanishes silently)
    sets:   name -> classes: list of labels, or class -> list of labels, in the order of the class indices
                    expected: version of the release -> counts (in the order of the classes) or total, subjects;
                              firm: which of the three stop the run when they differ (default all; the others are
                              second-hand or derived, a difference is shown only)
                    exclude: version -> clip_id -> reason
                    column: of clips.csv, whose words are the labels (default label_raw, or objective)
                    source: who states it; note: how it differs from its neighbours

The classes of 3 and 4 class sets have one order everywhere, that of MEGC2019: negative, positive, surprise, others.
"""

import difflib
import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mer.base.errors import MerError
from mer.base.shown import shown
from mer.datasets import releases
from mer.datasets.clips import Clip

FACTS = ("from", "reads", "clips")
FIRM = ("counts", "total", "subjects")
COLUMNS = ("label_raw", "objective")


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
    """`names` are the classes, in the order of their indices; `map` leads from lower-case raw labels to names.

    The raw labels are those of the clips' `column`.
    """

    dataset: str
    name: str
    names: tuple[str, ...]
    map: dict[str, str]
    source: str = ""
    note: str = ""
    expected: dict[str, Expected] = field(default_factory=dict)  # by version of the release
    exclude: dict[str, dict[str, str]] = field(default_factory=dict)  # version -> clip_id -> reason
    column: str = COLUMNS[0]

    def word(self, clip: Clip) -> str:
        """What the release says of a clip, in lower case."""
        return str(getattr(clip, self.column)).lower()


@dataclass(frozen=True)
class Labels:
    """All label sets of a dataset, its vocabulary (empty: any word is taken), and the facts of its row in the table."""

    vocabulary: tuple[str, ...]
    sets: dict[str, LabelSet]
    facts: dict[str, str] = field(default_factory=dict)


def label_set(dataset: str, name: str, index_root: str | Path | None = None) -> LabelSet:
    """The label set `name` of a dataset, from the summary that `index` wrote or that a label store carries on.

    Without `index_root`, the folder of that store, it is what a release's reader has beside it, whether indexed or not,
    and for a dataset of one's own that of data/index. Raises MerError for an unknown name, listing those there are.
    """
    labels = released(dataset) if index_root is None else None
    sets = labels.sets if labels else _sets_of_index(dataset, Path(index_root or "data/index"))
    if name not in sets:
        if index_root is not None and name in getattr(released(dataset), "sets", ()):
            raise MerError(f"classes: label set '{name}' of dataset {dataset} is of a column that its annotation as it "
                           "was indexed does not have; put the table that has it beside the others, see data/README.md")
        nearest = difflib.get_close_matches(name, sets, 1)
        raise MerError(f"classes: dataset {dataset} has no label set '{name}'; it has {', '.join(sets)}"
                       + (f" (did you mean {nearest[0]}?)" if nearest else ""))
    return sets[name]


def class_index(clip: Clip, labels: LabelSet) -> int | None:
    """The clip's class as an index into `labels.names`; None when the set leaves the clip out."""
    if clip.clip_id in labels.exclude.get(clip.release, {}):
        return None
    name = labels.map.get(labels.word(clip))
    return None if name is None else labels.names.index(name)


def known_labels() -> dict[str, Labels]:
    """Label sets of every known release, by dataset."""
    return {dataset: labels for dataset in releases.known() if (labels := released(dataset))}


@functools.cache
def released(dataset: str) -> Labels | None:
    """What stands of a known release beside its reader, None for a dataset of one's own."""
    if dataset not in releases.known():
        return None
    path = releases.READERS / f"{releases.of(dataset).reader}.yaml"
    body = _load_yaml(path).get(dataset)
    if not isinstance(body, dict):
        raise MerError(f"{path}: key `{dataset}` is missing; expected its labels and sets")
    facts = {key: str(body[key]) for key in FACTS if key in body}
    labels = parse_labels(dataset, {key: value for key, value in body.items() if key not in FACTS}, path)
    return replace(labels, facts=facts)


def own_labels(dataset: str, raw_root: Path, raw_labels: set[str]) -> Labels:
    """Label sets of one's own dataset: `classes.yaml` in its raw folder, or a set 'all' of all labels, sorted."""
    path = raw_root / "classes.yaml"
    if path.is_file():
        return parse_labels(dataset, _load_yaml(path), path)
    names = tuple(sorted({label.lower() for label in raw_labels}))
    return Labels((), {"all": LabelSet(dataset, "all", names, {name: name for name in names}, "every label there is")})


def parse_labels(dataset: str, body: Any, path: Path) -> Labels:
    """Check and build the label sets of one dataset from YAML. Raises MerError naming file, dataset, set and key."""
    _keys(body, {"labels", "sets"}, {"sets"}, f"{path}: {dataset}")
    sets = body["sets"]
    if not isinstance(sets, dict) or not sets:
        raise MerError(f"{path}: {dataset}: 'sets' must map names of label sets to their classes")
    vocabulary = tuple(word.lower() for word in _words(body.get("labels", []), f"{path}: {dataset}: 'labels'"))
    parsed = {str(name): _parse_set(dataset, str(name), body, vocabulary, path) for name, body in sets.items()}
    return Labels(vocabulary, parsed)


def _parse_set(dataset: str, name: str, body: Any, vocabulary: tuple[str, ...], path: Path) -> LabelSet:
    where = f"{path}: {dataset}: set '{name}'"
    _keys(body, {"classes", "source", "note", "expected", "exclude", "column"}, {"classes"}, where)
    classes, column = body["classes"], body.get("column", COLUMNS[0])
    if not isinstance(column, str) or column not in COLUMNS:
        raise MerError(f"{where}: 'column' is {shown(column)}, expected one of {', '.join(COLUMNS)}")
    vocabulary = vocabulary if column == COLUMNS[0] else ()
    if isinstance(classes, list):
        classes = {word: [word] for word in _words(classes, f"{where}: 'classes'")}
    if not isinstance(classes, dict) or len(classes) < 2 or not all(isinstance(w, list) for w in classes.values()):
        raise MerError(f"{where}: 'classes' must list two labels or more, or map classes to lists of labels")
    names = tuple(str(key) for key in classes)
    mapping: dict[str, str] = {}
    for key, words in classes.items():
        for word in (word.lower() for word in _words(words, f"{where}: class '{key}'")):
            if word in mapping:
                raise MerError(f"{where}: label '{word}' stands in two classes, '{mapping[word]}' and '{key}'")
            if vocabulary and word not in vocabulary:
                raise MerError(f"{where}: '{word}' is not one of the labels {', '.join(vocabulary)}")
            mapping[word] = str(key)
    expected = {str(release): _parse_expected(value, names, f"{where}: expected {release}")
                for release, value in _mapping(body, "expected", where).items()}
    left_out = _mapping(body, "exclude", where)
    exclude = {str(release): {str(clip): str(why) for clip, why in _mapping(left_out, release, f"{where}: exclude"
                                                                            ).items()} for release in left_out}
    source, note = (str(body.get(key) or "") for key in ("source", "note"))
    return LabelSet(dataset, name, names, mapping, source, note, expected, exclude, column)


def _mapping(body: dict, key: object, where: str) -> dict:
    """The value of a key, {} where there is none. MerError where it is no mapping."""
    value = body.get(key, {})
    if not isinstance(value, dict):
        raise MerError(f"{where}: '{key}' is {shown(value)}, expected version: ... (of your own dataset: plain: ...)")
    return value


def _words(value: Any, where: str) -> list[str]:
    """A list of words, numbers among them as they are written. MerError where it is none."""
    if not isinstance(value, list) or not all(isinstance(word, str | int | float) and str(word).strip()
                                              for word in value):
        raise MerError(f"{where} is {shown(value)}, expected a list of words")
    return list(map(str, value))


def _count(value: Any, key: str, where: str) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**9):
        raise MerError(f"{where}: '{key}' holds {shown(value)}, expected a number of clips or subjects")
    return value


def _parse_expected(body: Any, names: tuple[str, ...], where: str) -> Expected:
    _keys(body, {"counts", "total", "subjects", "firm"}, set(), where)
    counts = body.get("counts")
    if counts is not None and (not isinstance(counts, list) or len(counts) != len(names)):
        raise MerError(f"{where}: 'counts' must list {len(names)} numbers, one a class")
    counts = None if counts is None else tuple(_count(count, "counts", where) or 0 for count in counts)
    total = _count(body.get("total"), "total", where) if counts is None else sum(counts)
    firm = tuple(_words(body.get("firm", list(FIRM)), f"{where}: 'firm'"))
    if not set(firm) <= set(FIRM):
        raise MerError(f"{where}: 'firm' is {list(firm)}, expected some of {', '.join(FIRM)}")
    return Expected(counts, total, _count(body.get("subjects"), "subjects", where), firm)


def _keys(body: object, allowed: set[str], required: set[str], where: str) -> None:
    if not isinstance(body, dict):
        raise MerError(f"{where}: expected keys {', '.join(sorted(allowed))}, found {type(body).__name__}")
    wrong = [str(key) for key in body if key not in allowed]
    missing = sorted(required - set(body))
    if wrong or missing:
        raise MerError(f"{where}: {f'unknown key {wrong[0]!r}' if wrong else f'key {missing[0]!r} is missing'}; "
                       f"the keys are {', '.join(sorted(allowed))}")


def _load_yaml(path: Path) -> dict:
    from mer.base.knobs import read_yaml  # here, so that what imports this module for class_index needs no yaml

    return read_yaml(path)


def _sets_of_index(dataset: str, index_root: Path) -> dict[str, LabelSet]:
    from mer.base.store import read_json  # here, so that class_index needs no h5py

    summary = read_json(index_root / dataset / "summary.json")
    summary = summary.get("index", summary)  # a label store carries the index's summary on
    sets = {}
    for name, entry in summary["sets"].items():
        dropped = {row["clip_id"]: row["reason"] for row in entry["excluded_by_set"]}
        sets[name] = LabelSet(dataset, name, tuple(entry["classes"]), entry["map"], entry["source"], entry["note"],
                              exclude={summary["release"]: dropped}, column=entry.get("column", COLUMNS[0]))
    return sets
