"""FDP's and MA2MI's pictures of single clips, and those of pretraining: the right clips, arrays and words."""

import numpy as np
import pytest
from PIL import Image
from reporting import fabricate
from reporting.test_plots import inks

from mer.base import store
from mer.evaluation import grad_cam, outputs
from mer.models.fdp.config import Config
from mer.models.ma2mi import pictures as ma2mi_drawings
from mer.reporting import clips_drawn, pictures, pretraining_plots


def draw(root, t, count=3, frames=8, slope=1.0, **more) -> int:
    sampling = {"t": frames, "span": "clip", "seed": 0}
    return clips_drawn.draw("ma2mi" if frames == 2 else "fdp", t.where("last"), root / "data", root, count, True,
                            crop=64, sampling=sampling, cfg=Config(rank_slope=slope), **more)


def words(path) -> tuple[str, str]:
    with Image.open(path) as image:
        return image.info["Title"], image.info["Description"]


@pytest.fixture
def fdp(tmp_path):
    t = fabricate.table(subjects=3, model="fdp")
    return fabricate.run_folder(tmp_path, t, model="fdp"), t


@pytest.fixture
def ma2mi(tmp_path):
    t = fabricate.table(subjects=3, model="ma2mi")
    return fabricate.run_folder(tmp_path, t, model="ma2mi"), t


def test_fdp_is_drawn_by_the_error_of_the_dynamic_image(fdp):
    root, t = fdp
    assert draw(root, t) == 3
    last = t.where("last")
    order = np.argsort(last.aux["mse"])
    for number, place, rank in ((1, 0, "Best"), (2, round((len(order) - 1) / 2), "Median"), (3, -1, "Worst")):
        title, told = words(root / f"clip_{number}.png")
        clip = order[place]
        assert title == (f"{rank} clip by dynamic image: {last.subject[clip]}, clip {last.clip_id[clip]} "
                         "(synthetic data)")
        assert f"{1000 * last.aux['mse'][clip]:.2f} (mean image" in told and "K(k) = k" in told
        assert f"with time {last.aux['rank_correlation'][clip]:.2f}" in told
        assert inks(root / f"clip_{number}.png") > 200


def test_rank_scores_are_the_mean_over_all_clips_and_seeds(tmp_path):
    t = fabricate.table(subjects=2, seeds=(0, 1), model="fdp")
    fabricate.run_folder(tmp_path, t, model="fdp")
    assert draw(tmp_path, t, count=0, slope=0.5) == 0
    scores = [made["scores"] for path in tmp_path.glob("data/folds/*/*/outputs.h5")
              for made in store.read_shard(path)[0].values()]
    title, told = words(tmp_path / "rank_scores.png")
    assert title == "Rank scores of all tested clips (synthetic data)" and len(scores) == 24 and "24 clips" in told
    assert ", ".join(f"{value:.2f}" for value in np.mean(scores, axis=0)) in told and "K(k) = 0.5 k" in told
    assert f"{np.mean(t.where('last').aux['rank_correlation']):.2f}" in told


@pytest.mark.parametrize(("left", "made"), [("dynamic", {"clip_1.png", "clip_2.png"}), ("scores", {"rank_scores.png"})])
def test_fdp_without_one_of_its_tasks(fdp, left, made):
    root, t = fdp
    names = {"dynamic": ("dynamic", "dynamic_label"), "scores": ("scores",)}[left]
    for path in root.glob("data/folds/*/*/outputs.h5"):
        clips = store.read_shard(path)[0]
        store.write_shard(path, {clip: {name: arrays[name] for name in names} for clip, arrays in clips.items()})
    draw(root, t, count=2)
    assert {path.name for path in root.glob("*.png")} == made
    if left == "dynamic":
        assert "rank" not in words(root / "clip_1.png")[1]


def test_ma2mi_is_drawn_by_the_probability_of_the_true_class(ma2mi):
    root, t = ma2mi
    last = t.where("last")
    compared = grad_cam.compare(last, root / "data", 64)
    assert draw(root, t, frames=2, names=fabricate.NAMES, compared=compared) == 3
    right = last.p[np.arange(len(last)), last.label]
    for number, clip in ((1, right.argmax()), (3, right.argmin())):
        title, told = words(root / f"clip_{number}.png")
        assert title.endswith(f"{last.subject[clip]}, clip {last.clip_id[clip]} (synthetic data)")
        assert f"true class {fabricate.NAMES[last.label[clip]]} ({100 * right[clip]:.0f} %)" in told
        seen = compared[0, str(last.subject[clip]), str(last.clip_id[clip])]
        assert f"{100 * seen.mass:.0f} % of the heat inside" in told and "outlined" in told
        assert inks(root / f"clip_{number}.png") > 200


def test_without_truth_no_region_is_outlined_and_a_cold_map_is_told(ma2mi):
    root, t = ma2mi
    for path in root.glob("data/folds/*/*/outputs.h5"):
        clips = store.read_shard(path)[0]
        store.write_shard(path, {clip: {"grad_cam": np.zeros((64, 64), np.float16)} for clip in clips})
    draw(root, t, count=1, frames=2, names=fabricate.NAMES)
    told = words(root / "clip_1.png")[1]
    assert "outlined" not in told and "no positive heat" in told and "inside" not in told


def test_the_overlay_is_clear_where_it_is_cold():
    seen = ma2mi_drawings.overlay(np.array([[0.0, 1.0]]))
    assert seen.shape == (1, 2, 4) and seen[0, 0, 3] == 0 and seen[0, 1, 3] == ma2mi_drawings.DEEPEST
    assert seen[0, 1, 0] > seen[0, 1, 2]  # red, not blue


def test_tested_frames_are_the_centre_crop_at_onset_and_apex(ma2mi):
    root, t = ma2mi
    row = t.where("last").rows(np.array([0]))
    ends, points = outputs.sampled(row, root / "data", 64, {"t": 2, "span": "clip", "seed": 0})
    aligned = store.read_shard(root / "data/aligned/synthetic/s01.h5")[0][str(row.clip_id[0])]
    onset, apex = aligned["annotation"][:2] - 1
    np.testing.assert_array_equal(ends, aligned["frames"][[onset, apex], 4:68, 4:68])
    np.testing.assert_allclose(points, aligned["points"][[onset, apex]] - 4)


def test_all_ranks_are_drawn_once():
    t = fabricate.table(subjects=2).where("last")
    made = list(pictures.ranked(t, t.aux["epe"], 20))
    assert len(made) == len(t) == 12 and [number for number, _, _ in made] == list(range(1, 13))
    values = [float(row.aux["epe"][0]) for _, row, _ in made]
    assert values == sorted(values)
    assert [rank for _, _, rank in made][:2] == ["Best", "Rank 2 of 12"] and made[-1][2] == "Worst"


@pytest.mark.parametrize("pixels", [False, True])
def test_pretraining_is_drawn_by_its_losses_and_examples(tmp_path, pixels):
    folders = [fabricate.pretrained(tmp_path / str(seed), pixels=pixels) for seed in (0, 1)]
    for name in ("a", "b"):
        pretraining_plots.draw(folders, tmp_path / name, True, "ma2mi")
    made = {path.name for path in (tmp_path / "a").iterdir()}
    assert made == {"curves.png", "losses.csv", *(f"reconstruction_{number}.png" for number in (1, 2, 3))}
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in made)
    title, told = words(tmp_path / "a/reconstruction_2.png")
    assert title == "Median reconstruction in pretraining: synthetic_macro/m01, clip m01_happiness_1 (synthetic data)"
    assert ("latent decodes to" in told) != pixels and "0.2000 (copy of the earlier one 0.3000)" in told
    assert words(tmp_path / "a/curves.png")[0] == "Pretraining losses, 2 seeds (synthetic data)"


def test_pretraining_without_reconstruction_shows_its_losses_alone(tmp_path):
    pretraining_plots.draw([fabricate.pretrained(tmp_path / "0", reconstruction=False)], tmp_path / "out", False, "mol")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"curves.png", "losses.csv"}
