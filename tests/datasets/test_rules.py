import re

import pytest
from raw_releases.plain import write_frames

from mer.datasets.clips import Clip, frame_files
from mer.datasets.rules import FLAGS, Row, mend, settle


@pytest.mark.parametrize(("given", "ends", "longest", "expected"), [
    ((5, 8, 12), None, 100, (5, 8, 12, [])),
    ((5, None, 12), None, 100, (5, None, 12, ["no_apex"])),
    ((5, 0, 12), None, 100, (5, None, 12, ["no_apex"])),
    ((0, 0, 12), None, 100, (0, None, 12, ["no_apex"])),
    ((5, 5, 12), None, 100, (5, None, 12, ["apex_at_onset"])),
    ((5, 5, 3460), (1, 39), 100, (5, None, 39, ["offset_guessed", "apex_at_onset"])),
    ((5, 5, 5), None, 100, (5, 5, 5, [])),  # one frame, as annotated
    ((5, 12, 12), None, 100, (5, 12, 12, [])),  # apex = offset stays
    ((5, 15, 12), None, 100, (5, None, 12, ["apex_outside"])),
    ((5, 3, 12), None, 100, (5, None, 12, ["apex_outside"])),
    ((5, 8, 0), None, 100, (5, 8, 11, ["offset_guessed"])),
    ((5, 8, None), None, 100, (5, 8, 11, ["offset_guessed"])),
    ((5, 8, 3), None, 100, (5, 8, 11, ["offset_guessed"])),
    ((5, 8, 3460), None, 100, (5, 8, 11, ["offset_guessed"])),
    ((5, 8, 3460), None, None, (5, 8, 3460, [])),
    ((5, 8, 0), (1, 20), 100, (5, 8, 20, ["offset_guessed"])),
    ((5, None, 0), (1, 20), 100, (5, None, 20, ["no_apex", "offset_guessed"])),
    ((3647, 2650, 2655), None, 100, (2645, 2650, 2655, ["onset_guessed"])),
    ((3647, 2650, 2655), (2648, 2655), 100, (2648, 2650, 2655, ["onset_guessed"])),
    ((None, 8, 12), None, 100, (4, 8, 12, ["onset_guessed"])),
])
def test_order_of_frames_is_mended_by_rule(given, ends, longest, expected):
    assert mend(*given, ends=ends, longest=longest) == expected


@pytest.mark.parametrize(("given", "ends", "brief", "expected"), [
    ((20, 20, 900), None, 15, (20, None, 35, ["offset_guessed", "apex_at_onset"])),
    ((20, 20, 900), None, None, (20, 20, None, ["offset_guessed"])),
    ((20, 20, 0), None, 15, (20, None, 35, ["offset_guessed", "apex_at_onset"])),
    ((20, 20, 900), (1, 20), 15, (20, 20, None, ["offset_guessed"])),
    ((900, 20, 20), None, 15, (5, 20, 20, ["onset_guessed"])),
    ((900, 20, 20), None, None, (20, 20, None, ["onset_guessed"])),
    ((None, 3, 3), None, 15, (0, 3, 3, ["onset_guessed"])),
])
def test_a_mended_end_never_makes_a_clip_of_one_frame(given, ends, brief, expected):
    assert mend(*given, ends=ends, longest=300, brief=brief) == expected


def test_a_row_of_which_one_frame_and_one_guessed_end_are_left_is_left_out(tmp_path):
    write_frames(tmp_path / "f", [5, 50])
    reason = settled(tmp_path, apex=6, offset=0).reason
    assert reason == "only frame 5 of 5..7, of which one end is guessed, is in f"


@pytest.mark.parametrize("given", [
    (9, None, 5), (0, None, 0), (9, None, None), (None, None, 5), (9, 7, 6), (9, 7, None)])
def test_rows_that_no_rule_helps_give_no_offset(given):
    assert mend(*given)[2] is None


def settled(tmp_path, **changes):
    row = Row(**{"clip_id": "c", "subject": "s", "folder": tmp_path / "f", "onset": 5, "apex": 8, "offset": 12,
                 "label": "joy"} | changes)
    clips, excluded = settle([row], root=tmp_path, dataset="d", release="r", fps=10.0)
    return (clips or excluded)[0]


@pytest.mark.parametrize(("numbers", "changes", "first", "last", "apex", "flags"), [
    (range(1, 20), {}, 5, 12, 8, ""),
    (range(7, 20), {}, 7, 12, 8, "clamped"),
    (range(1, 11), {}, 5, 10, 8, "clamped"),
    ([5, 6, 7, 9, 10, 11, 12], {}, 5, 12, 7, "gaps;apex_moved"),
    ([6, 7, 9, 10], {}, 6, 10, 7, "clamped;gaps;apex_moved"),
    ([9, 10], {}, 9, 10, None, "clamped;apex_at_onset"),
    ([8, 9, 10], {}, 8, 10, None, "clamped;apex_at_onset"),
    ([12], {}, 12, 12, 12, "clamped;apex_moved;single_frame"),
    (range(1, 40), {"apex": 5, "offset": 400}, 5, 10, None, "offset_guessed;apex_at_onset"),
    (range(1, 40), {"onset": 20, "apex": 12}, 7, 12, 12, "onset_guessed"),
    (range(1, 20), {"onset": None, "offset": None, "whole": True}, 1, 19, None, "no_apex"),
    (range(1, 20), {"onset": 405, "apex": 410, "offset": 420, "own_folder": True}, 1, 19, None, "renumbered"),
    (range(1, 20), {"flags": ("train",)}, 5, 12, 8, "train"),
])
def test_clips_are_clamped_to_the_frames_on_disk(tmp_path, numbers, changes, first, last, apex, flags):
    write_frames(tmp_path / "f", numbers)
    clip = settled(tmp_path, **changes)
    assert isinstance(clip, Clip)
    assert (clip.first, clip.last, clip.apex, clip.flags) == (first, last, apex, flags)
    files = [number for number, _ in frame_files(tmp_path, clip)]
    assert files[0] == first and files[-1] == last and (apex is None or apex in files)
    assert set(filter(None, clip.flags.split(";"))) <= set(FLAGS)


@pytest.mark.parametrize(("numbers", "changes", "reason"), [
    ([], {}, "holds no numbered image"),
    (range(50, 60), {}, r"no frame of 5..12 in f \(frames 50..59\)"),
    (range(1, 20), {"offset": 3, "apex": 4}, "onset 5, apex 4, offset 3"),
    (range(1, 20), {"offset": 200, "apex": None}, "onset 5, apex None, offset 200"),
    (range(1, 20), {"folder": None, "looked_for": "a/b"}, "not found: a/b"),
])
def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path, numbers, changes, reason):
    write_frames(tmp_path / "f", numbers)
    excluded = settled(tmp_path, **changes)
    assert not isinstance(excluded, Clip)
    assert (excluded.clip_id, excluded.label) == ("c", "joy")
    assert re.search(reason, excluded.reason)
