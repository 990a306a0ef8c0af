"""The papers' tables, filled: published numbers in their own columns, ours in others, never in one cell.

A column with `mean_of: [0, 2]` is the mean of these columns. A table of kind `rank_sum` (FDP's Tables 12 and 13) is
recomputed from the published numbers of others, see rank_sums.py; one of kind `releases` (1 to 3) counts clips, see
releases.py.
"""

import dataclasses
import itertools
from dataclasses import dataclass, field

from mer.datasets.releases import is_synthetic
from mer.runs.finished import Run
from mer.tables.formats import Row, Table
from mer.tables.notes import Marks
from mer.tables.rows import departures, differing, elsewhere, experiment, label, matches, method, same


def fill(book: dict, name: str, runs: list[Run]) -> Table:
    """Table `name` (mol-4) with the last matching run in each of our cells; a cell without a run stays empty.

    Runs on datasets that the table does not have (the synthetic release, one's own) get columns of their own, when
    everything but the dataset is as the table wants. Runs that are a row but for the paper's method stand below all
    rows, each with what differs.
    """
    spec = book["tables"][name]
    if spec.get("kind") == "rank_sum":
        from mer.tables import rank_sums  # here, because it makes tables of this module

        return rank_sums.fill(book, name)
    if spec.get("kind") == "releases":
        from mer.tables import releases  # likewise

        return releases.fill(book, name, runs)
    columns, stub = spec["columns"], spec["stub"]
    others = _other_columns(book, spec, runs)
    notes, marks = [], Marks([column["metric"] for column in columns], book.get("budget", {}))

    def cells_of(line: "_Line") -> list[str]:
        found = [_last(runs, line, column) for column in columns]
        return [_ours([_last(runs, line, column, datasets)], column, marks)
                for datasets, column in others] + [
            _ours([found[j] for j in column.get("mean_of", [i])], column, marks) for i, column in enumerate(columns)]

    rows = []
    for group in spec["groups"]:
        if "title" in group:
            rows.append(Row("group", (group["title"],)))
        for row in group["rows"]:
            cells = [str(row.get(key, "")) for key in stub]
            cells += [_published(value, column) for value, column in zip(row["values"], columns, strict=True)]
            rows.append(Row("own" if "own" in row else "other", (*cells, *cells_of(_Line(book, spec, group, row)))))
            if "note" in row:
                notes.append(f"{cells[0]}: {row['note']}")
    variants = _variants(book, spec, runs, others)
    if variants:
        rows.append(Row("group", ("variants: ours, which differ from the paper's method in what stands behind the "
                                  "row's name",)))
    for line in variants:
        first, *rest = (str(line.row.get(key, "")) for key in stub)
        first += f", but {'; '.join(departures(line.papers, line.changed))}"
        rows.append(Row("variant", (first, *rest, *[""] * len(columns), *cells_of(line))))
    if "type" in stub:
        notes.append("input: NDL no deep learning, DL deep learning, RI raw images, PF pre-extracted features, KF "
                     "needs key frames (onset, apex)")
    labels = [column["label"] for column in columns]
    named = [f"{' + '.join(_title(d) for d in datasets)} {column['label'].split()[-1]}" for datasets, column in others]
    spans = (("", len(stub)), (f"published ({book['paper']['short']} paper)", len(columns)),
             ("this pipeline", len(columns) + len(others)))
    first, width = len(stub) + len(columns), len(stub) + 2 * len(columns) + len(others)
    elsewhere, filled = (sum(bool(cell) for row in rows for cell in row.cells[part] if row.kind != "variant")
                         for part in (slice(first, first + len(others)), slice(first + len(others), width)))
    apart = sum(bool(cell) for row in rows for cell in row.cells[first:] if row.kind == "variant")
    return Table(name, f"{book['paper']['short']}, {spec['number']}: {spec['title']}", spans,
                 (*stub.values(), *labels, *named, *labels), tuple(rows),
                 (*([spec["note"]] if "note" in spec else []), *notes, *marks.notes), filled, elsewhere, apart)


RECORD = ("table", "group", "row", "column", "metric", "published", "ours", "low", "high", "n_clips", "n_subjects",
          "datasets", "classes", "list", "selection", "seeds", "profile", "variant", "budget", "synthetic", "run")


def records(book: dict, name: str, runs: list[Run]) -> list[dict[str, object]]:
    """Table `name` as one record a cell, keys RECORD, for programs.

    `ours`, `low` and `high` (95 % interval) are on the paper's scale, with four digits more than it prints; what is
    unknown is empty. The mean of several runs has no interval. `variant` and `budget`: what is not the paper's.
    """
    spec = book["tables"][name]
    if "kind" in spec:
        return []
    columns, others, found = spec["columns"], _other_columns(book, spec, runs), []
    lines = [_Line(book, spec, group, row) for group in spec["groups"] for row in group["rows"]]
    for line in lines + _variants(book, spec, runs, others):
        at = [_last(runs, line, column) for column in columns]
        printed = [None] * len(columns) if line.changed else line.row["values"]
        cells = [(column, value, [at[j] for j in column.get("mean_of", [i])])
                 for i, (column, value) in enumerate(zip(columns, printed, strict=True))]
        cells += [(column, None, [_last(runs, line, column, datasets)]) for datasets, column in others]
        for column, value, taken in cells:
            if value is not None or all(taken):
                found.append(_record(name, line, column, value, taken if all(taken) else []))
    return found


def _record(name: str, line: "_Line", column: dict, published: object, runs: list[Run]) -> dict[str, object]:
    def number(key: str) -> str:
        values = [run.metrics[key] for run in runs if key in run.metrics]
        if not values or (len(runs) > 1 and key != column["metric"]):
            return ""
        return f"{column['scale'] * sum(values) / len(values):.{column['digits'] + 4}f}"

    def each(show) -> str:
        return " | ".join(dict.fromkeys(str(show(run)) for run in runs))

    metric = column["metric"]
    return dict(zip(RECORD, (
        name, line.group.get("title", ""), label(line.spec, line.row), column["label"], metric,
        "" if published is None else published,
        number(metric),
        number(f"{metric}_low"), number(f"{metric}_high"), *(each(lambda run, k=k: run.metrics[k]) for k in
                                                             ("n_clips", "n_subjects")),
        each(lambda run: " + ".join(run.parameters["datasets"])), each(lambda run: run.parameters["classes"]),
        each(lambda run: run.clip_list), each(lambda run: run.parameters["selection"][0]),
        each(lambda run: " ".join(map(str, run.parameters["seeds"]))),
        each(lambda run: run.parameters["profile"]), "; ".join(departures(line.papers, line.changed)),
        each(lambda run: "; ".join(departures(line.book.get("budget", {}), run.parameters))),
        each(lambda run: is_synthetic(run.parameters["datasets"])),
        each(lambda run: run.label)), strict=True))


def main_tables(tables: list[Table]) -> list[Table]:
    """Those that a page about one run shows: where it is a row, else where it would be on another dataset, else the
    paper's first table."""
    of_runs = [table for table in tables if any(row.kind != "other" for row in table.rows)]
    return ([table for table in tables if table.filled]
            or [table for table in tables if table.elsewhere or table.variants][:1] or of_runs[:1])


@dataclass(frozen=True)
class _Line:
    """A row of a table, or a variant of it: `changed`, what it has instead of the paper's method."""

    book: dict
    spec: dict
    group: dict
    row: dict
    changed: dict[str, object] = field(default_factory=dict)

    def demand(self, column: dict) -> tuple[dict, dict] | None:
        """What makes a run this row's, and of which method it must be; None for a row that is not ours to run."""
        where = self.book, self.spec, self.group, column, self.row
        wanted = experiment(*where)
        return None if wanted is None else (wanted, method(*where) | self.changed)

    @property
    def papers(self) -> dict[str, object]:
        """The paper's values of what is changed."""
        return {key: self.book["method"][key] for key in self.changed}


def _last(runs: list[Run], line: _Line, column: dict, datasets: list[str] | None = None) -> Run | None:
    """The last run that has the line's parameters, on `datasets` instead of the table's where they are given."""
    demand = line.demand(column)
    if demand is None:
        return None
    wanted, papers = demand if datasets is None else (elsewhere(part, datasets, line.spec) for part in demand)
    return next((run for run in reversed(runs) if _is(run, wanted, column) and matches(papers, run)), None)


def _is(run: Run, wanted: dict, column: dict) -> bool:
    """Whether the run is this cell's experiment, of whatever method."""
    return column["metric"] in run.metrics and matches(wanted, run)


def _variants(book: dict, spec: dict, runs: list[Run], others: list[tuple[list[str], dict]]) -> list[_Line]:
    """The lines of the runs that are a row's but for the paper's method, in the rows' order."""
    places = [(None, column) for column in spec["columns"] if "mean_of" not in column] + others
    found: list[_Line] = []
    for group, row in ((g, r) for g in spec["groups"] for r in g["rows"] if "own" in r):
        for (datasets, column), run in itertools.product(places, runs):
            line = _Line(book, spec, group, row)
            wanted, papers = line.demand(column)
            if _is(run, wanted if datasets is None else elsewhere(wanted, datasets, spec), column):
                changed = {key: run.parameters.get(key) for key in differing(papers, run.parameters)}
                line = dataclasses.replace(line, changed=changed)
                own = changed if datasets is None else elsewhere(changed, datasets, spec).keys() - {"datasets"}
                if own and line not in found:
                    found.append(line)
    return found


def _other_columns(book: dict, spec: dict, runs: list[Run]) -> list[tuple[list[str], dict]]:
    """(datasets, column) for runs that fit some cell of the table but for its datasets; each metric once."""
    known = [column.get("experiment", {}).get("datasets", spec.get("base", {}).get("datasets"))
             for column in spec["columns"]]
    found: list[tuple[list[str], dict]] = []
    for run in runs:
        datasets = list(run.parameters["datasets"])
        if any(same(datasets, other) for other in known):
            continue
        for group, row, column in ((g, r, c) for g in spec["groups"] for r in g["rows"] for c in spec["columns"]):
            wanted = experiment(book, spec, group, column, row)
            if (wanted is not None and "mean_of" not in column and _is(run, elsewhere(wanted, datasets, spec), column)
                    and not any(d == datasets and c["metric"] == column["metric"] for d, c in found)):
                found.append((datasets, column))
    return found


def _published(value: object, column: dict) -> str:
    """A printed number with the paper's digits; `-` where the paper prints a dash."""
    return "-" if value is None else f"{value:.{column['digits']}f}"


def _ours(found: list[Run | None], column: dict, marks: Marks) -> str:
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
