"""The table of the releases in data/README.md: what to ask of whom, what is read, which label sets there are.

Made of what stands beside each reader: `from` and `reads`, and the published counts of its label sets; `clips` where
none are published. A dataset without `from` is not asked of anybody and has no row.
"""

from mer.datasets.class_sets import Labels, known_labels
from mer.datasets.releases import Release, known

HEAD = ("name", "request from", "what is read", "clips, subjects", "label sets (clips)")


def markdown() -> str:
    """All rows, in the order of the releases."""
    rows = [_row(name, known()[name], labels) for name, labels in known_labels().items() if "from" in labels.facts]
    return "\n".join(f"| {' | '.join(row)} |" for row in (HEAD, *rows)).replace("\n", f"\n{'|---' * len(HEAD)}|\n", 1)


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
