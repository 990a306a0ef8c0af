"""The plain layout: how the synthetic release is written, and how one brings a dataset of one's own.

    <root>/clips.csv                     clip_id,subject,frames,onset,apex,offset,fps,label,aus
    <root>/<frames>/<anything><number>.jpg|png|bmp
    <root>/classes.yaml                  optional: label sets

`frames` is a folder relative to the root; onset, apex, offset are frame numbers as in the file names; `apex` and `aus`
may be empty (and their columns absent). Nothing is guessed here, as the table can be mended: a malformed table is an
error, a row whose frames do not fit is left out and recorded.
"""

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mer.base.errors import MerError
from mer.datasets.clips import SAFE_NAME, Clip, frame_names, positive, read_csv, whole_number
from mer.datasets.rules import Excluded, Reading

DATASETS = {"synthetic": "micro", "synthetic_macro": "macro"}  # and every dataset of one's own
REQUIRED = ("clip_id", "subject", "frames", "onset", "offset", "fps", "label")


def read(root: Path, *, dataset: str) -> Reading:
    """Read a dataset in the plain layout.

    Raises MerError naming file, row and column: no clips.csv, a missing column, an unparsable cell, a repeated or
    unsafe clip_id, a frames folder outside the root, no usable clip at all.
    """
    table = root / "clips.csv"
    clips, excluded, seen = [], [], set()
    for line, row in read_csv(table, REQUIRED):
        clip = _clip(dataset, table, line, row)
        if clip.clip_id in seen:
            raise MerError(f"{table}: row {line}, column 'clip_id': '{clip.clip_id}' stands twice, ids must be unique")
        seen.add(clip.clip_id)
        outcome = _with_frames(root, clip)
        (clips if isinstance(outcome, Clip) else excluded).append(outcome)
    if not clips:
        why = f"; the first of {len(excluded)}: {excluded[0].clip_id}, {excluded[0].reason}" if excluded else ""
        raise MerError(f"{table} gives no usable clip{why}")
    return Reading("plain", tuple(clips), tuple(excluded), ("clips.csv",))


def _clip(dataset: str, table: Path, line: int, row: dict[str, str]) -> Clip:
    for name in ("clip_id", "subject"):
        if not SAFE_NAME.fullmatch(row[name]) or row[name].startswith("."):
            raise MerError(f"{table}: row {line}, column '{name}': '{row[name]}'; use letters, digits and _.- only")
    if not row["label"]:
        raise MerError(f"{table}: row {line}, column 'label' is empty")
    folder = PurePosixPath(row["frames"])
    if not row["frames"] or folder.is_absolute() or ".." in folder.parts:
        raise MerError(f"{table}: row {line}, column 'frames': '{row['frames']}' is not a folder relative to the table")
    onset, offset = (whole_number(row[name], table, line, name) for name in ("onset", "offset"))
    apex = whole_number(row["apex"], table, line, "apex") if row.get("apex") else None
    fps = positive(row["fps"], table, line, "fps")
    return Clip(row["clip_id"], dataset, "plain", f"{dataset}/{row['subject']}", folder.as_posix(), onset, offset,
                onset, apex, offset, fps, row["label"], row.get("aus", ""), "no_apex" if apex is None else "")


def _with_frames(root: Path, clip: Clip) -> Clip | Excluded:
    """The clip, without an apex that is its onset, flagged for this and for frames that are not on disk, or the reason
    to leave it out."""
    reason = ""
    if clip.offset < clip.onset:
        reason = f"negative length: onset {clip.onset} after offset {clip.offset}"
    elif clip.apex is not None and not clip.onset <= clip.apex <= clip.offset:
        reason = f"apex {clip.apex} outside onset..offset {clip.onset}..{clip.offset}"
    elif not os.path.isdir(root / clip.frames_dir):  # Path.is_dir raises on a name that is too long
        reason = f"frame folder {clip.frames_dir} does not exist"
    if reason:
        return Excluded(clip.clip_id, clip.label_raw, reason)
    numbers = frame_names(root / clip.frames_dir)
    if not numbers:
        return Excluded(clip.clip_id, clip.label_raw, f"frame folder {clip.frames_dir} holds no numbered image")
    for name in ("onset", "apex", "offset"):
        number = getattr(clip, name)
        if number is not None and number not in numbers:
            found = f"{clip.frames_dir} has frames {min(numbers)}..{max(numbers)}"
            return Excluded(clip.clip_id, clip.label_raw, f"{name} {number} is no frame on disk: {found}")
    if clip.apex == clip.onset < clip.offset:
        clip = replace(clip, apex=None, flags="apex_at_onset")
    if sum(clip.onset <= number <= clip.offset for number in numbers) < clip.offset - clip.onset + 1:
        return replace(clip, flags=";".join(filter(None, [clip.flags, "gaps"])))
    return clip


