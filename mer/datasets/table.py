"""The tables of data/README.md: what to ask of whom, what is read, which label sets there are; the field's lists.

Made of what stands beside each reader: `from` and `reads`, and the published counts of its label sets; `clips` where
none are published. A dataset without `from` is not asked of anybody and has no row.
"""

from mer.datasets.class_sets import Labels, known_labels
from mer.datasets.releases import Release, known

LISTS = (  # what its clips are called, the label set, and of which releases; one label set over several is a composite
    ("MEGC2019's part of CASME II", "3-megc", {"casme2": "2019"}),
    ("147, of the table of 2014", "3-150", {"casme2": "2014"}),
    ("147, of public code", "3-147", {"casme2": "2019"}),
    ("150", "3-150", {"casme2": "2019"}),
    ("156, of the table of 2019", "3", {"casme2": "2019"}),
    ("156, of the table of 2014", "3", {"casme2": "2014"}),
    ("246", "5", {"casme2": "2014"}),
    ("247", "5", {"casme2": "updated"}),
    ("249", "5", {"casme2": "2019"}),
    ("MEGC2018", "objective", {"casme2": "2019", "samm": "v2"}),
    ("MEGC2019", "3-megc", {"casme2": "2019", "samm": "v2", "smic": "hs"}),
)
LISTS_HEAD = ("list", "how it is built", "clips", "per class", "source")
HEAD = ("name", "request from", "what is read", "clips, subjects", "label sets (clips)")


def markdown() -> str:
    """The releases, in their order, and below them the lists that the field's numbers are of, counted from the sets."""
    rows = [_row(name, known()[name], labels) for name, labels in known_labels().items() if "from" in labels.facts]
    return f"{_table(HEAD, rows)}\n\n{_table(LISTS_HEAD, [_list(*entry) for entry in LISTS])}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, *rows)).replace("\n", f"\n{'|---' * len(head)}|\n", 1)


def _list(name: str, key: str, releases: dict[str, str]) -> tuple[str, ...]:
    sets = {dataset: known_labels()[dataset].sets[key] for dataset in releases}
    parts = [sets[dataset].expected[version] for dataset, version in releases.items()]
    built = [f"`{dataset}:{key}`" + (f" ({version})" if len(_versions(known_labels()[dataset])) > 1 else "")
             for dataset, version in releases.items()]
    totals = [part.total or 0 for part in parts]
    counts = [sum(column) for column in zip(*(part.counts or () for part in parts), strict=True)]
    names = next(iter(sets.values())).names  # of a composite all are the same
    clips = str(sum(totals)) + (f" ({' + '.join(map(str, totals))})" if len(totals) > 1 else "")
    return (name, " + ".join(built), clips, ", ".join(map(" ".join, zip(names, map(str, counts), strict=True))),
            "; ".join(dict.fromkeys(labels.source for labels in sets.values())))


def _row(name: str, release: Release, labels: Labels) -> tuple[str, ...]:
    reads = labels.facts.get("reads", "")
    if release.variants:
        reads += f"; which: `index.{name}` ({', '.join(release.variants)})"
    sets = [f"`{key}`" + (f" ({counted})" if (counted := _clips(labels, key)) else "") for key in labels.sets]
    return f"`{name}`", labels.facts["from"], reads, labels.facts.get("clips") or _largest(labels), ", ".join(sets)


def _versions(labels: Labels) -> list[str]:
    """The versions of the release that any published count is of."""
    return list(dict.fromkeys(version for entry in labels.sets.values() for version in entry.expected))


def _clips(labels: Labels, name: str) -> str:
    """'136', or '2019: 249, 2014: 247' where the release has versions."""
    totals = {version: entry.total for version, entry in labels.sets[name].expected.items() if entry.total is not None}
    several = len(_versions(labels)) > 1
    return ", ".join(f"{version}: {total}" if several else str(total) for version, total in totals.items())


def _largest(labels: Labels) -> str:
    """Clips and subjects of the largest set of each version: '159, 29', or '2019: 255, 26; 2014: 256, 26'."""
    told = []
    for version in _versions(labels):
        published = [entry.expected[version] for entry in labels.sets.values() if version in entry.expected]
        most = max(published, key=lambda counts: counts.total or 0)
        numbers = ", ".join(str(number) for number in (most.total, most.subjects) if number is not None)
        told.append(f"{version}: {numbers}" if len(_versions(labels)) > 1 else numbers)
    return "; ".join(told)
