"""Which frames are sampled: midpoints, random offsets, short clips, spans, pairs."""

import numpy as np
import pytest

from mer.labels import sampling


def test_set_zero_is_the_midpoints_of_t_equal_segments():
    np.testing.assert_array_equal(sampling.index_sets(32, 8, 1, (0,))[0], [2, 6, 10, 14, 18, 22, 26, 30])
    np.testing.assert_array_equal(sampling.index_sets(8, 8, 1, (0,))[0], np.arange(8))
    np.testing.assert_array_equal(sampling.index_sets(3, 8, 1, (0,))[0], [0, 0, 0, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(sampling.index_sets(1, 8, 2, (0,)), np.zeros((2, 8)))


@pytest.mark.parametrize("t", [2, 4, 8, 16])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 31, 66, 600])
def test_every_set_has_one_spacing_and_one_offset_and_stays_in_its_segments(length, t):
    sets = sampling.index_sets(length, t, 40, (3, "clip"))
    assert sets.dtype == np.int32 and sets.min() >= 0 and sets.max() < length
    bounds = np.arange(t + 1) * length / t
    assert (sets >= np.floor(bounds[:-1])).all() and (sets < np.ceil(bounds[1:])).all()
    steps = np.diff(sets, axis=1)
    assert (steps >= length // t).all() and (steps <= -(-length // t)).all()  # L / t, rounded
    for row in sets:  # one real offset o gives them all: floor(o + k L / t)
        low, high = (row - bounds[:-1]).max(), (row + 1 - bounds[:-1]).min()
        assert max(low, 0) < min(high, length / t)
    assert len({tuple(row) for row in sets}) > 1 or length <= t


def test_offsets_are_whole_numbers_in_a_batch_and_the_middle_one_is_set_zero():
    offsets = np.array([0, sampling.MIDPOINT, sampling.GRAIN - 1])
    np.testing.assert_array_equal(sampling.spaced(32, 8, offsets)[:, :3], [[0, 4, 8], [2, 6, 10], [3, 7, 11]])
    lengths = np.array([32, 60, 3])
    np.testing.assert_array_equal(sampling.spaced(lengths, 8, offsets),
                                  [sampling.spaced(length, 8, offsets[i:i + 1])[0] for i, length in enumerate(lengths)])
    for length in (1, 5, 8, 61):
        np.testing.assert_array_equal(sampling.spaced(length, 8, offsets[1:2])[0],
                                      (2 * np.arange(8) + 1) * length // 16)


def test_every_frame_of_a_segment_is_drawn_about_equally_often():
    draws = sampling.index_sets(10, 2, 4001, (1,))[1:]
    counts = np.bincount(draws[:, 0], minlength=5)
    assert counts[5:].sum() == 0 and counts.min() > 700  # 800 expected, sd 25


def test_draws_depend_on_seed_and_clip_alone():
    first = sampling.index_sets(60, 8, 5, (0, "a"))
    np.testing.assert_array_equal(first, sampling.index_sets(60, 8, 5, (0, "a")))
    assert (first != sampling.index_sets(60, 8, 5, (0, "b"))).any()
    assert (first != sampling.index_sets(60, 8, 5, (1, "a"))).any()
    np.testing.assert_array_equal(first[:3], sampling.index_sets(60, 8, 3, (0, "a")))  # more sets keep the old ones


def test_pairs():
    every = [[s, k] for s in (0, 1) for k in range(7)]
    assert sampling.labelled_pairs(8, 2, 7, (0, "a")).tolist() == every
    few = sampling.labelled_pairs(8, 30, 3, (0, "a"))
    assert few.shape == (90, 2) and set(few[:, 1]) == set(range(7))
    for s in range(30):
        ks = few[few[:, 0] == s, 1]
        assert len(set(ks)) == 3 and (np.diff(ks) > 0).all()
    assert sampling.labelled_pairs(8, 2, 0, (0, "a")).tolist() == every  # 0: all, whatever t
    assert len(sampling.labelled_pairs(16, 1, 0, (0, "a"))) == 15
    assert sampling.labelled_pairs(2, 3, 7, (0,)).tolist() == [[0, 0], [1, 0], [2, 0]]


def test_spans_follow_frame_numbers():
    numbers, annotation = np.array([5, 7, 9, 11, 13, 15]), np.array([7, 11, 14])
    assert sampling.span_positions(numbers, annotation, "clip").tolist() == [0, 1, 2, 3, 4, 5]
    assert sampling.span_positions(numbers, annotation, "onset_offset").tolist() == [1, 2, 3, 4]
    assert sampling.span_positions(numbers, annotation, "onset_apex").tolist() == [1, 2, 3]
    assert sampling.span_positions(numbers, np.array([7, -1, 14]), "onset_apex").tolist() == [1, 2]  # middle: 10
    sets = sampling.clip_sets(numbers, annotation, t=3, sets=6, span="onset_offset", seed_words=(0, "a"))
    assert sets.shape == (6, 3) and sets.min() >= 1 and sets.max() <= 4
    with pytest.raises(ValueError, match="no frame in the span onset_offset .*20, 25, 30.*frames 5 to 15"):
        sampling.clip_sets(numbers, np.array([20, 25, 30]), t=3, sets=1, span="onset_offset", seed_words=(0,))


def test_two_frames_are_onset_and_apex():
    numbers = np.array([5, 7, 9, 11, 13, 15])
    both = sampling.clip_sets(numbers, np.array([7, 12, 15]), t=2, sets=3, span="clip", seed_words=(0,))
    assert both.tolist() == [[1, 3]] * 3
    middle = sampling.clip_sets(numbers, np.array([7, -1, 15]), t=2, sets=1, span="clip", seed_words=(0,))
    assert middle.tolist() == [[1, 3]]
