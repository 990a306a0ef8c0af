"""What each cell of the papers' tables demands of an experiment, and whether a run is that.

`mer/models/<model>/paper.yaml` holds every table: its columns (a metric and the parameters of the experiment it is
measured in), the published rows, and for the rows of the paper's own method the parameters that reproduce them
(`own`). The experiment of a cell is: the file's `defaults`, then the table's `base`, the group's, the column's and the
row's own parameters, each overriding the one before, null taking a demand back. `{any: [a, b]}` accepts each of these,
`{not: a}` all but a; a key `a + b` names two parameters that go together, its value is a list of two.

A run fills a cell when all of these parameters are the run's, and so are all of the file's `method`, in which no row
differs from another: a run that has other values there is a variant, and stands apart. What makes a run smaller but not
another method is the file's `budget`: it may differ, and the note says where.
"""

import difflib
from importlib import resources

from mer.base.errors import MerError
from mer.datasets.releases import is_synthetic
from mer.params import CONFIGS
from mer.runs.finished import Run

PAPERS = tuple(name for name in CONFIGS if resources.files("mer.models").joinpath(f"{name}/paper.yaml").is_file())
PAIR = " + "  # between parameters that go together


def paper(short: str) -> dict:
    """The YAML of a paper: keys paper, defaults, method, budget, tables.

    Raises:
        MerError: no such paper.
    """
    import yaml

    if short not in PAPERS:
        raise MerError(f"paper {short!r}; expected one of {', '.join(PAPERS)}")
    source = resources.files("mer.models").joinpath(f"{short}/paper.yaml")
    return yaml.safe_load(source.read_text(encoding="utf-8"))


def names() -> dict[str, str]:
    """{name of a table: its paper}, in the papers' order."""
    return {name: short for short in PAPERS for name in paper(short)["tables"]}


def known(name: str) -> str:
    """The name itself.

    Raises:
        MerError: no paper has such a table; with the nearest.
    """
    there = names()
    if name not in there:
        near = difflib.get_close_matches(name.lower(), there, 1, 0.4)
        raise MerError(f"table {name!r} is in none of the papers" + (f"; did you mean {near[0]}?" if near else "")
                       + f" There are {', '.join(there)}")
    return name


def label(spec: dict, row: dict) -> str:
    """What a row goes by outside of its table: its left columns, without where and of what kind it is."""
    return ", ".join(str(row[key]) for key in spec["stub"] if key in row and key not in ("venue", "type"))


def experiment(book: dict, spec: dict, group: dict, column: dict, row: dict) -> dict[str, object] | None:
    """What makes a cell's experiment this one; None for a row that is not the paper's own method."""
    if "own" not in row:
        return None
    return {key: value for key, value in _merged(book, spec, group, column, row).items() if value is not None}


def method(book: dict, spec: dict, group: dict, column: dict, row: dict) -> dict[str, object]:
    """What the paper's method is besides, for all rows alike but for those that name such a key themselves."""
    named = _merged(book, spec, group, column, row)
    return {key: value for key, value in book.get("method", {}).items() if key not in named}


def _merged(book: dict, spec: dict, group: dict, column: dict, row: dict) -> dict[str, object]:
    parts = (book["defaults"], spec.get("base", {}), group.get("experiment", {}), column.get("experiment", {}),
             row["own"])
    return {key: value for part in parts for key, value in part.items()}


def elsewhere(wanted: dict[str, object], datasets: list[str], spec: dict) -> dict[str, object]:
    """`wanted` on other `datasets` than those of the table `spec`.

    Rendered faces have neither the paper's macro-expressions nor, where all of the table is of one label set, its
    classes: there no run is asked for them.
    """
    parts = (spec.get("base", {}), *(part.get("experiment", {}) for part in (*spec["groups"], *spec["columns"])))
    several = len({str(part["classes"]) for part in parts if "classes" in part}) > 1
    rendered = all(is_synthetic([name]) for name in datasets)
    free = ("pretrain.sources", *(() if several else ("classes",))) if rendered else ()
    return {key: value for key, value in wanted.items() if key not in free} | {"datasets": datasets}


def departures(papers: dict[str, object], parameters: dict[str, object]) -> list[str]:
    """`train.steps 40 (paper 1000)` for each of these keys in which the flat parameters are not the paper's."""
    return [f"{key} {_shown(_value(parameters, key))} (paper {_shown(papers[key])})"
            for key in differing(papers, parameters)]


def differing(wanted: dict[str, object], parameters: dict[str, object]) -> list[str]:
    """The keys of `wanted` whose value in the flat `parameters` is not the wanted one. A missing knob differs."""
    ordered = wanted.get("protocol") == "cross_dataset"  # there the last dataset is the tested one
    return [key for key, value in wanted.items() if not same(value, _value(parameters, key), ordered)]


def matches(wanted: dict[str, object], run: Run, besides: tuple[str, ...] = ()) -> bool:
    """Whether the run has all wanted parameters, those in `besides` left out."""
    return not set(differing(wanted, run.parameters)) - set(besides)


def same(a: object, b: object, ordered: bool = False) -> bool:
    """Whether value b is what a table wants (a); the order of names (of tasks, datasets) matters if `ordered`."""
    if isinstance(a, dict):
        if "not" in a:
            return not same(a["not"], b, ordered)
        return any(same(value, b, ordered) for value in a["any"])
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        names = all(isinstance(value, str) for value in (*a, *b))
        return sorted(a) == sorted(b) if names and not ordered else list(a) == list(b)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    return a == b


def together(wanted: dict[str, object], fixed: dict[str, object], has: dict[str, object]) -> dict[str, object]:
    """`wanted` with each key `a + b` taken apart, into the pair that agrees most with `fixed` and, after it, `has`."""
    apart: dict[str, object] = {}
    for key, value in wanted.items():
        if PAIR not in key:
            apart[key] = value
            continue
        parts, pairs = key.split(PAIR), value["any"] if isinstance(value, dict) else [value]
        best = max(pairs, key=lambda pair: [sum(same(one, of.get(part)) for part, one in zip(parts, pair, strict=True))
                                            for of in (fixed, has)])
        apart |= {part: {"any": [one]} for part, one in zip(parts, best, strict=True)}
    return apart


def _value(parameters: dict[str, object], key: str) -> object:
    return [parameters.get(part) for part in key.split(PAIR)] if PAIR in key else parameters.get(key)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " or ".join(map(_shown, value["any"])) if "any" in value else f"anything but {_shown(value['not'])}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
