"""The papers' tables, filled: published numbers in their own columns, ours in others, never in one cell.

A column with `mean_of: [0, 2]` is the mean of these columns. A table of kind `rank_sum` (FDP's Tables 12 and 13) is
recomputed from the published numbers of others, see rank_sums.py.
"""

from mer.datasets.releases import is_synthetic
from mer.runs.finished import Run
from mer.tables.formats import Row, Table
from mer.tables.notes import Marks
from mer.tables.rows import experiment, matches, same


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
    notes, marks = [], Marks([column["metric"] for column in columns])
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
        if any(same(datasets, other) for other in known):
            continue
        for group, row, column in ((g, r, c) for g in spec["groups"] for r in g["rows"] for c in spec["columns"]):
            wanted = experiment(book, spec, group, column, row)
            if (wanted is not None and "mean_of" not in column and matches(wanted, run, ("datasets",))
                    and column["metric"] in run.metrics
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
