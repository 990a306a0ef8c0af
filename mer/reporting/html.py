"""The page's bricks: escaped text, tables with scoped headers, figures with alt texts, a number on its scale."""

import base64
import io
import re
from collections.abc import Iterable
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path

from PIL import Image

from mer.tables.formats import Row, Table

HEAVY = 400_000  # bytes above which a PNG goes into the page as JPEG
WIDEST = 1400  # pixels
NUMBER = re.compile(r"[-+±\d.,%e ]+")


def document(title: str, *, over: str, heading: str, head: str, main: str, footer: str, skip: str,
             nav: str = "") -> str:
    """A whole self-contained page.

    Args:
        over: the small line above the heading; skip: where the first link leads, for those who read by keyboard.
        head, nav, main: HTML below the heading, of the contents that stay in view, and of the body; all else is text.
    """
    css, script = (resources.files("mer.reporting").joinpath(name).read_text(encoding="utf-8")
                   for name in ("page.css", "page.js"))
    script = f"<script>\n{script}</script>\n" if 'class="long"' in main else ""
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
            f'<link rel="icon" href="data:,">\n<style>\n{css}</style>\n</head>\n<body>\n'
            f'<a class="skip" href="#main">Skip to {escape(skip)}</a>\n<header><p class="over">{escape(over)}</p>'
            f'<h1>{escape(heading)}</h1>{head}</header>\n{nav}<main id="main">\n{main}\n</main>\n'
            f"<footer>{escape(footer)}</footer>\n{script}</body>\n</html>\n")


def section(anchor: str, title: str, *parts: str) -> str:
    """A section with its heading; empty when it has no content."""
    body = "".join(parts)
    if not body:
        return ""
    return (f'<section id="{anchor}" aria-labelledby="{anchor}-h"><h2 id="{anchor}-h">{escape(title)}</h2>{body}'
            "</section>")


def paragraph(text: str, kind: str = "") -> str:
    """Escaped text; `kind`: its class in the style sheet."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def grid(caption: str, header: Iterable[str], rows: Iterable[Iterable[object]], marked: int | None = None, *,
         markup: bool = False, long: bool = False) -> str:
    """A table whose first column heads its rows; row `marked` is set off. Columns of words go left, numbers right.

    `markup`: the cells are HTML already; `long`: of many rows, which the page's script sorts and filters.
    """
    lines = [[str(cell) if markup else escape(str(cell)) for cell in row] for row in rows]
    if not lines:
        return ""
    words = [any(cell and not NUMBER.fullmatch(cell) for cell in column) for column in zip(*lines, strict=True)]
    side = [' class="words"' if word else "" for word in words]
    head = "".join(f'<th scope="col"{side[i]}>{escape(str(cell))}</th>' for i, cell in enumerate(header))
    body = ""
    for number, (first, *rest) in enumerate(lines):
        kind = ' class="own"' if number == marked else ""
        cells = "".join(f"<td{side[i]}>{cell}</td>" for i, cell in enumerate(rest, 1))
        body += f'<tr{kind}><th scope="row">{first}</th>{cells}</tr>'
    kind = ' class="long"' if long else ""
    return _titled(caption, kind, f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>")


def paper_table(table: Table) -> str:
    """A paper's table: the upper header spans published and own columns, group rows head what is below them.

    A phone shows own columns as one, `beside`, next to the row's name: as columns they would lie outside its screen.
    """
    table = _for_a_page(table)
    stub = table.spans[0][1]
    upper = '<td></td><td class="beside"></td>' + '<td class="minor"></td>' * (stub - 1) + "".join(
        f'<th scope="colgroup" colspan="{n}" class="{"theirs" if i else "ours"}">{escape(text)}</th>'
        for i, (text, n) in enumerate(table.spans[1:]))
    own = range(stub, stub + table.spans[1][1])
    kinds = ["" if i == 0 else ' class="words minor"' if i < stub else ' class="ours"' if i in own else ""
             for i in range(len(table.header))]
    heads = [f'<th scope="col"{kinds[i]}>{escape(name)}</th>' for i, name in enumerate(table.header)]
    heads.insert(1, f'<th scope="col" class="beside">{escape(table.spans[1][0])}</th>')
    body = ""
    for row in table.rows:
        if row.kind == "group":
            body += (f'<tr class="group"><th scope="rowgroup" colspan="{len(table.header)}">{escape(row.cells[0])}</th>'
                     "</tr>")
            continue
        first, *rest = row.cells
        cells = [(escape(name), escape(cell).replace(", ", ",&nbsp;"))  # an interval stays on one line
                 for name, cell in ((table.header[i], row.cells[i]) for i in own) if cell]
        told = "".join(f"<div><span>{name}</span> {cell}</div>" for name, cell in cells)
        body += f'<tr class="{row.kind}"><th scope="row">{escape(first)}</th><td class="beside">{told}</td>' + "".join(
            f"<td{kinds[i]}>{escape(cell)}</td>" for i, cell in enumerate(rest, 1)) + "</tr>"
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    inside = f"<thead><tr>{upper}</tr><tr>{''.join(heads)}</tr></thead><tbody>{body}</tbody>"
    return _titled(table.title, ' class="paper"', inside) + (f'<ul class="notes">{notes}</ul>' if notes else "")


def _for_a_page(table: Table) -> Table:
    """The table with our columns before the published ones, variants of ours on top, and no column without content."""
    lines, at, kept = [row for row in table.rows if row.kind != "group"], table.spans[0][1], []
    for text, count in table.spans[1:]:  # the last are ours
        filled = [i for i in range(at, at + count) if any(row.cells[i] for row in lines)]
        kept.append((text, filled or list(range(at, at + count))))
        at += count
    kept = [kept[-1], *kept[:-1]]
    order = [*range(table.spans[0][1]), *(i for _, columns in kept for i in columns)]
    blocks: list[list[Row]] = []
    for row in table.rows:
        if row.kind == "group" or not blocks:
            blocks.append([])
        blocks[-1].append(row)
    blocks.sort(key=lambda block: block[-1].kind != "variant")
    rows = tuple(row if row.kind == "group" else replace(row, cells=tuple(row.cells[i] for i in order))
                 for block in blocks for row in block)
    return replace(table, spans=(table.spans[0], *((text, len(columns)) for text, columns in kept)), rows=rows,
                   header=tuple(table.header[i] for i in order))


def figure(path: Path, about: tuple[str, str] | None = None, anchor: str = "") -> str:
    """A PNG inside the page. Caption and alt text are the picture's own (Title, Description), else `about`'s.

    `anchor`: its id, where something links to it.
    """
    with Image.open(path) as image:
        words, (width, height) = image.info, image.size
    title, told = about or (path.stem.replace("_", " ").capitalize(), "")
    title, told = words.get("Title", title), words.get("Description", told)
    kind, data = _compact(path)
    named = f' id="{anchor}"' if anchor else ""
    return (f'<figure{named}><img src="data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}" '
            f'width="{width}" height="{height}" '
            f'alt="{escape(told or title)}"><figcaption><b>{escape(title)}</b>'
            f'{f"<br><span>{escape(told)}</span>" if told else ""}</figcaption></figure>')


def figures(pictures: Iterable[str], kind: str = "") -> str:
    """Figures side by side where there is room; kind `three`: up to three, `wide`: each across the page."""
    inside = "".join(pictures)
    return f'<div class="figures {kind}">{inside}</div>' if inside else ""


def card(name: str, about: str, value: float, low: float | None, high: float | None, chance: float | None) -> str:
    """A score in [0, 1] in large type, over a scale that shows its interval and, where it is one number, chance."""
    bounds = f"95 % interval {100 * low:.1f} to {100 * high:.1f}" if low is not None else "one subject: no interval"
    bounds += f"; chance {100 * chance:.1f}" if chance is not None else ""
    marks = ""
    if low is not None:
        length = max(200 * (high - low), 1)
        marks += f'<rect x="{200 * low:.1f}" y="10" width="{length:.1f}" height="8" rx="4" class="range"/>'
    if chance is not None:
        marks += f'<line x1="{200 * chance:.1f}" x2="{200 * chance:.1f}" y1="4" y2="24" class="chance"/>'
    said = escape(f"{name} {100 * value:.1f} percent, {bounds}")
    return (f'<div class="card"><h3>{escape(name)}</h3><p class="big">{100 * value:.1f}<small> %</small></p>'
            f'<svg viewBox="-6 0 212 28" role="img" aria-label="{said}">'
            f'<rect x="0" y="12" width="200" height="4" rx="2" class="rail"/>{marks}'
            f'<circle cx="{200 * value:.1f}" cy="14" r="5" class="dot"/></svg>'
            f"<p>{escape(bounds)}</p><p>{escape(about)}</p></div>")


def _compact(path: Path) -> tuple[str, bytes]:
    """A picture's bytes; sheets of photographs, which PNG packs badly, as JPEG of at most `WIDEST` pixels."""
    data = path.read_bytes()
    if len(data) <= HEAVY:
        return "png", data
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((WIDEST, 100 * WIDEST))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88)
    return "jpeg", buffer.getvalue()


def folded(summary: str, inside: str) -> str:
    """What is shown by a click on its summary; nothing without content."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>" if inside else ""


def _titled(title: str, attributes: str, inside: str) -> str:
    """A table under its title; a wide one scrolls inside its own frame, also by keyboard, and the title stays."""
    anchor = "t-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return (f'<h3 id="{anchor}">{escape(title)}</h3><div class="scroll" role="region" tabindex="0" '
            f'aria-labelledby="{anchor}"><table{attributes} aria-labelledby="{anchor}">{inside}</table></div>')
