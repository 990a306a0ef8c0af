"""A filled table as Markdown, CSV or LaTeX."""

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`kind`: group (a heading over the rows below), other (somebody else's method), own (the paper's method), variant
    (ours, which is not quite the paper's)."""

    kind: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A filled table. `spans` is the upper header: (text, number of columns), over the columns of `header`."""

    name: str
    title: str
    spans: tuple[tuple[str, int], ...]
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    filled: int  # our cells with a number, on the table's own datasets
    elsewhere: int  # and those on other datasets
    variants: int = 0  # and those of variants, on any


def markdown(table: Table) -> str:
    """GitHub Markdown. The upper header's words go into the lower one's cells, since Markdown has one header."""
    groups = [text for text, n in table.spans for _ in range(n)]
    header = [f"{name}<br>{group}" if group else name for name, group in zip(table.header, groups, strict=True)]
    lines = [f"## {table.title}", "", "| " + " | ".join(map(_pipe, header)) + " |",
             "|" + "|".join(" --- " if not group else " ---: " for group in groups) + "|"]
    for row in table.rows:
        cells = [f"**{row.cells[0]}**"] + [""] * (len(header) - 1) if row.kind == "group" else row.cells
        lines.append("| " + " | ".join(map(_pipe, cells)) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in table.notes)]).rstrip() + "\n"


def as_csv(table: Table) -> str:
    """CSV: one header row, a first column `group`."""
    buffer, group = io.StringIO(), ""
    writer = csv.writer(buffer, lineterminator="\n")
    groups = [text for text, n in table.spans for _ in range(n)]
    writer.writerow(["group", *(f"{name}: {span}" if span else name
                                for name, span in zip(table.header, groups, strict=True))])
    for row in table.rows:
        if row.kind == "group":
            group = row.cells[0]
        else:
            writer.writerow([group, *row.cells])
    return buffer.getvalue()


def latex(table: Table) -> str:
    """A LaTeX table in booktabs' style; the notes follow the tabular."""
    width = len(table.header)
    stub = table.spans[0][1]
    at, rules = 1, []
    for text, n in table.spans:
        if text:
            rules.append(f"\\cmidrule(lr){{{at}-{at + n - 1}}}")
        at += n
    lines = ["\\begin{table}", f"\\caption{{{_tex(table.title)}}}", f"\\label{{tab:{table.name}}}",
             f"\\begin{{tabular}}{{{'l' * stub}{'r' * (width - stub)}}}", "\\toprule",
             " & ".join(f"\\multicolumn{{{n}}}{{c}}{{{_tex(text)}}}" for text, n in table.spans) + r" \\",
             " ".join(rules), " & ".join(map(_tex, table.header)) + r" \\", "\\midrule"]
    for row in table.rows:
        if row.kind == "group":
            lines.append(f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{_tex(row.cells[0])}}}}} \\\\")
        else:
            lines.append(" & ".join(map(_tex, row.cells)) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}", *(f"\\par\\footnotesize {_tex(note)}" for note in table.notes),
              "\\end{table}"]
    return "\n".join(lines) + "\n"


def _pipe(text: str) -> str:
    return text.replace("|", "\\|")


def _tex(text: str) -> str:
    for raw, safe in (("\\", "\\textbackslash "), ("&", "\\&"), ("%", "\\%"), ("_", "\\_"), ("#", "\\#"), ("$", "\\$"),
                      ("{", "\\{"), ("}", "\\}")):
        text = text.replace(raw, safe)
    return text
