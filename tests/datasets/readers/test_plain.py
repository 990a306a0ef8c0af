import pytest
from raw_releases.plain import HEADER, row, write_frames, write_plain, write_table

from mer.base.errors import MerError
from mer.datasets.readers.plain import read


def reading(root):
    return read(root, dataset="mine")


def test_a_plain_dataset(tmp_path):
    write_plain(tmp_path, [row(), row("c2", "p2", apex="", aus="")])
    got = reading(tmp_path)
    first, second = got.clips
    assert (first.clip_id, first.subject, first.frames_dir) == ("c1", "mine/p1", "video/c1")
    assert (first.first, first.onset, first.apex, first.offset, first.last) == (8, 8, 10, 12, 12)
    assert (first.fps, first.label_raw, first.aus_raw, first.flags) == (100.0, "joy", "12", "")
    assert second.apex is None and second.flags == "no_apex"
    assert got.excluded == () and got.tables == ("clips.csv",)


def test_optional_columns_extra_columns_and_numbers_of_spreadsheets(tmp_path):
    write_plain(tmp_path, [row()])
    write_table(tmp_path, [["c1", "p1", "video/c1", "8.0", "12.0", 25, "joy", "seen twice"]],
                ["clip_id", "subject", "frames", "onset", "offset", "fps", "label", "remark"])
    clip = reading(tmp_path).clips[0]
    assert (clip.onset, clip.apex, clip.offset) == (8, None, 12)


@pytest.mark.parametrize(("change", "words"), [
    (dict(onset="start"), ["onset", "start"]),
    (dict(apex="8.5"), ["apex", "8.5"]),
    (dict(fps=0), ["fps", "0"]),
    (dict(fps="nan"), ["fps", "nan"]),
    (dict(label=""), ["label"]),
    (dict(clip_id="a/b"), ["clip_id", "a/b"]),
    (dict(subject="p 1"), ["subject", "p 1"]),
    (dict(frames="/data/x"), ["frames", "/data/x"]),
    (dict(frames="../x"), ["frames", "../x"]),
    (dict(clip_id="c1"), ["clip_id", "c1", "twice"]),
])
def test_a_malformed_cell_stops_the_run(tmp_path, change, words):
    write_plain(tmp_path, [row()])
    write_table(tmp_path, [row(), row(**{"clip_id": "c2", "frames": "video/c1"} | change)])
    with pytest.raises(MerError) as error:
        reading(tmp_path)
    assert all(word in str(error.value) for word in ["clips.csv", "row 3", *words])
    assert "\n" not in str(error.value)


def test_a_malformed_table_stops_the_run(tmp_path):
    with pytest.raises(MerError, match="clips.csv does not exist"):
        reading(tmp_path)
    for missing in ("clip_id", "onset", "label"):
        write_table(tmp_path, [], [name for name in HEADER if name != missing])
        with pytest.raises(MerError, match=f"'{missing}' is missing"):
            reading(tmp_path)
    (tmp_path / "clips.csv").write_bytes(b"PK\x03\x04\xff\xff")
    with pytest.raises(MerError, match="cannot be read"):
        reading(tmp_path)
    write_table(tmp_path, [])
    with pytest.raises(MerError, match="no usable clip"):
        reading(tmp_path)


@pytest.mark.parametrize(("change", "reason"), [
    (dict(onset=12, apex="", offset=8), "negative length"),
    (dict(apex=13), "apex 13 outside"),
    (dict(apex=7), "apex 7 outside"),
    (dict(offset=40), "offset 40 is no frame"),
    (dict(onset=2), "onset 2 is no frame"),
    (dict(frames="video/none"), "does not exist"),
    (dict(frames="video/empty"), "no numbered image"),
])
def test_a_row_without_its_frames_is_left_out_with_its_reason(tmp_path, change, reason):
    write_plain(tmp_path, [row()])
    (tmp_path / "video/empty").mkdir()
    write_table(tmp_path, [row(), row(**{"clip_id": "c2", "frames": "video/c1"} | change)])
    got = reading(tmp_path)
    assert [clip.clip_id for clip in got.clips] == ["c1"]
    assert [(left.clip_id, left.label) for left in got.excluded] == [("c2", "joy")]
    assert reason in got.excluded[0].reason


def test_short_clips_stay_and_gaps_are_flagged(tmp_path):
    write_table(tmp_path, [row("short", onset=1, apex=2, offset=3), row("holes", onset=1, apex=2, offset=9)])
    write_frames(tmp_path / "video/short", [1, 2, 3])
    write_frames(tmp_path / "video/holes", [1, 2, 9])
    assert [(clip.clip_id, clip.flags) for clip in reading(tmp_path).clips] == [("short", ""), ("holes", "gaps")]


def test_an_apex_at_the_onset_is_none(tmp_path):
    write_plain(tmp_path, [row(apex=8), row("one", onset=9, apex=9, offset=9)])
    assert [(clip.apex, clip.flags) for clip in reading(tmp_path).clips] == [(None, "apex_at_onset"), (9, "")]
