"""Every table of the three papers from all DVC experiments, and the experiments that a table still lacks.

    python -m mer.tables [mol-8 ...]                 every table (or those named) to reports/comparison/
    python -m mer.tables queue mol-8 [-S key=value]  the `dvc exp run --queue` lines that fill one; --run queues them
"""

import argparse
import csv
import io
import sys
from pathlib import Path

from mer.base import store
from mer.base.command import prog
from mer.base.errors import main
from mer.base.terminal import counted
from mer.runs import collect
from mer.tables import fill, formats, queue, rows

OUT = Path("reports/comparison")
WRITERS = {"md": formats.markdown, "csv": formats.as_csv, "tex": formats.latex}


def write(names: list[str], found: collect.Collected, out: Path) -> list[formats.Table]:
    """Write the named tables to `out`: as Markdown, CSV and LaTeX, on one page (index.html), and all cells, one a line
    (cells.csv)."""
    made, cells = [], []
    for name in names:
        book = rows.paper(name.split("-")[0])
        table = fill.fill(book, name, found.runs)
        for suffix, text in WRITERS.items():
            store.write_text(out / f"{name}.{suffix}", text(table))
        made.append(table)
        cells += fill.records(book, name, found.runs)
    store.write_text(out / "index.html", page(made))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fill.RECORD, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    store.write_text(out / "cells.csv", buffer.getvalue())
    return made


def page(tables: list[formats.Table]) -> str:
    """All of them as one self-contained page; those with a number of ours first."""
    from mer.reporting import html

    ordered = sorted(tables, key=lambda table: not (table.filled or table.elsewhere or table.variants))
    nav = "".join(f'<li><a href="#{table.name}">{table.name}</a></li>' for table in ordered)
    parts = [f'<section id="{table.name}" aria-label="{table.name}"><h2>{table.name}</h2>{html.paper_table(table)}'
             "</section>" for table in ordered]
    return html.document("The papers' tables", over="published and ours, never in one cell",
                         heading="The papers' tables", head="", skip="the tables", main="".join(parts),
                         nav=f'<nav aria-label="Contents"><ul>{nav}</ul></nav>\n',
                         footer="Made by mer.tables from all experiments of this repository.")


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.tables"), description=__doc__.splitlines()[0],
                                   epilog="`python -m mer.tables queue --help`: the experiments that a table lacks")
    made.add_argument("names", nargs="*", metavar="TABLE",
                      help="<model>-<the table's number>, see mer/tables/README.md; default: all")
    made.add_argument("--out", type=Path, default=OUT, help=f"folder (default {OUT})")
    return made


def run_collect(words: list[str]) -> None:
    """`words`: the command line, for `parser`. Writes the tables and tells how many cells are filled.

    Raises:
        MerError: no such table, or as `collect`.
    """
    args = parser().parse_args(words)
    names = [rows.known(name) for name in args.names] or list(rows.names())
    found = collect.collect()
    made = write(names, found, args.out)
    for line in found.left_out:
        print(line, file=sys.stderr)
    for table in made:
        if table.filled or table.elsewhere or table.variants:
            own = sum(row.kind == "own" for row in table.rows)
            print(f"{table.name}: {counted(table.filled, 'cell')} filled in {counted(own, 'row')} of the paper's method"
                  + (f", {table.elsewhere} on other data" if table.elsewhere else "")
                  + (f", {table.variants} of variants" if table.variants else ""))
    waiting = ", ".join(f"{n} {state.lower()}" for state, n in sorted(found.states.items()) if state != "Success")
    print(f"tables: {len(made)} from {counted(len(found.runs), 'run')} to {args.out}"
          + (f"; {len(found.left_out)} left out" if found.left_out else "")
          + (f"; experiments without a result: {waiting}" if waiting else ""))


def run() -> None:
    """`queue ...` goes to queue.py, all else is collected."""
    words = sys.argv[1:]
    return queue.run(words[1:]) if words[:1] == ["queue"] else run_collect(words)


if __name__ == "__main__":
    main(run)
