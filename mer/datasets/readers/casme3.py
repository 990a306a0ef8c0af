"""CAS(ME)^3 (30 fps): part A's micro-expressions (table v1 or v2) and part C's (no apex).

    annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx (v1: .xls), CAS(ME)3_part_C_ME.xlsx
    Part_A_ME_clip/frame/spNo.1_a_355/355.jpg                   one folder an expression, preferred
    part_A/data/part_A_split/part_A/spNO.1/a/color/355.jpg      whole videos, for the expressions without such a folder
    part_C/01/a/color/355.jpg

(subject, filename) is no key, several expressions lie in one video: the key is (subject, filename, onset). Folders and
tables differ in case (spNo, spNO); frames are missing on disk, mostly the first ones of a video.
"""

from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.places import clips_and_videos, find_places, in_color, spno
from mer.datasets.rules import Reading, Row, settle
from mer.datasets.tree import find_tables, newest_table
from mer.datasets.workbook import by_header, frame, read_sheets, text

DATASETS = {"casme3": "micro"}
VARIANTS = ("auto", "a_v2", "a_v1", "c")
SIGNS = r"cas\(me\)\^?3.*|part_a_me_clip"
FPS = 30.0
SUBJECT, CLIP = r"spno\.\d+", r"spno\.\d+_[a-z]+_\d+"
COLUMNS = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "emotion")
COLUMNS_C = ("sub", "count", "onset", "offset", "au", "emotion")


def read(root: Path, *, dataset: str, variant: str) -> Reading:
    """Read one part; `variant` auto (part A, newest table), a_v1, a_v2 or c.

    Raises MerError when table or frames are not found, or the table lacks a column.
    """
    notes: list[str] = []
    if variant == "c":
        table, release, rows = _part_c(root, notes)
    else:
        table, release, rows = _part_a(root, variant, notes)
    clips, excluded = settle(rows, root=root, dataset=dataset, release=release, fps=FPS)
    return Reading(release, tuple(clips), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _part_a(root: Path, variant: str, notes: list[str]) -> tuple[Path, str, list[Row]]:
    version = variant.removeprefix("a_") if variant != "auto" else "v[12]"
    tables = find_tables(root, rf"cas\(me\)\^?3_part_a_me_label_jpgindex_{version}.*\.(xlsx?|csv)")
    # of one version the shortest name is the release's own: _v2_refined.xlsx is somebody's
    tables.sort(key=lambda table: ("_v2" in table.name.lower(), -len(table.name)))
    table = newest_table(
        tables, root, f"cas(me)3_part_A_ME_label_JpgIndex_{'v2' if variant == 'auto' else version}.xlsx", notes,
        never="_mae_|part_a_v|part_[bc]|_me_label_jpgindex")
    records = by_header(next(iter(read_sheets(table).values())), COLUMNS, table)
    clips, videos = clips_and_videos(
        root, notes, clip=CLIP, own=_is_micro_color, subject=SUBJECT,
        layout="Part_A_ME_clip/frame/spNo.1_a_355/355.jpg or part_A/spNO.1/a/color/355.jpg")
    rows = []
    for record in records:
        subject, name = spno(record["Subject"], f"{table}: column Subject"), text(record["Filename"]).lower()
        key = f"{subject}_{name}_{record['Onset']}"
        own, video = clips.find(key), (subject, name, "color")
        looked_for = videos.looked_for(*video) if videos.places else clips.looked_for(key)
        rows.append(Row(
            key, subject, own or videos.find(*video), frame(record["Onset"]), frame(record["Apex"]),
            frame(record["Offset"]), text(record["emotion"]), text(record["AU"]), own_folder=own is not None,
            looked_for=looked_for))
    return table, "a_v2" if "_v2" in table.name.lower() else "a_v1", rows


def _is_micro_color(path: str) -> bool:
    """Whether a path holds colour frames of micro-expressions: not of macro-expressions, no depth, no videos."""
    return not any(word in path for word in ("mae", "depth", "video"))


def _part_c(root: Path, notes: list[str]) -> tuple[Path, str, list[Row]]:
    tables = find_tables(root, r"cas\(me\)\^?3_part_c_me\.(xlsx?|csv)")
    table = newest_table(tables, root, "CAS(ME)3_part_C_ME.xlsx", notes, never="part_[ab]")
    records = by_header(next(iter(read_sheets(table).values())), COLUMNS_C, table)
    frames = find_places(root, r"\d\d?", "part_C/01/a/color/355.jpg", notes, levels=3, accept=in_color)
    folders: dict[int, Path] = {}
    for (subject, _, kind), folder in sorted(frames.folders.items()):
        if (person := frame(subject)) is not None and kind == "color":
            folders.setdefault(person, folder)
    rows = []
    for record in records:
        number = frame(record["sub"])
        if number is None:
            raise MerError(f"{table}: column sub holds '{record['sub']}', expected a number")
        # one of the part's AU cells separates with a full-width comma
        aus = text(record["au"]).replace("\N{FULLWIDTH COMMA}", ",")
        rows.append(Row(
            f"c{number:02d}_{record['onset']}", f"c{number:02d}", folders.get(number),
            frame(record["onset"]), None, frame(record["offset"]), text(record["emotion"]), aus,
            looked_for=frames.looked_for(f"{number:02d}", "a", "color")))
    return table, "c", rows
