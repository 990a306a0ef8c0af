"""TV-L1 labels: sign and size of a known motion, which pairs, float16."""

import numpy as np
import pytest
from labels.label_tools import shifted, texture

from mer.labels import flow

PICTURE = texture((96, 96), seed=1, blur=2.5)


def aligned(steps, apex=-1):
    frames = np.stack([shifted(PICTURE, *step) for step in steps])
    return {"frames": frames, "numbers": np.arange(len(steps), dtype=np.int32),
            "annotation": np.array([0, apex, len(steps) - 1], np.int32)}


SETTINGS = {"sets": 1, "span": "onset_offset", "seed": 0}


@pytest.mark.parametrize("motion", [(0.8, 0.0), (0.0, -1.2), (-0.5, 0.6)])
def test_it_recovers_a_known_translation(motion):
    found = flow.tvl1(shifted(PICTURE, 0, 0), shifted(PICTURE, *motion))
    assert found.shape == (2, 96, 96) and found.dtype == np.float32
    inner = found[:, 10:-10, 10:-10]
    error = np.hypot(inner[0] - motion[0], inner[1] - motion[1])
    assert error.mean() < 0.1 * np.hypot(*motion)
    np.testing.assert_allclose(inner.mean((1, 2)), motion, atol=0.05)


def test_pairs_belong_to_the_sampled_frames():
    steps = [(0.5 * k, 0) for k in range(8)]
    record = flow.flow_clip(("a", aligned(steps)), t=4, pairs=7, **SETTINGS)
    assert record["index"].tolist() == [[1, 3, 5, 7]]
    assert record["pair"].tolist() == [[0, 0], [0, 1], [0, 2]]
    assert record["flow"].shape == (3, 2, 96, 96) and record["flow"].dtype == np.float16
    # frame 1 to 3 is one pixel to the right
    np.testing.assert_allclose(record["flow"].astype(np.float32).mean((2, 3)), [[1, 0]] * 3, atol=0.1)


def test_float16_error_is_what_the_docstring_states():
    steps = [(0, 0), (1.9, -0.7)]
    stored = flow.flow_clip(("a", aligned(steps, apex=1)), t=2, pairs=1, **SETTINGS)["flow"][0].astype(np.float64)
    exact = flow.tvl1(*aligned(steps)["frames"])
    assert (np.abs(stored - exact) <= np.maximum(np.abs(exact) / 2048, 1e-7)).all()
    assert np.abs(stored - exact).max() > 1e-5


def test_repeated_frames_of_a_short_clip_have_zero_flow():
    record = flow.flow_clip(("a", aligned([(0, 0), (0.7, 0), (1.4, 0)])), t=8, pairs=7, **SETTINGS)
    assert record["index"].tolist() == [[0, 0, 0, 1, 1, 2, 2, 2]]
    moving = np.abs(record["flow"].astype(np.float32)).mean((1, 2, 3)) > 0.1
    assert moving.tolist() == [False, False, True, False, True, False, False]


def test_equal_pairs_of_frames_are_computed_once(monkeypatch):
    calls = []
    monkeypatch.setattr(flow, "tvl1", lambda a, b, solver: calls.append(1) or np.zeros((2, *a.shape), np.float32))
    flow.label_clip("a", aligned([(0, 0)] * 5, apex=3), t=2, sets=4, span="clip", seed=0, pairs=1)
    assert len(calls) == 1


def test_a_span_without_frames_excludes_the_clip():
    record = aligned([(0, 0)] * 3) | {"annotation": np.array([50, 60, 70])}
    assert b"no frame in the span" in flow.flow_clip(("a", record), t=4, pairs=7, **SETTINGS)["excluded"].tobytes()
