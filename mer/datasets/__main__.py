"""Raw releases: what a folder is, which there are, which clips a label set holds, and where two lists differ."""

import argparse
import itertools
import re
import sys
from pathlib import Path

from mer.base import store
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.datasets import lists, people, releases
from mer.datasets.class_sets import label_set, own_labels
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


def clips_of(name: str, root: Path | None, images: str | None, variant: str | None) -> list[lists.Listed]:
    """The clips of `casme2:3-megc`, a release and a label set, or of a file with a list.

    Raises:
        MerError: as the reader, the label sets and `lists.read` do.
    """
    dataset, colon, set_name = name.partition(":")
    if not colon or Path(name).exists():
        return lists.read(name)
    place, reading = _read(dataset, root, images, variant)
    own = {} if dataset in releases.known() else own_labels(dataset, place, {c.label_raw for c in reading.clips}).sets
    return lists.listed(reading.clips, own[set_name] if set_name in own else label_set(dataset, set_name))


def _read(dataset: str, root: Path | None, images: str | None, variant: str | None) -> tuple[Path, Reading]:
    """The folder of a release of that name, its usual one unless `root` says another, and what is read there."""
    releases.check_name(dataset)
    place = root or raw_root(dataset)
    return place, readings(dataset, place, images, variant)[0][1]


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.datasets"), description=__doc__)
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="which release a folder is, what its reader finds, what to set")
    check.add_argument("path", type=Path, help="folder of one raw release")
    check.add_argument("--dataset", help="the release's name, when it is not recognised")
    commands.add_parser("table", help="the releases, their variants and label sets, as in data/README.md")
    clips = commands.add_parser("list", help="the clips of a label set as a manifest (CSV), and its hash")
    clips.add_argument("dataset")
    clips.add_argument("classes", help="name of a label set, as in params.yaml")
    clips.add_argument("--out", type=Path, help="file to write (default: the terminal)")
    diff = commands.add_parser("diff", help="clips in one of two lists only, other classes, other frames")
    diff.add_argument("a", help="a manifest, another table of clips, or a release and a label set: casme2:3-megc")
    diff.add_argument("b")
    films = commands.add_parser("frames", help="films as folders of numbered images, as the readers want them")
    films.add_argument("path", type=Path, help="a film, or a folder with films")
    films.add_argument("out", type=Path, help="folder of the folders, which keep the films' places and names")
    films.add_argument("--format", choices=["png", "jpg"], default="png", help="png: lossless (default) | jpg")
    films.add_argument("--quality", type=int, choices=range(1, 101), default=95, metavar="1..100", help="of jpg")
    films.add_argument("--name", default="{:05d}", help="of a file, with a place for the number (default {:05d})")
    films.add_argument("--first", type=int, choices=(0, 1), default=1, help="number of a film's first frame")
    page = commands.add_parser("page", help="how long expressions last, who shows what, what is odd: pictures first")
    page.add_argument("dataset")
    page.add_argument("--out", type=Path, help="file to write (default reports/annotations/<dataset>.html)")
    for one in (check, clips, diff, page):
        one.add_argument("--images", choices=["raw", "cropped"])
        one.add_argument("--variant", help="as index.<dataset> in params.yaml")
    for one in (clips, diff, page):
        one.add_argument("--root", type=Path, help="folder of the raw release (default data/raw/<dataset>)")
    return made


def run() -> None:
    """Command line; see the module."""
    asked = parser().parse_args()
    if asked.command == "table":
        print(markdown())
    elif asked.command == "list":
        rows = clips_of(f"{asked.dataset}:{asked.classes}", asked.root, asked.images, asked.variant)
        if asked.out:
            _write(asked.out, lists.text(rows))
        else:
            print(lists.text(rows), end="")
        print(f"{len(rows)} clips of {len({row.subject for row in rows})} subjects, list {lists.digest(rows)}",
              file=sys.stderr)
    elif asked.command == "frames":
        from mer.datasets import video  # cv2 is slow to import

        print("\n".join(video.convert(asked.path, asked.out, form=asked.format, quality=asked.quality, name=asked.name,
                                      first=asked.first)))
    elif asked.command == "page":
        from mer.reporting import annotations  # matplotlib is slow to import

        reading = _read(asked.dataset, asked.root, asked.images, asked.variant)[1]
        out = asked.out or Path(f"reports/annotations/{asked.dataset}.html")
        _write(out, annotations.build(asked.dataset, releases.of(asked.dataset).role, reading.clips, reading.excluded))
        print(f"written: {out.as_posix()}")
    elif asked.command == "diff":
        a, b = (clips_of(name, asked.root, asked.images, asked.variant) for name in (asked.a, asked.b))
        print(lists.told(a, b, (asked.a, asked.b)))
    else:
        _check(asked)


def _write(path: Path, text: str) -> None:
    expected = "expected the name of a file that can be written"
    if path.is_dir():
        raise MerError(f"--out {path}: a folder; {expected}")
    try:
        store.write_text(path, text)
    except OSError as error:
        raise MerError(f"--out {path}: {error.strerror}; {expected}") from error


def _check(asked: argparse.Namespace) -> None:
    root = asked.path
    if not root.is_dir():
        raise MerError(f"{root} is no folder")
    dataset = asked.dataset or guess(root.resolve())
    if asked.dataset:
        releases.check_name(dataset, root.resolve().parent)
    found = readings(dataset, root, asked.images, asked.variant)
    options, reading = found[0]
    people.refuse_shared(dataset, root, reading.clips)
    summary = survey(dataset, root, reading)
    also = [f"release {other.release}, {kind['images']} images ({len(other.clips)} clips)" for kind, other in found[1:]]
    print(table(summary))
    print("\n".join(advice(dataset, root, options, summary, also)))


if __name__ == "__main__":
    main(run)
