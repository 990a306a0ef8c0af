"""`check PATH`: which release a folder is, what its reader finds, what to set in params.yaml.

`table`: the releases, what to ask of whom, their variants and label sets, as in data/README.md.
"""

import argparse
import itertools
import re
from pathlib import Path

from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.datasets import releases
from mer.datasets.clips import raw_root
from mer.datasets.index import differing_sets, survey, table
from mer.datasets.rules import Reading
from mer.datasets.table import markdown
from mer.datasets.tree import CROWD, entries, instead

LEVELS = 3


def guess(root: Path) -> str:
    """The dataset whose signs are among the names in a folder, three levels deep.

    Raises MerError when there is no sign, or signs of two releases: each needs a folder of its own.
    """
    if (root / "clips.csv").is_file():
        return root.name
    names = {root.name.lower(), *_names(root)}
    signs = {name: release.signs for name, release in releases.known().items() if release.signs}
    likely = [name for name, sign in signs.items() if any(re.fullmatch(sign, found) for found in names)]
    if not likely:
        raise MerError(f"{root}: no known release is recognised; tell it by --dataset, one of {', '.join(signs)}, or "
                       f"see data/README.md for the plain layout (clips.csv){instead(root)}")
    if len(likely) > 1:
        raise MerError(f"{root} looks like {' and '.join(likely)} at once; give each its own folder, or tell it by "
                       "--dataset")
    return likely[0]


def _names(root: Path) -> set[str]:
    names, level = set(), [root]
    for _ in range(LEVELS):
        found = [entries(folder) for folder in level]
        names |= {entry.name.lower() for inside in found for entry in inside}
        # folders with very many entries hold frames
        level = [Path(entry.path) for inside in found if len(inside) <= CROWD for entry in inside if entry.is_dir()]
    return names


def readings(dataset: str, root: Path, images: str | None, variant: str | None) -> list[tuple[dict, Reading]]:
    """(options, reading) of every variant and kind of images that can be read, the defaults first.

    Prints why the defaults do not read it when something else does. Raises the first MerError when none can.
    """
    release = releases.of(dataset)
    kinds = [images] if images else ["raw", "cropped"] if release.images else ["raw"]
    variants = [variant] if variant else release.variants or [None]
    found, first_error, seen = [], None, []
    for which, kind in itertools.product(variants, kinds):
        try:
            reading = releases.read(dataset, root, images=kind, variant=which)
        except MerError as error:
            first_error = first_error or error
            continue
        if reading.clips and reading.clips not in seen:  # the same clips where a variant has one kind of images
            seen.append(reading.clips)
            found.append(({"images": kind, "variant": which}, reading))
        elif not reading.clips:
            first_error = first_error or MerError(_no_clip(root, reading))
    if not found:
        raise first_error
    if found[0][0] != {"images": kinds[0], "variant": variants[0]}:
        print(f"not read by the defaults: {first_error}")
    return found


def _no_clip(root: Path, reading: Reading) -> str:
    first = f"; the first: {reading.excluded[0].clip_id}, {reading.excluded[0].reason}" if reading.excluded else ""
    return f"{root}: the annotation's {len(reading.excluded)} rows give no clip{first}"


def advice(dataset: str, root: Path, options: dict, summary: dict, also: list[str]) -> list[str]:
    """What to do and to set so that the pipeline reads the release as it was read here."""
    sets = [name for name, entry in summary["sets"].items() if sum(n > 0 for n in entry["counts"].values()) > 1]
    sets.sort(key=lambda name: summary["sets"][name]["expected"] is None)  # first those counted for this version
    release = releases.of(dataset)
    lines = [f"also readable: {', '.join(also)}"] if also else []
    wrong = differing_sets(summary)
    if wrong:
        causes = "; ".join(summary["causes"]) or "none known"
        lines.append(f"counts differ from the published ones in set {', '.join(wrong)}; likely cause: {causes}")
    place = raw_root(dataset)
    there = place.exists() and place.resolve() == root.resolve()
    lines.append(f"{'' if there else f'put or link {root} at {place} and '}set in params.yaml:")
    classes = f"classes: '{sets[0] if sets else ''}'" + (f"    # or {', '.join(sets[1:])}" if sets[1:] else "")
    if release.role == "macro":
        lines += ["  pretrain:", f"    sources: [{dataset}]", f"    {classes}"]
    else:
        lines += [f"  datasets: [{dataset}]", f"  {classes}"]
    settings = [f"    images: {options['images']}"] if release.images else []
    settings += [f"    {dataset}: '{options['variant']}'"] if release.variants else []
    settings += ["    accept_counts: true    # or mend what is missing"] if wrong else []
    return [*lines, *(["  index:", *settings] if settings else [])]


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.datasets"), description=__doc__)
    made.add_argument("command", choices=["check", "table"])
    made.add_argument("path", type=Path, nargs="?", help="check: folder of one raw release")
    made.add_argument("--dataset", help="the release's name, when it is not recognised")
    made.add_argument("--images", choices=["raw", "cropped"])
    made.add_argument("--variant", help="as index.<dataset> in params.yaml")
    return made


def run() -> None:
    """Command line; see the module."""
    made = parser()
    arguments = made.parse_args()
    root = arguments.path
    if arguments.command == "table":
        print(markdown())
        return
    if root is None:
        made.error("the following arguments are required: path")
    if not root.is_dir():
        raise MerError(f"{root} is no folder")
    dataset = arguments.dataset or guess(root.resolve())
    if arguments.dataset:
        releases.check_name(dataset, root.resolve().parent)
    found = readings(dataset, root, arguments.images, arguments.variant)
    options, reading = found[0]
    summary = survey(dataset, root, reading)
    also = [f"release {other.release}, {kind['images']} images ({len(other.clips)} clips)" for kind, other in found[1:]]
    print(table(summary))
    print("\n".join(advice(dataset, root, options, summary, also)))


if __name__ == "__main__":
    main(run)
