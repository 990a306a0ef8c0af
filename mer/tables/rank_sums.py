"""FDP's Tables 12 and 13, recomputed from the published numbers of its other tables, and what is wrong with them.

The paper tests one number, FDP's F1, repeated n times, against the n numbers of other methods:
z then depends on the counts alone, whatever the numbers are. With the one number that there is, p is never below 0.05.
"""

from mer.evaluation.significance import rank_sum
from mer.tables.formats import Row, Table

REMARK = ("The printed test repeats {}'s one number `copies` times. Copies are no evidence: whenever it is the "
          "largest, z = sqrt(3 c n / (c + n + 1)) for c copies and n others, whatever the numbers are. Tested once, as "
          "it was measured once, it is never significant at 0.05. Runs of this pipeline are compared by paired tests "
          "instead.")


def fill(book: dict, name: str) -> Table:
    """A table of `kind: rank_sum`: printed z and p, the same recomputed, and both with FDP's number taken once."""
    spec = book["tables"][name]
    rows = []
    for row in spec["groups"][0]["rows"]:
        own, others = numbers(book, **row["source"])
        cells = [row["benchmark"], str(row["copies"]), str(len(others)), _z(row["values"][0]), _p(row["values"][1])]
        for copies in (row["copies"], 1):
            z, p = rank_sum(own, others, copies)
            cells += [_z(z), _p(p)]
        rows.append(Row("own", tuple(cells)))
    header = ("benchmark", "copies", "others", "z", "p", "z", "p", "z, taken once", "p, taken once")
    spans = (("", 3), (f"published ({book['paper']['short']} paper)", 2), ("recomputed from the published numbers", 4))
    return Table(name, f"{book['paper']['short']}, {spec['number']}: {spec['title']}", spans, header, tuple(rows),
                 (REMARK.format(book["paper"]["short"]), *([spec["note"]] if "note" in spec else [])), 0, 0)


def numbers(book: dict, table: str, group: int, column: int) -> tuple[float, list[float]]:
    """The paper's own number of a column (of the row of its full method) and those of all other rows that have one."""
    rows = book["tables"][table]["groups"][group]["rows"]
    (own,) = [row["values"][column] for row in rows if row.get("own") == {}]
    return own, [row["values"][column] for row in rows if row.get("own") != {} and row["values"][column] is not None]


def _z(value: float) -> str:
    return f"{value:.3f}"


def _p(value: float) -> str:
    return f"{value:.3e}" if value < 0.01 else f"{value:.4f}"
