"""The share of Grad-CAM inside the truly moving region, on cases that are counted by hand."""

import numpy as np
import pytest
from reporting import fabricate

from mer.base import store
from mer.evaluation import grad_cam

SIZE, CROP = 48, 40


def moving_block(extra=3.0, rows=slice(20, 28), columns=slice(10, 22)) -> np.ndarray:
    """A head that goes 2 px right and 1 px down as a whole, and a block of 96 pixels that goes `extra` px further."""
    flow = np.stack([np.full((SIZE, SIZE), 2.0), np.ones((SIZE, SIZE))])
    flow[1, rows, columns] += extra
    return flow


def region(flow, unsure=None, matrix=None):
    unsure = np.zeros((SIZE, SIZE), np.uint8) if unsure is None else unsure
    return grad_cam.moving_region(flow, unsure, np.eye(2, 3) if matrix is None else matrix, SIZE, CROP)


def test_the_moving_region_is_what_moves_beside_the_head():
    expected = np.zeros((CROP, CROP), bool)
    expected[16:24, 6:18] = True  # the block, 4 px inside the crop's border
    np.testing.assert_array_equal(region(moving_block()), expected)


def test_what_moves_by_less_than_half_of_the_most_is_outside():
    flow = moving_block()
    flow[1, 34:40, 34:40] += 1.4
    assert region(flow).sum() == 96
    flow[1, 34:40, 34:40] += 0.2
    assert region(flow).sum() == 96 + 36


def test_unsure_pixels_are_outside_and_do_not_set_the_measure():
    flow, unsure = moving_block(), np.zeros((SIZE, SIZE), np.uint8)
    flow[1, 30:44, 30:44] = 50
    unsure[30:44, 30:44] = 1
    unsure[20:28, 10:12] = 1
    assert region(flow, unsure).sum() == 80


def test_the_region_follows_the_crop_that_the_network_sees():
    shift = np.array([[1.0, 0, 5], [0, 1, -3]])  # raw -> crop
    np.testing.assert_array_equal(region(moving_block(), matrix=shift)[:30, 6:], region(moving_block())[3:33, 1:35])


@pytest.mark.parametrize("flow", [moving_block(0.0), moving_block(0.04), np.zeros((2, SIZE, SIZE))])
def test_a_head_alone_moves_no_region(flow):
    assert region(flow) is None


def test_share_of_the_heat_inside():
    where = np.zeros((4, 4), bool)
    where[0, :2] = True
    heat = np.zeros((4, 4), np.float16)
    heat[0, 0], heat[0, 1], heat[3, 3] = 0.5, 0.25, 0.25
    assert grad_cam.share_inside(heat, where) == pytest.approx(0.75)
    assert grad_cam.share_inside(np.ones((4, 4), np.float16), where) == where.mean()
    assert np.isnan(grad_cam.share_inside(np.zeros((4, 4)), where))
    larger = np.kron(heat.astype(np.float32), np.ones((2, 2)))  # as the network sees it with keep_reconstruction
    assert grad_cam.share_inside(larger, where) == pytest.approx(0.75)


def test_means_are_over_the_clips_that_have_a_truth_and_a_map(tmp_path):
    """Of six clips: one map is empty, one clip has no apex, one no truth, in one only the head moves."""
    t = fabricate.table(subjects=1, model="ma2mi")
    fabricate.run_folder(tmp_path, t, model="ma2mi")
    paths = {name: next(tmp_path.glob(f"data/{where}")) for name, where in (
        ("maps", "folds/0/*/outputs.h5"), ("aligned", "aligned/*/s01.h5"), ("truth", "raw/*/truth/s01.h5"))}
    shards = {name: store.read_shard(path)[0] for name, path in paths.items()}
    clips = sorted(shards["maps"])
    inside = grad_cam.compare(t.where("last"), tmp_path / "data", 64)[0, "synthetic/s01", clips[0]].region
    for clip, share in zip(clips, (0.8, 0.3, 0.0, 0.5, 0.5, 0.5), strict=True):
        heat = np.where(inside, share / inside.sum(), (share > 0) * (1 - share) / (~inside).sum())
        shards["maps"][clip]["grad_cam"] = heat / max(heat.max(), 1e-9)
    shards["aligned"][clips[3]]["annotation"][1] = -1
    del shards["truth"][clips[4]]
    shards["truth"][clips[5]]["flow"][1] = 0.5
    for name, path in paths.items():
        store.write_shard(path, shards[name])
    found = grad_cam.compare(t.where("last"), tmp_path / "data", 64)
    assert [clip for _, _, clip in found] == clips[:3] and np.isnan(found[0, "synthetic/s01", clips[2]].mass)
    told = grad_cam.summary(found, 100, 0)  # of one subject: no interval
    assert told == pytest.approx({"cam_mass": 0.55, "cam_area": inside.mean(), "cam_clips": 2})
    assert 0.01 < inside.mean() < 0.1


def test_the_interval_of_the_excess_is_over_subjects():
    """Ten clips of one person are one person's, however much they agree."""
    def one(mass):
        return grad_cam.Compared(np.ones((2, 2), bool), mass, 0.2)

    agreed = {(0, f"synthetic/s{i}", "a"): one(0.3) for i in range(12)}
    told = grad_cam.summary(agreed, 200, 0)
    assert told["cam_excess_low"] == pytest.approx(0.1) == told["cam_excess_high"]
    one_person = {(0, "synthetic/s0", str(i)): one(0.9) for i in range(10)}
    told = grad_cam.summary(one_person | {(0, f"synthetic/s{i}", "a"): one(0.1) for i in range(1, 4)}, 200, 0)
    assert told["cam_mass"] > 0.7 and told["cam_excess_low"] == pytest.approx(-0.1)


@pytest.mark.parametrize("model", ["fdp", "ma2mi"])
def test_models_without_maps_and_releases_without_truth_have_no_such_numbers(tmp_path, model):
    t = fabricate.table(subjects=2, model=model)
    fabricate.run_folder(tmp_path, t, model=model)
    if model == "ma2mi":
        for path in tmp_path.glob("data/raw/*/truth/*.h5"):
            path.unlink()
    found = grad_cam.compare(t.where("last"), tmp_path / "data", 64)
    assert found == {} and grad_cam.summary(found, 100, 0) == {}
