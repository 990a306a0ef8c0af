"""Aff-Wild2, expression track of the ABAW competitions: one label a frame, cut into clips of one label.

    cropped_aligned/<video>/00001.jpg, cropped_aligned_new_50_vids/<video>/00001.jpg      112x112, 1-based frame number
    cropped_aligned/batch1/cropped_aligned/<video>, batch2/cropped_aligned_new_50_vids/<video>
    .../EXPR_*/{Train,Training}_Set/<video>.txt, Validation_Set/<video>.txt

Line 1 of a txt names the classes (7 in ABAW 1-2, 8 with `Other` later), line k+1 is the label of frame k, -1 means
ignore. Faces are missing for some frames, so labels are joined by number, never by position. A name may end in _left or
_right, as its crop folder does: two persons of one video.

# paper (MOL): videos of seven expressions, how they are cut is not said; here: runs of one label, split evenly into
# pieces of at most PIECE frames.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.places import merged
from mer.datasets.rules import Excluded, Reading, Row, settle
from mer.datasets.tree import holders, inside, instead, subfolders
from mer.datasets.workbook import text_lines

DATASETS = {"affwild2": "macro"}
VARIANTS = ("auto", "8", "7")
SIGNS = r"expr_(set|classification_challenge|recognition_challenge)|cropped_aligned.*"
FPS = 30.0
SHOWN = 5  # names in a note
PIECE = 64  # frames, about two seconds
SPLITS = {"train_set": "train", "training_set": "train", "validation_set": "validation"}


def read(root: Path, *, dataset: str, variant: str) -> Reading:
    """Read the newest edition found (`variant` auto: 8 classes before 7), or the one of 7 or 8 classes.

    Raises MerError when no edition or no crops are found, or a txt holds anything but the labels it names.
    """
    notes: list[str] = []
    edition, files = _edition(root, variant, notes)
    crops = _crops(root, notes)
    rows, excluded, unlabelled = [], [], 0
    for path, split in files:
        names, labels = _labels(path)
        crop = crops.get((path.stem.lower(),))
        if crop is None:
            excluded.append(Excluded(path.stem, "", f"no crops of this video, {len(labels)} labelled frames"))
            continue
        unlabelled += labels.count(-1)
        for start, stop, label in pieces(labels):
            rows.append(Row(f"{path.stem}_{start:05d}", path.stem, crop, start, None, stop,
                            names[label], flags=(split, "fps_nominal")))
    if excluded:
        notes.append(f"{len(excluded)} of the annotation's {len(files)} videos have no crops: "
                     + ", ".join(row.clip_id for row in excluded[:SHOWN]) + (" ..." if len(excluded) > SHOWN else ""))
    if unlabelled:
        notes.append(f"{unlabelled} frames are labelled -1 (ignore) and belong to no clip")
    clips, without = settle(rows, root=root, dataset=dataset, release=edition, fps=FPS, longest=None)
    tables = tuple(path.relative_to(root).as_posix() for path, _ in files)
    return Reading(edition, tuple(clips), (*excluded, *without), tables, tuple(notes))


def pieces(labels: list[int]) -> list[tuple[int, int, int]]:
    """(first frame, last frame, label), 1-based and inclusive, of runs of one label, each at most PIECE frames long."""
    cut, start = [], 1
    for label, run in groupby(labels):
        length = sum(1 for _ in run)
        if label != -1:
            count = -(-length // PIECE)
            bounds = [start + length * i // count for i in range(count + 1)]
            cut += [(bounds[i], bounds[i + 1] - 1, label) for i in range(count)]
        start += length
    return cut


def _edition(root: Path, variant: str, notes: list[str]) -> tuple[str, list[tuple[Path, str]]]:
    """The number of classes of the chosen edition, and its txt files with their split, sorted."""
    found: dict[str, tuple[Path, list[tuple[Path, str]]]] = {}
    for holder in holders(root, "|".join(SPLITS), lambda folder: "expr" in inside(root, folder), "cropped.*|batch.*"):
        files = [(path, SPLITS[name]) for name, folder in subfolders(holder).items() if name in SPLITS
                 for path in sorted(folder.glob("[!.]*.txt"))]
        if files:
            # of several editions with as many classes the last by name is the newest
            found[str(len(_labels(files[0][0])[0]))] = (holder, files)
    wanted = max(found, default="8") if variant == "auto" else variant
    if wanted not in found:
        raise MerError(f"{root}: no annotation of {wanted} classes found in the layout "
                       f".../EXPR_Recognition_Challenge/Train_Set/<video>.txt; found: {', '.join(found) or 'none'}"
                       + instead(root))
    for number, (holder, _) in found.items():
        if number != wanted:
            notes.append(f"the annotation of {number} classes in {inside(root, holder)} was not read")
    return wanted, found[wanted][1]


def _crops(root: Path, notes: list[str]) -> dict[tuple[str, ...], Path]:
    """(Video name, lower case) -> folder of its aligned crops, over all cropped_aligned... archives.

    They may be unpacked doubled, and in or above folders batch1, batch2.
    """
    found = (pair for holder in holders(root, r"cropped_aligned.*", skip="cropped")
             for name, archive in subfolders(holder).items() if name.startswith("cropped_aligned")
             for pair in _videos(archive))
    crops = merged(root, found, notes)
    if not crops:
        raise MerError(f"{root}: no frames found in the layout cropped_aligned/<video>/00001.jpg; videos (.mp4, .avi) "
                       f"are not read, the release offers their aligned crops{instead(root)}")
    return crops


def _videos(archive: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    for name, folder in subfolders(archive).items():
        if re.fullmatch(r"cropped_aligned.*|batch\d*", name):
            yield from _videos(folder)
        else:
            yield (name,), folder


def _labels(path: Path) -> tuple[list[str], list[int]]:
    """(class names, one label a frame). Raises MerError naming file and line for anything else."""
    lines = text_lines(path)
    names = [name.strip() for name in lines[0].split(",")] if lines else []
    if str(len(names)) not in VARIANTS:
        raise MerError(f"{path}: line 1 names {len(names)} classes, expected the names of 7 or 8")
    labels = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            label = int(line)
        except ValueError:
            label = len(names)
        if not -1 <= label < len(names):
            raise MerError(f"{path}: line {number} is '{line.strip()}', expected a label from -1 to {len(names) - 1}")
        labels.append(label)
    return names, labels
