"""What a reader hands over, and the explicit rules by which odd annotation rows are kept, mended or left out.

No row is patched by its number or name: the same rules are applied to every row of every release (`settle`), each
leaves a flag in the clip's row, and `summary.json` lists the clips of each flag.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path

from mer.datasets.clips import Clip, frame_names, safe_name

LONGEST = 10.0  # seconds; no micro-expression lasts a tenth of it, so a longer row has a typing error
UNLABELLED = "unlabelled"  # the word of a clip that its release gives no single label: in no class of any set
BRIEF = 0.5  # seconds; what a micro-expression lasts at most, and a macro-expression at least

FLAGS = {
    "no_apex": "the annotation has no apex ('/', empty, or 0)",
    "apex_at_onset": "the apex is the onset or the first frame on disk: nothing moved before it; it is dropped",
    "apex_outside": "the annotated apex lies outside onset..offset; it is dropped, the clip stays",
    "apex_moved": "the apex frame is not on disk; the nearest frame that is was taken",
    "offset_guessed": "the offset is missing, 0, before onset and apex, or implausibly late; see rules.settle",
    "onset_guessed": "the onset is missing, or after apex and offset; see rules.settle",
    "clamped": "frames at an end of onset..offset are not on disk; first..last are those that are",
    "gaps": "frames between first and last are not on disk",
    "renumbered": "the clip's own folder has no frame of onset..offset; the whole folder was taken, without an apex",
    "single_frame": "one image, no motion",
    "aus_exchanged": "the action units stood in the neighbouring row, as the emotions' columns beside them show",
    "fps_nominal": "the release does not state the frame rate; the number is a convention",
    "units_unread": "the annotation's action units hold words that are not read: `aus` has the rest, `aus_raw` all",
    "subject_unknown": "the release names no persons; `subject` is only a group of clips",
    "train": "the release's own training part",
    "validation": "the release's own validation part",
    "test": "the release's own test part",
    **{f"test{fold}": f"the test part of the release's fold {fold}" for fold in range(1, 6)},
}


@dataclass(frozen=True)
class Excluded:
    """A row of the annotation that gives no clip, and why."""

    clip_id: str
    label: str
    reason: str
    subject: str = ""  # without the dataset's name; '' where a row names none


@dataclass(frozen=True)
class Reading:
    """The outcome of one reader. `tables` are the annotation files, posix paths relative to the raw root."""

    release: str
    clips: tuple[Clip, ...]
    excluded: tuple[Excluded, ...] = ()
    tables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # likely causes of odd counts and other remarks, one line each


@dataclass(frozen=True)
class Row:
    """One annotated expression before the rules."""

    clip_id: str
    subject: str  # without the dataset's name
    folder: Path | None  # None: not found on disk
    onset: int | None
    apex: int | None
    offset: int | None
    label: str
    aus: str = ""
    flags: tuple[str, ...] = ()
    own_folder: bool = False  # the folder holds this expression alone
    whole: bool = False  # the folder is the annotation: its first and last frame are onset and offset
    looked_for: str = ""  # the folder that was not found, for the message
    objective: str = ""


def settle(rows: list[Row], *, root: Path, dataset: str, release: str, fps: float,
           longest: float | None = LONGEST) -> tuple[list[Clip], list[Excluded]]:
    """Apply the rules to every row: (clips, exclusions), both in the order of the rows.

    0. A `whole` row has no table behind it: onset and offset are the outermost frames of its folder.
    1. Apex missing or 0: `no_apex`.
    2. Offset unusable (missing, 0, before the onset although the apex is not, or more than `longest` seconds after the
       onset): `offset_guessed`, the last frame of the clip's own folder, else the rise mirrored, apex + (apex - onset),
       or, where the apex is the onset and nothing rises, BRIEF seconds after it.
    3. Onset unusable (missing, or after an apex and an offset that are in order): `onset_guessed`, the first frame of
       the clip's own folder, else the fall mirrored, apex - (offset - apex), or BRIEF seconds before an apex that is
       the offset.
    4. Offset still missing or before the onset, or a guess that leaves one frame: the row is left out.
    5. Apex outside onset..offset: `apex_outside`, no apex. Apex equal to the onset, of more than one frame:
       `apex_at_onset`, no apex.
    6. first..last are the outermost frames of onset..offset on disk (`clamped`, `gaps`). A missing or empty folder, or
       none of the frames, leaves the row out; a folder of the clip's own is then taken whole (`renumbered`).
    7. Apex not on disk: the nearest frame that is, `apex_moved`; no apex where that is the first one on disk
       (`apex_at_onset`). One frame in all: `single_frame`.
    """
    clips, excluded = [], []
    listing: dict[Path, list[int]] = {}
    limit = None if longest is None else int(longest * fps)
    for row in rows:
        outcome = _settle(row, root, dataset, release, fps, limit, listing)
        (clips if isinstance(outcome, Clip) else excluded).append(outcome)
    return clips, excluded


def mend(onset: int | None, apex: int | None, offset: int | None, *, ends: tuple[int, int] | None = None,
         longest: int | None = None, brief: int | None = None,
         ) -> tuple[int | None, int | None, int | None, list[str]]:
    """Rules 1 to 5: (onset, apex, offset, flags), onset or offset None when no rule helped.

    `ends`: first and last frame of the clip's own folder; `longest`, `brief`: frames.
    """
    flags = []
    if not apex:
        apex, flags = None, ["no_apex"]
    rising = onset is not None and apex is not None and onset <= apex
    falling = bool(offset) and apex is not None and apex <= offset
    if not offset or (onset is not None and offset < onset and not falling) or (
            longest is not None and onset is not None and offset - onset > longest):
        offset = ends[1] if ends else onset + (2 * (apex - onset) or brief or 0) if rising else None
        flags.append("offset_guessed")
    elif falling and (onset is None or offset < onset):
        onset = ends[0] if ends else max(offset - (2 * (offset - apex) or brief or 0), 0)
        flags.append("onset_guessed")
    guessed = flags[-1:] in (["offset_guessed"], ["onset_guessed"])
    if onset is None or offset is None or offset < onset + guessed:
        return onset, apex, None, flags
    if apex is not None and (apex == onset < offset or not onset <= apex <= offset):
        flags.append("apex_at_onset" if apex == onset else "apex_outside")
        apex = None
    return onset, apex, offset, flags


def _settle(row: Row, root: Path, dataset: str, release: str, fps: float, limit: int | None,
            listing: dict[Path, list[int]]) -> Clip | Excluded:
    def leave_out(reason: str) -> Excluded:
        return Excluded(safe_name(row.clip_id), row.label, reason, safe_name(row.subject))

    if row.folder is None:
        return leave_out(f"frame folder not found: {row.looked_for}")
    if row.folder not in listing:
        listing[row.folder] = list(frame_names(row.folder))
    numbers = listing[row.folder]
    where = row.folder.relative_to(root).as_posix()
    if not numbers:
        return leave_out(f"frame folder {where} holds no numbered image")
    ends = (numbers[0], numbers[-1]) if row.own_folder or row.whole else None
    if row.whole:
        onset, apex, offset, flags = numbers[0], None, numbers[-1], ["no_apex"]
    else:
        onset, apex, offset, flags = mend(row.onset, row.apex, row.offset, ends=ends, longest=limit,
                                          brief=max(round(BRIEF * fps), 1))
    if offset is None:
        return leave_out(f"onset {row.onset}, apex {row.apex}, offset {row.offset} are in no usable order")
    inside = numbers[bisect_left(numbers, onset):bisect_right(numbers, offset)]
    if not inside and ends:
        inside, (onset, offset), apex, flags = numbers, ends, None, ["renumbered"]
    if not inside:
        return leave_out(f"no frame of {onset}..{offset} in {where} (frames {numbers[0]}..{numbers[-1]})")
    first, last = inside[0], inside[-1]
    if first > onset or last < offset:
        flags.append("clamped")
    if len(inside) < last - first + 1:
        flags.append("gaps")
    if first == last and {"offset_guessed", "onset_guessed"} & set(flags):
        return leave_out(f"only frame {first} of {onset}..{offset}, of which one end is guessed, is in {where}")
    if apex is not None and apex not in inside:
        apex = min(inside, key=lambda number, wanted=apex: abs(number - wanted))
        flags.append("apex_moved")
    if first == last and "single_frame" not in row.flags:
        flags.append("single_frame")
    if apex == first < last:  # the frames before it are lost
        apex, flags = None, [flag for flag in flags if flag != "apex_moved"] + ["apex_at_onset"]
    return Clip(safe_name(row.clip_id), dataset, release, f"{dataset}/{safe_name(row.subject)}", where, first, last,
                onset, apex, offset, fps, row.label, row.aus, ";".join([*row.flags, *flags]), row.objective)
