"""FDP's Tables 1 to 3: clips of each class of a release, as printed, as its reader expects, as a run found.

A column names a release, a label set of it and the version whose published counts are shown, those beside the reader;
`is` of a row: a class of that set, or one of FACTS. A run's own counts are of its data/index, of all clips in it.
"""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.class_sets import LabelSet, class_index, label_set
from mer.datasets.clips import Clip, read_clips
from mer.runs.finished import Run
from mer.tables.formats import Row, Table

FACTS: dict[str, Callable[[list[Clip]], float]] = {  # of the clips of a release
    "subjects": lambda clips: len({clip.subject for clip in clips}),
    "fps": lambda clips: sum(clip.fps for clip in clips) / len(clips),
    "clips": len,
    "frames": lambda clips: sum(clip.offset - clip.onset + 1 for clip in clips) / len(clips)}


def fill(book: dict, name: str, runs: list[Run]) -> Table:
    """A table of `kind: releases`; a release that no run was made with, and a fact that is not published, are empty."""
    spec, short = book["tables"][name], book["paper"]["short"]
    columns = spec["columns"]
    sets = [label_set(column["dataset"], column["set"]) for column in columns]
    found = [_counted(column["dataset"], runs) for column in columns]
    (stub, heading), = spec["stub"].items()
    rows = []
    for row in spec["groups"][0]["rows"]:
        printed = ["-" if value is None else str(value) for value in row["values"]]
        expected = [_expected(labels, column["version"], row["is"])
                    for labels, column in zip(sets, columns, strict=True)]
        own = [_own(labels, clips, row["is"]) for labels, (_, clips) in zip(sets, found, strict=True)]
        rows.append(Row("other", (row[stub], *printed, *expected, *own)))
    labels = [column["label"] for column in columns]
    spans = (("", 1), (f"published ({short} paper)", len(columns)), ("expected by the reader", len(columns)),
             ("counted in a run", len(columns)))
    header = (heading, *labels, *(f"{column['label']} {column['version']}" for column in columns), *labels)
    told = [f"counted: {column['label']}, release {', '.join(sorted({clip.release for clip in clips}))}, run {run}"
            for column, (run, clips) in zip(columns, found, strict=True) if clips]
    return Table(name, f"{short}, {spec['number']}: {spec['title']}", spans, header, tuple(rows),
                 (*([spec["note"]] if "note" in spec else []), *told), 0, 0)


def _expected(labels: LabelSet, version: str, what: str) -> str:
    counts = labels.expected[version]
    if what in FACTS:
        value = {"subjects": counts.subjects, "clips": counts.total}.get(what)
    else:
        value = counts.counts[labels.names.index(what)] if counts.counts and what in labels.names else None
    return "" if value is None else str(value)


def _own(labels: LabelSet, clips: list[Clip], what: str) -> str:
    if not clips:
        return ""
    if what in FACTS:
        return f"{FACTS[what](clips):.2f}".removesuffix(".00")
    counted = Counter(class_index(clip, labels) for clip in clips)
    return str(counted[labels.names.index(what)]) if what in labels.names else ""


def _counted(dataset: str, runs: list[Run]) -> tuple[str, list[Clip]]:
    """(label of the last run with this release whose index is there, its clips)."""
    for run in reversed(runs):
        if dataset in run.parameters["datasets"]:
            try:
                text = run.source.text(f"data/index/{dataset}/clips.csv")
            except MerError:  # neither there nor in the cache
                continue
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "clips.csv"
                path.write_text(text, encoding="utf-8")
                return run.label or run.name, read_clips(path)
    return "", []
