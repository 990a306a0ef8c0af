"""Whatever happened to a release, it is read, or refused in one line: never a traceback, never a clip that is none.

MER_FUZZ=1000 tries as many mutated releases a reader (minutes), `python -m tests.fuzz` others without end; a number
tried is its own seed.
"""

import os
import re
import shutil
import traceback
import zipfile
from collections import Counter
from random import Random

import pytest
from raw_releases import casme, casme3_macro, dfme, fourdme, macro, micro, mmme, samm_long
from raw_releases.books import write_book
from raw_releases.mutations import mutate
from raw_releases.plain import row, write_plain, write_table

from mer.base.errors import MerError
from mer.base.knobs import parse_yaml
from mer.datasets import action_units, releases
from mer.datasets.clips import SAFE_NAME, dataset_of, frame_names, whole, whole_number
from mer.datasets.index import build_index, survey, table
from mer.datasets.tree import entries
from mer.datasets.workbook import frame, read_sheets

TRIES = int(os.environ.get("MER_FUZZ", "8"))
LONGEST_LINE = 2000


def write_own(root):
    write_plain(root, [row(), row("c2", label="fear"), row("c3", "p2", apex="")])
    (root / "classes.yaml").write_text("sets:\n  two:\n    classes: [joy, fear]\n")


def write_casme2_with_classes(root):
    micro.write_casme2(root)
    write_book(root / "CASME2-ObjectiveClasses.xlsx", {"Sheet1": [
        ["Subject", "Filename", "Objective Class"], *([f"{row[0]:02d}", row[1], 1] for row in micro.CASME2)]})


CASES = {  # dataset and, after a blank, its variant -> writer
    "casme_sq_long": micro.write_casme_sq, "samm_long": samm_long.write_samm_long,
    "casme": casme.write_casme, "casme2": micro.write_casme2, "casme2 2019": write_casme2_with_classes,
    "samm": micro.write_samm, "smic": micro.write_smic, "smic hs_long": micro.write_smic_long,
    "casme_sq": micro.write_casme_sq, "casme_sq_macro": micro.write_casme_sq,
    "casme3": micro.write_casme3, "casme3 c": micro.write_casme3_c, "casme3_macro": casme3_macro.write_casme3_macro,
    "mmew": micro.write_mmew, "mmew_macro": micro.write_mmew, "affwild2": macro.write_affwild2,
    "dfew": macro.write_dfew, "ferv39k": macro.write_ferv39k, "afew": macro.write_afew, "dfme": dfme.write_dfme,
    "fourdme": fourdme.write_fourdme, "mmme": mmme.write_mmme,
    "mmme long": mmme.write_long, "mine": write_own}


def test_every_reader_is_tried():
    assert {name.split()[0] for name in CASES} >= set(releases.known()) - {"synthetic", "synthetic_macro"}


def attempt(root, dataset, variant):
    """'read' or 'refused'; anything else raises."""
    try:
        reading = releases.read(dataset, root, variant=variant)
        table(survey(dataset, root, reading)).encode()
    except MerError as error:
        message = str(error)
    else:
        check_clips(root, dataset, reading.clips)
        return "read"
    assert len(message.splitlines()) == 1 and len(message) < LONGEST_LINE, message[:LONGEST_LINE]
    return "refused"


def check_clips(root, dataset, clips):
    """The guarantees of `Clip`."""
    assert max(Counter(clip.clip_id for clip in clips).values()) == 1
    for clip in clips:
        frames = frame_names(root / clip.frames_dir)
        assert SAFE_NAME.fullmatch(clip.clip_id) and dataset_of(clip.subject) == dataset, clip
        assert clip.first <= clip.last and {clip.first, clip.last} <= frames.keys(), clip
        assert clip.apex is None or (clip.first <= clip.apex <= clip.last and clip.apex in frames), clip
        assert clip.fps > 0 and all("\n" not in text for text in (clip.frames_dir, clip.flags)), clip
        clip.frames_dir.encode()
        assert action_units.written(action_units.parse(clip.aus)) == clip.aus, clip


@pytest.mark.parametrize("case", CASES)
def test_a_mutated_release_is_read_or_refused_in_one_line(tmp_path, case):
    dataset, _, variant = case.partition(" ")
    whole, root = tmp_path / "whole", tmp_path / "copy"
    CASES[case](whole)
    assert attempt(whole, dataset, variant or None) == "read"
    outcomes, failures = Counter(), []
    for number in range(TRIES):
        shutil.copytree(whole, root, copy_function=os.link)
        chance = Random(f"{case} {number}")
        changes = [mutate(root, chance) for _ in range(chance.randint(1, 3))]
        try:
            outcomes[attempt(root, dataset, variant or None)] += 1
        except Exception:
            failures.append(f"{case} {number}: {'; '.join(changes)}\n{traceback.format_exc(limit=-3)}")
        shutil.rmtree(root)
    print(f"{case}: {dict(outcomes)}")
    assert not failures, f"{len(failures)} of {TRIES}:\n" + "\n".join(failures)


# What it found, a case each


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 5000, "\N{SUPERSCRIPT TWO}"])
def test_numbers_that_are_none(tmp_path, digits):
    assert frame(digits) is None and frame(10**30) is None and whole("12.0") == frame("12.0") == 12
    with pytest.raises(MerError, match="is not a whole number"):
        whole_number(digits, tmp_path, 1, "onset")
    macro.write_dfew(tmp_path)
    split = next(tmp_path.rglob("set_1.csv"))
    split.write_text(f"video_name,label\n{digits},1\n", encoding="utf-8")
    with pytest.raises(MerError, match=r"row 2 is .*expected a clip number"):
        releases.read("dfew", tmp_path)


def test_a_clip_of_ferv39k_without_a_number_is_grouped_by_scene(tmp_path):
    macro.write_ferv39k(tmp_path)
    (tmp_path / "2_ClipsforFaceCrop/2_ClipsforFaceCrop/War/Sad/0110").rename(
        tmp_path / "2_ClipsforFaceCrop/2_ClipsforFaceCrop/War/Sad/\N{SUPERSCRIPT TWO}")
    path = tmp_path / "4_setups/All_scenes/train_All.csv"
    path.write_text("War/Sad/\N{SUPERSCRIPT TWO} Sad\n", encoding="utf-8")
    assert "ferv39k/War-Sad" in {clip.subject for clip in releases.read("ferv39k", tmp_path).clips}


def test_a_workbook_without_sheets_of_cells_is_named(tmp_path):
    write_book(tmp_path / "whole.xlsx", {"Sheet1": [["Subject"]]})
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as old, zipfile.ZipFile(tmp_path / "cut.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, re.sub(rb"<sheet [^>]*/>", b"", old.read(name)))
    with pytest.raises(MerError, match="cut.xlsx holds no sheet of cells"):
        read_sheets(tmp_path / "cut.xlsx")


def test_a_frame_folder_of_too_long_a_name_is_left_out(tmp_path):
    write_plain(tmp_path, [row()])
    write_table(tmp_path, [row(), row("c2", frames="n" * 300)])
    assert [left.clip_id for left in releases.read("mine", tmp_path).excluded] == ["c2"]
    with pytest.raises(MerError, match="is not known"):
        releases.check_name("n" * 300, tmp_path)


def test_a_name_in_another_encoding_is_named(tmp_path):
    micro.write_casme3_c(tmp_path)
    (tmp_path / "part_C/part_C").rename(tmp_path / "part_C/M\udcfcller")
    with pytest.raises(MerError, match=r"part_C/M.udcfcller/.* is not UTF-8; rename it"):
        releases.read("casme3", tmp_path, variant="c")


@pytest.mark.parametrize("value", ["9" * 5000, "2019-99-99"])
def test_a_value_that_yaml_cannot_hold_is_told(tmp_path, value):
    write_own(tmp_path)
    (tmp_path / "classes.yaml").write_text(f"sets: {value}\n")
    with pytest.raises(MerError, match="classes.yaml: not valid YAML"):
        build_index("mine", tmp_path)
    with pytest.raises(MerError, match="params.yaml: not valid YAML"):
        parse_yaml(f"seed: {value}\n", "params.yaml")


def test_links_that_lead_nowhere_are_passed_over(tmp_path):
    micro.write_casme2(tmp_path)
    whole_release = releases.read("casme2", tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "CASME2-RAW/CASME2-RAW/sub01/gone").symlink_to("nowhere")
    assert releases.read("casme2", tmp_path) == whole_release
    assert {entry.name for entry in entries(tmp_path)}.isdisjoint({"loop"})


def test_a_message_stays_one_line_of_a_few_words():
    assert str(MerError("a cell\nof two lines", "another")) == "a cell of two lines\nanother"
    assert len(str(MerError("'" + "n" * 40_000 + "' is no name"))) < LONGEST_LINE
    assert str(MerError("x" * 1500)) == "x" * 1500
