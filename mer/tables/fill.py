"""The papers' tables, filled: published numbers in their own columns, ours in others, never in one cell.

`mer/models/<model>/paper.yaml` holds every table: its columns (a metric and the parameters of the experiment it is
measured in), the published rows, and for the rows of the paper's own method the parameters that reproduce them
(`own`). The experiment of a cell is: the file's `defaults`, then the table's `base`, the group's, the column's and the
row's own parameters, each overriding the one before, null taking a demand back. A run fills a cell when all of these
parameters are the run's; `{any: [a, b]}` accepts each of these, `{not: a}` all but a. A column with `mean_of: [0, 2]`
is the mean of these columns. A table of kind `rank_sum` (FDP's Tables 12 and 13) is recomputed from the published
numbers of others, see rank_sums.py.
"""

import difflib
from importlib import resources

from mer.base.errors import MerError
from mer.datasets.releases import is_synthetic
from mer.evaluation import measures
from mer.params import CONFIGS
from mer.runs.finished import Run
from mer.tables.formats import Row, Table

PAPERS = tuple(name for name in CONFIGS if resources.files("mer.models").joinpath(f"{name}/paper.yaml").is_file())


def paper(short: str) -> dict:
    """The YAML of a paper: keys paper, defaults, tables.

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


def experiment(book: dict, spec: dict, group: dict, column: dict, row: dict) -> dict[str, object] | None:
    """The parameters that a cell's experiment must have; None for a row that is not the paper's own method."""
    if "own" not in row:
        return None
    parts = (book["defaults"], spec.get("base", {}), group.get("experiment", {}), column.get("experiment", {}),
             row["own"])
    merged = {key: value for part in parts for key, value in part.items()}
    return {key: value for key, value in merged.items() if value is not None}


def differing(wanted: dict[str, object], parameters: dict[str, object]) -> list[str]:
    """The keys of `wanted` whose value in the flat `parameters` is not the wanted one. A missing knob differs."""
    ordered = wanted.get("protocol") == "cross_dataset"  # there the last dataset is the tested one
    return [key for key, value in wanted.items() if not _same(value, parameters.get(key), ordered)]


def matches(wanted: dict[str, object], run: Run, besides: tuple[str, ...] = ()) -> bool:
    """Whether the run has all wanted parameters, those in `besides` left out."""
    return not set(differing(wanted, run.parameters)) - set(besides)


def fill(book: dict, name: str, runs: list[Run]) -> Table:
    """Table `name` (mol-4) with the last matching run in each of our cells; a cell without a run stays empty.

    Runs on datasets that the table does not have (the synthetic release, one's own) get columns of their own, when
    everything but the dataset is as the table wants.
    """
    spec = book["tables"][name]
    if spec.get("kind") == "rank_sum":
        from mer.tables import rank_sums  # here, because it makes tables of this module

        return rank_sums.fill(book, name)
    columns, stub = spec["columns"], spec["stub"]
    others = _other_columns(book, spec, runs)
    notes, marks = [], _Marks([column["metric"] for column in columns])
    rows = []
    for group in spec["groups"]:
        if "title" in group:
            rows.append(Row("group", (group["title"],)))
        for row in group["rows"]:
            own = [experiment(book, spec, group, column, row) for column in columns]
            elsewhere = [experiment(book, spec, group, column, row) for _, column in others]
            cells = [str(row.get(key, "")) for key in stub]
            cells += [_published(value, column) for value, column in zip(row["values"], columns, strict=True)]
            cells += [_ours([_last(runs, wanted, column, datasets)], column, marks)
                      for wanted, (datasets, column) in zip(elsewhere, others, strict=True)]
            found = [_last(runs, wanted, column) for wanted, column in zip(own, columns, strict=True)]
            cells += [_ours([found[j] for j in column.get("mean_of", [i])], column, marks)
                      for i, column in enumerate(columns)]
            rows.append(Row("own" if "own" in row else "other", tuple(cells)))
            if "note" in row:
                notes.append(f"{cells[0]}: {row['note']}")
    if "type" in stub:
        notes.append("input: NDL no deep learning, DL deep learning, RI raw images, PF pre-extracted features, KF "
                     "needs key frames (onset, apex)")
    labels = [column["label"] for column in columns]
    named = [f"{' + '.join(_title(d) for d in datasets)} {column['label'].split()[-1]}" for datasets, column in others]
    spans = (("", len(stub)), (f"published ({book['paper']['short']} paper)", len(columns)),
             ("this pipeline", len(columns) + len(others)))
    first, width = len(stub) + len(columns), len(stub) + 2 * len(columns) + len(others)
    elsewhere, filled = (sum(bool(cell) for row in rows for cell in row.cells[part])
                         for part in (slice(first, first + len(others)), slice(first + len(others), width)))
    return Table(name, f"{book['paper']['short']}, {spec['number']}: {spec['title']}", spans,
                 (*stub.values(), *labels, *named, *labels), tuple(rows),
                 (*([spec["note"]] if "note" in spec else []), *notes, *marks.notes), filled, elsewhere)


RECORD = ("table", "group", "row", "column", "metric", "published", "ours", "low", "high", "n_clips", "n_subjects",
          "datasets", "classes", "list", "selection", "seeds", "profile", "synthetic", "run")


def records(book: dict, name: str, runs: list[Run]) -> list[dict[str, object]]:
    """Table `name` as one record a cell, keys RECORD, for programs.

    `ours`, `low` and `high` (95 % interval) are on the paper's scale, with four digits more than it prints; what is
    unknown is empty. The mean of several runs has no interval.
    """
    spec = book["tables"][name]
    if spec.get("kind") == "rank_sum":
        return []
    columns, others, found = spec["columns"], _other_columns(book, spec, runs), []
    for group, row in ((g, r) for g in spec["groups"] for r in g["rows"]):
        own = [experiment(book, spec, group, column, row) for column in columns]
        at = [_last(runs, wanted, column) for wanted, column in zip(own, columns, strict=True)]
        cells = [(column, value, [at[j] for j in column.get("mean_of", [i])])
                 for i, (column, value) in enumerate(zip(columns, row["values"], strict=True))]
        cells += [(column, None, [_last(runs, experiment(book, spec, group, column, row), column, datasets)])
                  for datasets, column in others]
        label = ", ".join(str(row[key]) for key in spec["stub"] if key in row and key not in ("venue", "type"))
        for column, value, taken in cells:
            if value is not None or all(taken):
                found.append(_record(name, group.get("title", ""), label, column, value, taken if all(taken) else []))
    return found


def _record(name: str, group: str, row: str, column: dict, published: object, runs: list[Run]) -> dict[str, object]:
    def number(key: str) -> str:
        values = [run.metrics[key] for run in runs if key in run.metrics]
        if not values or (len(runs) > 1 and key != column["metric"]):
            return ""
        return f"{column['scale'] * sum(values) / len(values):.{column['digits'] + 4}f}"

    def each(show) -> str:
        return " | ".join(dict.fromkeys(str(show(run)) for run in runs))

    metric = column["metric"]
    return dict(zip(RECORD, (
        name, group, row, column["label"], metric, "" if published is None else published, number(metric),
        number(f"{metric}_low"), number(f"{metric}_high"), *(each(lambda run, k=k: run.metrics[k]) for k in
                                                             ("n_clips", "n_subjects")),
        each(lambda run: " + ".join(run.parameters["datasets"])), each(lambda run: run.parameters["classes"]),
        each(lambda run: run.clip_list), each(lambda run: run.parameters["selection"][0]),
        each(lambda run: " ".join(map(str, run.parameters["seeds"]))),
        each(lambda run: run.parameters["profile"]), each(lambda run: is_synthetic(run.parameters["datasets"])),
        each(lambda run: run.label)), strict=True))


def main_tables(tables: list[Table]) -> list[Table]:
    """Those that a page about one run shows: where it is a row, else where it would be on another dataset, else the
    paper's first table."""
    return ([table for table in tables if table.filled] or [table for table in tables if table.elsewhere][:1]
            or tables[:1])


def describe(run: Run, metrics: list[str]) -> str:
    """What a reader must know about a run's numbers of these metrics, in one sentence."""
    p, m = run.parameters, run.metrics
    datasets = list(p["datasets"])
    words = ["SYNTHETIC faces, not the paper's data" if is_synthetic(datasets) else "", " + ".join(datasets),
             f"N = {m['n_clips']:g} clips of {m['n_subjects']:g} subjects", f"label set {p['classes']}",
             f"list {run.clip_list}" if run.clip_list else "",
             f"selection {p['selection'][0]}", f"seeds {', '.join(map(str, p['seeds']))}",
             f"profile {p['profile']}", _pretraining(p),
             _of_model(p, "note", ""),
             f"accuracy sd over seeds {100 * m['accuracy_sd']:.1f}" if "accuracy_sd" in m else "",
             "CONTROL: training labels shuffled" if p.get("shuffle_labels") else "",
             *_rivals(metrics, m),
             f"commit {run.label}" if run.label else "",
             "in brackets the 95 % interval, subjects resampled" if f"{metrics[0]}_low" in m else ""]
    return ", ".join(word for word in words if word)


def _rivals(metrics: list[str], m: dict[str, float]) -> list[str]:
    """What costs nothing, for each of the metrics that has such a rival: `zero flow 0.097 px`."""
    known = measures.every()
    found = {key: measures.rival(known[key], m) for key in metrics if key in known and key in m}
    return [f"{beside[0]} {known[key].shown(beside[1])} {known[key].unit.split(' of ')[0]}".rstrip()
            for key, beside in found.items() if beside]


def _pretraining(p: dict[str, object]) -> str:
    if "pretrain.sources" not in p:
        return ""
    done = p["pretrain.sources"] and p["pretrain.steps"] and _of_model(p, "pretrains", True)
    return f"pretrained on {' + '.join(p['pretrain.sources'])}" if done else "not pretrained"


def _of_model(p: dict[str, object], name: str, usual):
    """What the function `name` of the config.py of the run's model says of its flat parameters, else the usual."""
    return getattr(CONFIGS[p["model"]], name, lambda p: usual)(p)


class _Marks:
    """Small letters for the runs of a table, in order of appearance, and the notes that explain them."""

    def __init__(self, metrics: list[str]):
        self.metrics, self.letters, self.notes = metrics, {}, []

    def of(self, run: Run) -> str:
        if id(run) not in self.letters:
            self.letters[id(run)] = chr(ord("a") + len(self.letters)) if len(self.letters) < 26 else (
                f"r{len(self.letters) + 1}")
            self.notes.append(f"({self.letters[id(run)]}) {describe(run, self.metrics)}")
        return self.letters[id(run)]


def _last(runs: list[Run], wanted: dict | None, column: dict, datasets: list[str] | None = None) -> Run | None:
    """The last run that has the wanted parameters, on `datasets` instead of the table's where they are given."""
    if wanted is None:
        return None
    if datasets is not None:
        wanted = wanted | {"datasets": datasets}
    return next((run for run in reversed(runs) if column["metric"] in run.metrics and matches(wanted, run)), None)


def _other_columns(book: dict, spec: dict, runs: list[Run]) -> list[tuple[list[str], dict]]:
    """(datasets, column) for runs that fit some cell of the table but for its datasets; each metric once."""
    known = [column.get("experiment", {}).get("datasets", spec.get("base", {}).get("datasets"))
             for column in spec["columns"]]
    found: list[tuple[list[str], dict]] = []
    for run in runs:
        datasets = list(run.parameters["datasets"])
        if any(_same(datasets, other) for other in known):
            continue
        for group, row, column in ((g, r, c) for g in spec["groups"] for r in g["rows"] for c in spec["columns"]):
            wanted = experiment(book, spec, group, column, row)
            if (wanted is not None and "mean_of" not in column and matches(wanted, run, ("datasets",))
                    and column["metric"] in run.metrics
                    and not any(d == datasets and c["metric"] == column["metric"] for d, c in found)):
                found.append((datasets, column))
    return found


def _same(a: object, b: object, ordered: bool = False) -> bool:
    """Whether value b is what a table wants (a); the order of names (of tasks, datasets) matters if `ordered`."""
    if isinstance(a, dict):
        if "not" in a:
            return not _same(a["not"], b, ordered)
        return any(_same(value, b, ordered) for value in a["any"])
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        names = all(isinstance(value, str) for value in (*a, *b))
        return sorted(a) == sorted(b) if names and not ordered else list(a) == list(b)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    return a == b


def _published(value: object, column: dict) -> str:
    """A printed number with the paper's digits; `-` where the paper prints a dash."""
    return "-" if value is None else f"{value:.{column['digits']}f}"


def _ours(found: list[Run | None], column: dict, marks: _Marks) -> str:
    """Our cell: the number, its interval, the run's letter; the mean of several runs has no interval."""
    if not all(found):
        return ""
    metric, scale, digits = column["metric"], column["scale"], column["digits"]
    text = f"{scale * sum(run.metrics[metric] for run in found) / len(found):.{digits}f}"
    if len(found) == 1 and f"{metric}_low" in found[0].metrics:
        low, high = (f"{scale * found[0].metrics[f'{metric}_{end}']:.{max(digits - 1, 1)}f}" for end in ("low", "high"))
        text += f" [{low}, {high}]"
    return f"{text} ({', '.join(marks.of(run) for run in found)})"


def _title(dataset: str) -> str:
    return dataset.replace("_", " ").capitalize() if is_synthetic([dataset]) else dataset
