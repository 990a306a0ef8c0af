"""CAS(ME)^3's macro-expressions (30 fps, part A), of the people of its micro-expressions: for pretraining.

    annotation/cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx
    Part_A_MaE_clip/frame/spNo.1_a_355/355.jpg                one folder an expression, preferred
    part_A/data/part_A_split/part_A/spNO.1/a/color/355.jpg    whole videos, for the expressions without such a folder

The columns are called sub and seq, or Subject and Filename as in the table of the micro-expressions; as there, the key
is (subject, video, onset), folders and tables differ in case, and subjects are named the same. Rows that the table
gives no emotion are left out.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mer.datasets.places import clips_and_videos, spno
from mer.datasets.rules import Excluded, Reading, Row, settle
from mer.datasets.tree import find_tables, newest_table
from mer.datasets.workbook import Cell, find_header, frame, read_sheets, text

DATASETS = {"casme3_macro": "macro"}
PEOPLE = {"casme3_macro": "casme3"}
FPS = 30.0
TABLES = r"cas\(me\)\^?3_part_a_mae_label_jpgindex.*\.(xlsx?|csv)"
SUBJECT, CLIP = r"spno\.\d+", r"spno\.\d+_[a-z]+_\d+"
LAYOUT = "Part_A_MaE_clip/frame/spNo.1_a_355/355.jpg or part_A/spNO.1/a/color/355.jpg"
FRAMES = ("onset", "apex", "offset", "emotion")


def read(root: Path, *, dataset: str) -> Reading:
    """Read the macro-expressions of part A that have an emotion.

    Raises MerError when table or frames are not found, or the table lacks a column.
    """
    notes: list[str] = []
    table = newest_table(find_tables(root, TABLES), root, "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx", notes,
                         never="part_a_me|part_a_v|part_[bc]")
    clips, videos = clips_and_videos(root, notes, clip=CLIP, own=_is_macro_color, subject=SUBJECT, layout=LAYOUT)
    records = list(_records(table))
    repeated = Counter(key for key, *_ in records)
    rows: list[Row] = []
    for key, subject, name, (onset, apex, offset, emotion, aus) in records:
        own, video = clips.find(key), (subject, name, "color")
        looked_for = videos.looked_for(*video) if videos.places else clips.looked_for(key)
        rows.append(Row(
            f"{key}_{text(offset)}" if repeated[key] > 1 else key, subject, own or videos.find(*video), frame(onset),
            frame(apex), frame(offset), text(emotion), text(aus), own_folder=own is not None, looked_for=looked_for))
    release = "a_v1" if "_v1" in table.name.lower() else "a_v2"
    kept, excluded = settle([row for row in rows if row.label], root=root, dataset=dataset, release=release, fps=FPS,
                            longest=None)
    excluded += [Excluded(row.clip_id, "", "its table has no emotion") for row in rows if not row.label]
    return Reading(release, tuple(kept), tuple(excluded), (table.relative_to(root).as_posix(),), tuple(notes))


def _is_macro_color(path: str) -> bool:
    return "mae" in path and not any(word in path for word in ("depth", "video"))


def _records(table: Path) -> Iterator[tuple[str, str, str, tuple[Cell, ...]]]:
    """(key, subject, video, (onset, apex, offset, emotion, action units)) of every row."""
    sheet = next(iter(read_sheets(table).values()))
    start, places = find_header(sheet, FRAMES, table)
    header = [text(cell).lower() for cell in sheet[start]]
    ids = ("sub", "seq") if "sub" in header else ("Subject", "Filename")
    _, names = find_header(sheet[start:], (*ids, *FRAMES), table)
    units = header.index("au") if "au" in header else None
    for line, cells in enumerate(sheet[start + 1:], start + 2):
        full = [*cells, *[None] * len(header)]
        if full[names[0]] is None:
            continue
        subject, video = spno(full[names[0]], f"{table}: row {line}, the subject"), text(full[names[1]]).lower()
        onset, *others = (full[place] for place in places)
        yield (f"{subject}_{video}_{text(onset)}", subject, video,
               (onset, *others, None if units is None else full[units]))
