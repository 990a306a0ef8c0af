"""Whatever happened to a release, it is read, or refused in one line: never a traceback, never a clip that is none.

MER_FUZZ=1000 tries as many mutated releases a reader (minutes); a number tried is its own seed.
"""

import os
import shutil
import traceback
from collections import Counter
from random import Random

import pytest
from raw_releases import casme3_macro, dfme, macro, micro
from raw_releases.mutations import mutate
from raw_releases.plain import row, write_plain

from mer.base.errors import MerError
from mer.datasets import releases
from mer.datasets.clips import SAFE_NAME, dataset_of, frame_names
from mer.datasets.index import survey, table

TRIES = int(os.environ.get("MER_FUZZ", "8"))
LONGEST_LINE = 2000


def write_own(root):
    write_plain(root, [row(), row("c2", label="fear"), row("c3", "p2", apex="")])
    (root / "classes.yaml").write_text("sets:\n  two:\n    classes: [joy, fear]\n")


def write_casme3_macro(root):
    casme3_macro.book(root)
    casme3_macro.clips(root)


CASES = {  # dataset and, after a blank, its variant -> writer
    "casme2": micro.write_casme2, "samm": micro.write_samm, "smic": micro.write_smic,
    "smic hs_long": micro.write_smic_long, "casme_sq": micro.write_casme_sq, "casme_sq_macro": micro.write_casme_sq,
    "casme3": micro.write_casme3, "casme3 c": micro.write_casme3_c, "casme3_macro": write_casme3_macro,
    "mmew": micro.write_mmew, "mmew_macro": micro.write_mmew, "affwild2": macro.write_affwild2,
    "dfew": macro.write_dfew, "ferv39k": macro.write_ferv39k, "afew": macro.write_afew, "dfme": dfme.write_dfme,
    "mine": write_own}


def test_every_reader_is_tried():
    assert {name.split()[0] for name in CASES} >= set(releases.known()) - {"synthetic", "synthetic_macro"}


def attempt(root, dataset, variant):
    """'read' or 'refused'; anything else raises."""
    try:
        reading = releases.read(dataset, root, variant=variant)
        table(survey(dataset, root, reading)).encode()
    except MerError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < LONGEST_LINE, str(error)[:LONGEST_LINE]
        return "refused"
    assert max(Counter(clip.clip_id for clip in reading.clips).values()) == 1
    for clip in reading.clips:
        frames = frame_names(root / clip.frames_dir)
        assert SAFE_NAME.fullmatch(clip.clip_id) and dataset_of(clip.subject) == dataset, clip
        assert clip.first <= clip.last and {clip.first, clip.last} <= frames.keys(), clip
        assert clip.apex is None or (clip.first <= clip.apex <= clip.last and clip.apex in frames), clip
        assert clip.fps > 0 and all("\n" not in text for text in (clip.frames_dir, clip.flags)), clip
        clip.frames_dir.encode()
    return "read"


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
