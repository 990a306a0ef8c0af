from dataclasses import replace
from pathlib import Path

import pytest

from mer.base.errors import MerError
from mer.datasets.class_sets import class_index, known_labels, label_set, own_labels, parse_labels
from mer.datasets.clips import Clip


def clip(label, clip_id="c", release="1"):
    return Clip(clip_id, "d", release, "d/s", "f", 1, 2, 1, None, 2, 25.0, label, "", "")


def parsed(body):
    return parse_labels("d", body, Path("classes.yaml"))


def test_classes_keep_their_order_and_take_several_labels():
    body = {"sets": {3: {"classes": {"negative": ["anger", "fear"], "positive": ["joy"]},
                         "exclude": {"1": {"bad": "why"}}}}}
    labels = parsed(body).sets["3"]
    assert labels.names == ("negative", "positive")
    assert [class_index(clip(word), labels) for word in ("joy", "Fear", "anger", "others")] == [1, 0, 0, None]
    assert class_index(clip("joy", "bad"), labels) is None
    assert class_index(clip("joy", "bad", "2"), labels) == 1


@pytest.mark.parametrize(("body", "words"), [
    ({}, ["sets"]),
    ({"sets": {}}, ["sets"]),
    ({"sets": [1]}, ["sets"]),
    ({"sets": {"3": {"classes": ["joy"]}}}, ["'3'", "two"]),
    ({"sets": {"3": {"clases": ["joy", "fear"]}}}, ["'3'", "clases"]),
    ({"sets": {"3": {"classes": {"a": ["joy"], "b": ["Joy"]}}}}, ["joy", "two classes"]),
    ({"labels": ["joy", "fear"], "sets": {"3": {"classes": ["joy", "feer"]}}}, ["feer", "joy, fear"]),
    ({"sets": {"3": {"classes": ["joy", "fear"], "expected": {"1": {"counts": [1]}}}}}, ["counts", "2 numbers"]),
])
def test_a_malformed_file_names_the_place(body, words):
    with pytest.raises(MerError) as error:
        parsed(body)
    assert all(word in str(error.value) for word in ["classes.yaml", "d", *words])


def test_a_set_of_another_column():
    body = {"labels": ["joy", "fear"], "sets": {"o": {"column": "objective", "classes": {"I": [1], "II": [2]}}}}
    labels = parsed(body).sets["o"]
    assert [class_index(replace(clip("joy"), objective=word), labels) for word in ("2", "1", "7", "")] == [
        1, 0, None, None]
    body["sets"]["o"]["column"] = "subject"
    with pytest.raises(MerError, match="'column' is 'subject', expected one of label_raw, objective"):
        parsed(body)


def test_unknown_sets_are_named_with_those_there_are(tmp_path):
    with pytest.raises(MerError, match="synthetic has no label set '4'; it has 3, 5"):
        label_set("synthetic", "4")
    with pytest.raises(MerError, match="mine/summary.json"):
        label_set("mine", "all", tmp_path)


def test_own_labels_with_and_without_a_file(tmp_path):
    assert own_labels("mine", tmp_path, {"joy", "Fear"}).sets["all"].names == ("fear", "joy")
    (tmp_path / "classes.yaml").write_text("sets: {2: {classes: [joy, fear]}}")
    assert own_labels("mine", tmp_path, {"joy", "Fear"}).sets["2"].names == ("joy", "fear")
    (tmp_path / "classes.yaml").write_text("sets: {2: [")
    with pytest.raises(MerError, match="not valid YAML"):
        own_labels("mine", tmp_path, set())


def test_every_shipped_set_is_whole():
    for dataset, labels in known_labels().items():
        for name, entry in labels.sets.items():
            assert entry.source, (dataset, name)
            assert set(entry.map.values()) == set(entry.names)
