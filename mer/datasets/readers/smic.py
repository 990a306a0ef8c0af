"""SMIC: the short sets HS (100 fps), VIS and NIR (25 fps), whose folders are the annotation, and the long SMIC-E sets.

    SMIC_all_raw/HS/s1/micro/negative/s1_ne_01/image559740.bmp              (images: raw)
    SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image559740.bmp      (images: cropped)
    SMIC-E_raw image/HS_long/SMIC-HS-E_annotation.xlsx, SMIC-HS-E/s01/s01_ne_01/image559718.jpg

A short clip is its own onset..offset and has no apex. A long clip holds up to three expressions, one row each here.
Clip and subject are written as MEGC2019 writes them (s01, s01_ne_01), however the folders are padded; 2nd and 3rd
expressions of a long clip get _2 and _3.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import DIGITS
from mer.datasets.places import find_places, is_cropped, merged, undoubled
from mer.datasets.rules import Reading, Row, settle
from mer.datasets.tree import find_tables, inside, instead, newest_table, subfolders
from mer.datasets.workbook import Cell, find_header, frame, read_sheets

DATASETS = {"smic": "micro"}
VARIANTS = ("hs", "vis", "nir", "hs_long", "vis_long", "nir_long")
SIGNS = r"smic[-_].*"
SUBJECT = r"s\d+"
FPS = {"hs": 100.0, "vis": 25.0, "nir": 25.0}
EMOTIONS = {"ne": "negative", "po": "positive", "sur": "surprise"}
CLIP = re.compile(rf"s(\d{{1,{DIGITS}}})_(ne|po|sur)_(\d{{1,{DIGITS}}})", re.IGNORECASE)


def read(root: Path, *, dataset: str, images: str, variant: str) -> Reading:
    """Read one set; `variant` hs, vis, nir, hs_long, vis_long or nir_long (the long sets have raw images only).

    Raises MerError when the set is not found, or a clip's name and folder name different emotions.
    """
    camera, _, long = variant.partition("_")
    if long:
        return _read_long(root, dataset, camera, variant)
    notes: list[str] = []
    layout = f"SMIC_all_{images}/{camera.upper()}/s1/micro/negative/s1_ne_01/image1.bmp"
    frames = find_places(
        root, SUBJECT, layout, notes, levels=0,
        accept=lambda folder: _is_short(folder) and camera in re.split(r"[/_-]", inside(root, folder))
        and is_cropped(root, folder, SUBJECT) == (images == "cropped"))
    found = [pair for place in frames.places for pair in _short_clips(place)]
    rows = [_short_row(clip, emotion) for (_, emotion, _), clip in merged(root, found, notes).items()]
    if not rows:
        raise MerError(f"{root}: no clips found in the layout {layout}{instead(root, 'into this layout')}")
    clips, excluded = settle(rows, root=root, dataset=dataset, release=variant, fps=FPS[camera])
    return Reading(variant, tuple(clips), tuple(excluded), (), tuple(notes))


def _micro(subject: Path) -> Path | None:
    return subfolders(subject).get("micro")


def _is_short(folder: Path) -> bool:
    """Whether subjects here have a 'micro' level, which the long sets lack."""
    return any(_micro(undoubled(subject)) for subject in subfolders(folder).values())


def _short_clips(place: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """((subject, emotion, clip), folder); the emotion is '' where clips lie in `micro` itself."""
    for name, subject in subfolders(place).items():
        micro = _micro(undoubled(subject))
        for level, folder in subfolders(micro).items() if micro else ():
            if CLIP.fullmatch(level):
                yield (name, "", level), folder
            else:
                yield from (((name, level, clip), path) for clip, path in subfolders(folder).items())


def _short_row(folder: Path, emotion: str) -> Row:
    clip_id, subject, label = _parts(folder.name, folder)
    if emotion not in ("", label):
        raise MerError(f"{folder}: the name says {label}, the folder {emotion}; expected the same")
    return Row(clip_id, subject, folder, None, None, None, label, whole=True)


def _parts(name: str, where: Path) -> tuple[str, str, str]:
    """(clip_id, subject, emotion) from 's1_ne_01' or 's01_ne_01'."""
    match = CLIP.fullmatch(name)
    if match is None:
        raise MerError(f"{where}: '{name}' is no clip name such as s1_ne_01")
    subject = f"s{int(match[1]):02d}"
    return f"{subject}_{match[2].lower()}_{int(match[3]):02d}", subject, EMOTIONS[match[2].lower()]


def _read_long(root: Path, dataset: str, camera: str, variant: str) -> Reading:
    notes: list[str] = []
    upper = camera.upper()
    what = f"SMIC-{upper}-E_annotation.xlsx"
    table = newest_table(find_tables(root, rf"smic[-_ ]{camera}[-_ ]e.*annotation.*\.(xlsx?|csv)"), root, what, notes)
    frames = find_places(
        root, SUBJECT, f"{upper}_long/SMIC-{upper}-E/s01/s01_ne_01/image1.jpg", notes, levels=2,
        accept=lambda folder: not _is_short(folder) and bool(
            {f"{camera}_long", f"smic-{camera}-e", f"smic_{camera}_e"} & set(inside(root, folder).split("/"))))
    folders = {_parts(clip.name, clip)[0]: clip for clip in frames.folders.values()}
    rows, passed, repeated = [], 0, []
    for record in _long_records(next(iter(read_sheets(table).values())), table):
        if not CLIP.fullmatch(record["name"]):
            passed += 1  # notes below the data
            continue
        clip_id, subject, label = _parts(record["name"], table)
        repeated += [clip_id] * (len(record["pairs"]) - len(set(record["pairs"])))
        for count, (onset, offset) in enumerate(dict.fromkeys(record["pairs"]), 1):
            rows.append(Row(clip_id if count == 1 else f"{clip_id}_{count}", subject, folders.get(clip_id), onset, None,
                            offset, label, looked_for=frames.looked_for(subject, clip_id)))
    if repeated:
        notes.append(f"{table.name} repeats an expression of {', '.join(repeated)}; it was read once")
    if passed:
        notes.append(f"{passed} rows of {table.name} without a clip's name were passed over (text below the data)")
    clips, excluded = settle(rows, root=root, dataset=dataset, release=variant, fps=FPS[camera])
    return Reading(variant, tuple(clips), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _long_records(rows: list[list[Cell]], table: Path) -> list[dict]:
    """Clip name and (onset, offset) pairs of every row: OnsetF, OffsetF, then pairs in the columns up to FirstF.

    The further pairs' headers differ between the tables, so they are taken by place; frame numbers are absolute.
    """
    start, (name, onset, offset, first) = find_header(rows, ("Filename", "OnsetF", "OffsetF", "FirstF"), table)
    records = []
    for row in rows[start + 1:]:
        if not any(cell is not None for cell in row):
            continue
        cells = [*row, *[None] * (first + 1)]
        pairs = [(frame(cells[onset]), frame(cells[offset]))]
        pairs += [(frame(cells[place]), frame(cells[place + 1])) for place in range(offset + 1, first - 1, 2)
                  if frame(cells[place]) and frame(cells[place + 1])]
        records.append({"name": str(cells[name] or ""), "pairs": pairs})
    return records
