"""The compiled TV-L1 has OpenCV's bits, the batched one its solution."""

import cv2
import numpy as np
import pytest
import torch
from labels.label_tools import shifted, texture

from mer.labels import flow, tvl1, tvl1_torch

FACE_LIKE = texture((144, 144), seed=3, blur=2.5)
NOISE = np.random.default_rng(0).integers(0, 256, (2, 144, 144), np.uint8)
PAIRS = {
    "small motion": (shifted(FACE_LIKE, 0, 0), shifted(FACE_LIKE, 0.3, -0.2)),
    "large motion": (shifted(FACE_LIKE, 0, 0), shifted(FACE_LIKE, 11.0, -7.5)),
    "noise": tuple(NOISE),
    "camera noise": tuple(np.clip(shifted(FACE_LIKE, dx, 0) + np.random.default_rng(int(dx)).normal(0, 3, (144, 144)),
                                  0, 255).astype(np.uint8) for dx in (0, 1)),
    "blur": tuple(cv2.GaussianBlur(image, (0, 0), 4) for image in NOISE),
    "constant": (np.full((144, 144), 7, np.uint8),) * 2,
    "the same": (FACE_LIKE, FACE_LIKE),
    "black to white": (np.zeros((144, 144), np.uint8), np.full((144, 144), 255, np.uint8)),
    "half constant": (np.where(np.arange(144) < 72, FACE_LIKE, 128).astype(np.uint8),
                      np.where(np.arange(144) < 72, shifted(FACE_LIKE, 0.5, 0), 128).astype(np.uint8)),
    "wide": (NOISE[0][:40], NOISE[1][:40]), "tall": (NOISE[0][:, :33], NOISE[1][:, :33]),
    "one scale": (NOISE[0][:17, :16], NOISE[1][:17, :16])}


def opencv(first, second):
    return cv2.optflow.DualTVL1OpticalFlow_create().calc(first, second, None).transpose(2, 0, 1)


@pytest.mark.parametrize("name", PAIRS)
def test_the_compiled_one_has_opencvs_bits(name):
    first, second = PAIRS[name]
    assert tvl1.flow(first, second).tobytes() == np.ascontiguousarray(opencv(first, second)).tobytes()


def test_the_batched_one_has_opencvs_solution():
    pairs = [PAIRS[name] for name in ("small motion", "camera noise", "the same")]
    found = tvl1_torch.flow(*(torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True))).numpy()
    error = np.hypot(*np.moveaxis(found - np.stack([opencv(*pair) for pair in pairs]), 1, 0))
    assert error.mean() <= 0.02 and found.shape == (3, 2, 144, 144)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_opencvs_solution():
    first, second = PAIRS["camera noise"]
    found = flow._batched(first[None], second[None])[0]
    assert np.hypot(*(found - opencv(first, second))).mean() <= 0.02


def test_a_batch_is_each_pair_alone():
    one, two = (torch.from_numpy(np.stack([PAIRS[name][i][:64, :64] for name in ("small motion", "noise")]))
                for i in (0, 1))
    together = tvl1_torch.flow(one, two)
    alone = torch.cat([tvl1_torch.flow(one[i:i + 1], two[i:i + 1]) for i in range(2)])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)


@pytest.mark.parametrize("solver", ["numba", "opencv", "torch"])
def test_a_clip_is_labelled_by_each_solver(solver):
    record = {"frames": np.stack([shifted(FACE_LIKE[:64, :64], 0.4 * i, 0) for i in range(5)]),
              "numbers": np.arange(5, dtype=np.int32), "annotation": np.array([0, -1, 4], np.int32)}
    settings = {"t": 3, "sets": 2, "span": "clip", "seed": 0, "pairs": 2}
    made = flow.label_clip("a", record, **settings, solver=solver)
    exact = flow.label_clip("a", record, **settings, solver="opencv")
    assert made["flow"].shape == (4, 2, 64, 64) and made["flow"].dtype == np.float16
    assert np.abs(made["flow"].astype(float) - exact["flow"].astype(float)).mean() <= (0 if solver == "numba" else 0.02)


def test_where_the_bits_differ_opencv_is_taken_and_told(monkeypatch, capsys):
    monkeypatch.setattr(tvl1, "agrees", lambda: False)
    monkeypatch.setattr(tvl1, "flow", lambda *_: pytest.fail("not to be called"))
    flow.tell("numba")
    assert "differs from OpenCV's in its last bits on this machine; OpenCV's is taken" in capsys.readouterr().err
    first, second = PAIRS["small motion"]
    assert np.array_equal(flow.tvl1(first, second), opencv(first, second))
    flow.tell("opencv")
    assert capsys.readouterr().err == ""


def test_pictures_wider_than_the_buffer_go_to_opencv(monkeypatch):
    monkeypatch.setattr(tvl1, "WIDEST", 100)
    monkeypatch.setattr(tvl1, "flow", lambda *_: pytest.fail("not to be called"))
    first, second = PAIRS["small motion"]
    assert np.array_equal(flow.tvl1(first, second), opencv(first, second))
