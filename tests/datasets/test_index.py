import contextlib
import hashlib
import json
import sys
from types import SimpleNamespace

import pytest
from raw_releases.plain import row, write_frames, write_plain, write_table

from mer.base import knobs
from mer.base.errors import MerError
from mer.datasets import class_sets as labels
from mer.datasets import releases
from mer.datasets.clips import raw_root, read_clips
from mer.datasets.index import build_index, refuse_unusable
from stages import index as stage

ROWS = [row("b", "p2", label="fear"), row("a", "p1"), row("c", "p1", label="rage")]
COUNTED = """
sets:
  '2':
    classes: [joy, fear]
    source: a paper
    expected: {plain: {counts: [1, 1], subjects: 2}}
"""


@pytest.fixture
def mine(tmp_path):
    return write_plain(tmp_path / "data/raw/mine", ROWS)


def test_summary_of_an_own_dataset(mine, capsys):
    clips, summary = build_index("mine", mine)
    assert [clip.clip_id for clip in clips] == ["a", "c", "b"]  # by subject, then id
    assert summary["labels"] == {"fear": 1, "joy": 1, "rage": 1}
    assert summary["sets"]["all"]["counts"] == {"fear": 1, "joy": 1, "rage": 1}
    assert summary["annotation"]["sha256"] == hashlib.sha256((mine / "clips.csv").read_bytes()).hexdigest()
    assert summary["subjects"] == 2 and summary["excluded"] == []
    assert "3 clips of 2 subjects" in capsys.readouterr().out
    json.dumps(summary, allow_nan=False)


def test_exclusions_are_recorded_and_printed(mine, capsys):
    write_table(mine, [*ROWS, row("d", frames="video/a", offset=99)])
    _, summary = build_index("mine", mine)
    assert [entry["clip_id"] for entry in summary["excluded"]] == ["d"]
    assert "left out: d (joy): offset 99" in capsys.readouterr().out


def test_published_counts_that_agree_pass(mine, capsys):
    (mine / "classes.yaml").write_text(COUNTED)
    _, summary = build_index("mine", mine)
    entry = summary["sets"]["2"]
    assert entry["expected"] == {"joy": 1, "fear": 1, "all": 2, "subjects": 2} and entry["agrees"]
    assert entry["labels_unused"] == {"rage": 1}  # nothing vanishes silently
    line = next(line for line in capsys.readouterr().out.splitlines() if "joy" in line)
    assert line.split() == ["2", "joy", "1", "1", "0"]


@pytest.mark.parametrize(("counts", "subjects"), [("[2, 1]", 2), ("[1, 1]", 3)])
def test_counts_that_differ_stop_the_run_unless_accepted(mine, capsys, counts, subjects):
    published = COUNTED.replace("[1, 1]", counts).replace("subjects: 2", f"subjects: {subjects}")
    (mine / "classes.yaml").write_text(published)
    with pytest.raises(MerError, match="counts differ.*set 2.*accept_counts"):
        build_index("mine", mine)
    assert "-1" in capsys.readouterr().out
    _, summary = build_index("mine", mine, accept_counts=True)
    assert not summary["sets"]["2"]["agrees"]


def test_second_hand_counts_are_shown_but_do_not_stop(mine, capsys):
    (mine / "classes.yaml").write_text(COUNTED.replace("[1, 1]", "[9, 1], firm: [subjects]"))
    build_index("mine", mine)
    assert "-8" in capsys.readouterr().out


def test_causes_another_release_and_lost_rows(mine):
    both = COUNTED.replace("{plain: {counts: [1, 1]", "{old: {counts: [1, 1]}, plain: {counts: [2, 1]")
    (mine / "classes.yaml").write_text(both)
    with pytest.raises(MerError, match="set 2 has exactly the counts of release old"):
        build_index("mine", mine)
    (mine / "classes.yaml").write_text(COUNTED.replace("[1, 1]", "[2, 1]"))
    write_table(mine, [*ROWS, row("d", frames="gone")])
    with pytest.raises(MerError, match="1 rows left out, the first d .frame folder gone does not exist"):
        build_index("mine", mine)


def test_a_label_that_the_vocabulary_lacks_stops_the_run(mine):
    (mine / "classes.yaml").write_text(COUNTED + "labels: [joy, fear]\n")
    with pytest.raises(MerError, match="clip c is labelled 'rage'; expected one of joy, fear"):
        build_index("mine", mine)


def test_unknown_names_get_thenearest(tmp_path, mine):
    raw = mine.parent
    with pytest.raises(MerError, match="'sythetic' is not known; did you mean 'synthetic'"):
        releases.reader("sythetic", raw)
    with pytest.raises(MerError, match="did you mean 'mine'"):
        releases.reader("mines", raw)
    with pytest.raises(MerError, match="not known"):
        releases.reader("../raw/mine", raw)
    assert releases.reader("mine", raw).__name__ == "mer.datasets.readers.plain"


def test_raw_roots():
    assert raw_root("synthetic").as_posix() == "data/raw/synthetic"
    assert raw_root("synthetic_macro").as_posix() == "data/raw/synthetic_macro"
    assert raw_root("mine").as_posix() == "data/raw/mine"


@pytest.fixture
def run_stage(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("{datasets: [mine], classes: all, protocol: loso, pretrain: {sources: []}}")
    settings = SimpleNamespace(accept_counts=False, images="raw")
    monkeypatch.setattr(knobs, "sections", lambda **kinds: SimpleNamespace(index=settings))

    def run(dataset):
        monkeypatch.setattr(sys, "argv", ["index", dataset])
        stage.run()

    return run


def test_the_stage_writes_rows_and_summary_that_label_sets_are_read_from(run_stage, mine, tmp_path):
    run_stage("mine")
    out = tmp_path / "data/index/mine"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"clips.csv", "summary.json"}
    clips = read_clips(out / "clips.csv")
    found = labels.label_set("mine", "all")
    assert [found.names[labels.class_index(clip, found)] for clip in clips] == ["joy", "rage", "fear"]
    run_stage("mine")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_stage_reads_the_synthetic_release_and_refuses_others(run_stage, tmp_path):
    root = write_plain(tmp_path / "data/raw/synthetic", [row(label="disgust")])
    run_stage("synthetic")
    assert read_clips("data/index/synthetic/clips.csv")[0].subject == "synthetic/p1"
    write_table(root, [row(label="disgusted")])
    with pytest.raises(MerError, match="disgusted"):
        run_stage("synthetic")
    with pytest.raises(MerError, match="data/raw/synthetic_macro does not exist"):
        run_stage("synthetic_macro")
    with pytest.raises(MerError, match="'theirs' is not known"):
        run_stage("theirs")


def test_frames_that_share_a_number_stop_the_run(mine):
    write_frames(mine / "video/a", [9], "img{:04d}.jpg")
    with pytest.raises(MerError, match="frame 9"):
        build_index("mine", mine)


def test_numbers_that_no_store_holds_stop_the_run(mine):
    write_frames(mine / "video/stamps", range(2**31, 2**31 + 3), "img{}.jpg")
    write_table(mine, [row(frames="video/stamps", onset=2**31, apex="", offset=2**31 + 2)])
    with pytest.raises(MerError, match=r"mine: clip c1 in video/stamps: frame 2147483650; numbers go to 2147483647"):
        build_index("mine", mine)


@pytest.mark.parametrize(("raw", "message"), [
    ({"classes": "3"}, "mine has no label set '3'; it has all, two, four"),
    ({"classes": "four"}, "class surprise of set 'four' has no clip; the labels are fear, joy, rage: choose"),
    ({"protocol": "kfold", "kfold": {"k": 5}}, r"\d subjects with clips of set 'all'; protocol = kfold needs 5"),
    ({"datasets": ["smic"], "pretrain": {"sources": ["mine"], "classes": "al"}}, "'al'; it has .*did you mean `all`"),
    ({}, ""), ({"classes": "four", "datasets": ["mine", "smic"]}, ""), ({"datasets": ["smic"], "classes": "9"}, "")])
def test_a_set_that_no_fold_can_be_made_of_is_told_by_index(mine, raw, message):
    (mine / "classes.yaml").write_text("sets: {all: {classes: [joy, rage, fear]}, two: {classes: [joy, fear]}, "
                                       "four: {classes: [joy, rage, fear, surprise]}}")
    summary = build_index("mine", mine)[1]
    raw = {"datasets": ["mine"], "classes": "all", "protocol": "loso"} | raw
    with pytest.raises(MerError, match=message) if message else contextlib.nullcontext():
        refuse_unusable("mine", summary, raw)


def test_one_class_and_one_subject_are_told_by_index(tmp_path):
    one = write_plain(tmp_path / "one", [row(), row("c2", "p2")])
    raw = {"datasets": ["mine"], "classes": "all", "protocol": "loso"}
    with pytest.raises(MerError, match="label set 'all' has one class, joy; two or more are needed"):
        refuse_unusable("mine", build_index("mine", one)[1], raw)
    write_table(one, [row(), row("c2", "p1", label="fear")])
    with pytest.raises(MerError, match="1 subject with clips of set 'all'; protocol = loso needs 2 or more"):
        refuse_unusable("mine", build_index("mine", one)[1], raw)
    refuse_unusable("mine", build_index("mine", one)[1], raw | {"protocol": "official"})
