"""The count rule on lists of labels with the published numbers: what passes, what stops, and the causes it names."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mer.datasets.class_sets import known_labels
from mer.datasets.clips import Clip
from mer.datasets.index import differing_sets, survey, table
from mer.datasets.rules import Excluded, Reading
from mer.datasets.table import LISTS, markdown

MEGC_2019 = known_labels()["casme2"].sets["3-megc"].exclude["2019"]


def clips_of(dataset, release, labels, subject_of):
    every = [label for label, n in labels.items() for _ in range(n)]
    return tuple(Clip(f"c{i:04d}", dataset, release, f"{dataset}/{subject_of(i, label)}", "f", 1, 9, 1, 5, 9, 200.0,
                      label, "", "") for i, label in enumerate(every))


def casme2(release, labels):
    """Clips of 26 subjects: sub18 has only others, sub10 only others and one fear."""
    def subject_of(i, label):
        number = {("fear", 0): 10}.get((label, i - sum(labels[name] for name in labels if name < label)))
        if label == "others":
            return f"sub{i % 26 + 1:02d}"
        return f"sub{number or [n for n in range(1, 27) if n not in (10, 18)][i % 24]:02d}"

    clips = list(clips_of("casme2", release, dict(sorted(labels.items())), subject_of))
    # the rows that 3-megc and 3-147 leave out, by name, on clips of the right label
    sets = known_labels()["casme2"].sets
    for name, wanted in (("3-megc", {
            "2019": {"negative": 2, "surprise": 3}, "2014": {"negative": 2}, "updated": {"negative": 3}}[release]),
                         ("3-147", {"surprise": 3} if release == "2019" else {})):
        ids = list(sets[name].exclude.get(release, {}))
        for group, count in wanted.items():
            for _ in range(count):
                spot = next(i for i, clip in enumerate(clips) if clip.clip_id.startswith("c")
                            and sets[name].map.get(clip.label_raw) == group)
                clips[spot] = replace(clips[spot], clip_id=ids.pop(0))
    return Reading(release, tuple(clips))


LABELS_2019 = {"happiness": 32, "disgust": 63, "repression": 27, "surprise": 28, "sadness": 4, "fear": 2, "others": 99}
LABELS_2014 = LABELS_2019 | {"surprise": 25, "sadness": 7}
LABELS_UPDATED = LABELS_2014 | {"disgust": 64}


def surveyed(reading, dataset="casme2"):
    return survey(dataset, Path("."), reading)


@pytest.mark.parametrize(("release", "labels"), [
    ("2019", LABELS_2019), ("2014", LABELS_2014), ("updated", LABELS_UPDATED)])
def test_all_tables_of_casme2_pass_in_every_set(release, labels):
    summary = surveyed(casme2(release, labels))
    assert differing_sets(summary) == [], table(summary)
    assert all(sum(entry["counts"].values()) == entry["expected"]["all"] for entry in summary["sets"].values()
               if entry["expected"])


def test_the_table_of_2014_taken_for_that_of_2019_is_told():
    summary = surveyed(casme2("2019", LABELS_2014))
    assert {"all", "5"} <= set(differing_sets(summary))
    assert "set 5 has exactly the counts of release 2014" in summary["causes"]


def test_a_lost_clip_is_told():
    reading = casme2("2019", LABELS_2019)
    lost = Excluded(reading.clips[0].clip_id, "disgust", "frame folder not found: sub01/EP1")
    summary = surveyed(Reading("2019", reading.clips[1:], (lost,), (), ("a note of the reader",)))
    assert set(differing_sets(summary)) >= {"all", "5"}
    assert summary["causes"][0].startswith(f"1 rows left out, the first {lost.clip_id} (frame folder not found")
    assert summary["causes"][1:] == ["the annotation itself holds 255 rows", "a note of the reader"]
    assert "-1" in table(summary)


def test_a_missing_subject_is_told_though_counts_agree():
    reading = casme2("2019", LABELS_2019)
    moved = tuple(replace(clip, subject="casme2/sub01") if clip.subject == "casme2/sub18" else clip
                  for clip in reading.clips)
    summary = surveyed(replace(reading, clips=moved))
    assert "5" in differing_sets(summary) and "3" not in differing_sets(summary)


@pytest.mark.parametrize("dataset", known_labels())
def test_sets_of_one_release_agree_with_each_other(dataset):
    """Every set's published counts follow from those of the finest set that covers its labels."""
    sets = known_labels()[dataset].sets
    for fine in sets.values():
        if len(fine.map) != len(set(fine.map.values())) and dataset != "samm":
            continue
        for release, published in fine.expected.items():
            if published.counts is None or fine.exclude.get(release):
                continue
            of_class = dict(zip(fine.names, published.counts, strict=True))
            for coarse in sets.values():
                other = coarse.expected.get(release)
                if other is None or other.counts is None or not set(coarse.map) <= set(fine.map):
                    continue
                counts = [sum(of_class[name] for name in fine.names if any(
                    coarse.map.get(word) == group for word in fine.map if fine.map[word] == name))
                    for group in coarse.names]
                assert sum(counts) - sum(other.counts) == len(coarse.exclude.get(release, {})), (coarse.name, release)
                if not coarse.exclude.get(release):
                    assert tuple(counts) == other.counts, (coarse.name, release)


def test_the_composite_of_megc2019():
    """Its guideline: 250 negative, 109 positive, 83 surprise, 442 clips of 68 subjects."""
    parts = [known_labels()[dataset].sets["3-megc"] for dataset in ("casme2", "samm", "smic")]
    assert {part.names for part in parts} == {("negative", "positive", "surprise")}
    expected = [part.expected[release] for part, release in zip(parts, ("2019", "v2", "hs"), strict=True)]
    assert [sum(column) for column in zip(*(entry.counts for entry in expected), strict=True)] == [250, 109, 83]
    assert (sum(entry.total for entry in expected), sum(entry.subjects for entry in expected)) == (442, 68)


def test_long_videos_hold_the_expressions_of_the_short_clips():
    every = known_labels()
    assert every["casme_sq_long"].sets["type"].expected["final"].counts == tuple(
        every[name].sets["4"].expected["final"].total for name in ("casme_sq", "casme_sq_macro"))
    samm, long = every["samm"].sets, every["samm_long"].sets
    assert long["type"].expected["long"].counts[0] == samm["all"].expected["v2"].total
    for name in ("5", "3"):
        assert long[name].names == samm[name].names
        assert long[name].expected["long"].counts == samm[name].expected["v2"].counts


@pytest.mark.parametrize(("dataset", "name", "release", "total"), [
    ("casme2", "5", "2019", 249), ("casme2", "5", "2014", 246), ("casme2", "3", "2019", 156),
    ("casme2", "all", "2014", 255), ("casme2", "3", "2014", 156), ("casme2", "3-150", "2014", 147),
    ("casme2", "all", "updated", 256), ("casme2", "5", "updated", 247),
    ("casme2", "3-megc", "2019", 145), ("samm", "5", "v2", 136), ("samm", "3", "v2", 133), ("smic", "3", "hs", 164),
    ("casme_sq", "4", "final", 57), ("casme_sq", "3", "final", 38), ("casme3", "7", "a_v1", 921),
    ("casme3", "7", "a_v2", 860), ("casme3", "3", "a_v2", 699), ("mmew", "6", "micro", 234),
    ("casme_sq_long", "type", "final", 357), ("samm_long", "type", "long", 502),
    ("dfme", "7", "train", 1856), ("dfme", "7", "train-a-b", 2629), ("fourdme", "all", "v1", 267),
    ("mmme", "7", "2025", 634),
    ("dfew", "7", "single-labeled", 11697), ("ferv39k", "7", "all-scenes", 38935),
    ("casme2", "3-shared", "2019", 159), ("samm", "3-shared", "v2", 67),
    ("casme2", "objective", "2019", 185), ("samm", "objective", "v2", 68)])
def test_totals_of_the_papers(dataset, name, release, total):
    assert known_labels()[dataset].sets[name].expected[release].total == total


def test_the_lists_of_the_table_are_counted_from_the_sets():
    """MEGC2018's 253 clips, MEGC2019's 442, and the numbers that papers on CASME II tell of."""
    cells = [line.strip("| ").split(" | ") for line in markdown().split("\n\n")[1].splitlines()[2:]]
    assert [row[2].split()[0] for row in cells] == [
        "145", "147", "147", "150", "156", "156", "246", "247", "249", "253", "442"]
    assert cells[-1][1:4] == ["`casme2:3-megc` (2019) + `samm:3-megc` + `smic:3-megc` (hs)", "442 (145 + 133 + 164)",
                              "negative 250, positive 109, surprise 83"]
    assert cells[-2][1:4] == ["`casme2:objective` (2019) + `samm:objective`", "253 (185 + 68)",
                              "I 49, II 28, III 119, IV 34, V 23"]
    for _, built, clips, counts, _ in cells:
        assert sum(map(int, re.findall(r" (\d+)", counts))) == int(clips.split()[0]), built
    composites = [sets.values() for _, key, releases in LISTS if (sets := {
        dataset: known_labels()[dataset].sets[key].names for dataset in releases})]
    assert all(len(set(names)) == 1 for names in composites)
