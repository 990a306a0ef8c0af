"""Charts and pictures: right data beside them, readable words inside them, the same bytes every time."""

import io

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image
from reporting import fabricate

from mer.base import store
from mer.base.errors import MerError
from mer.datasets.releases import is_synthetic
from mer.models.mol import pictures as mol_drawings
from mer.reporting import clips_drawn, flow_colours, fonts, plots

SAMPLING = {"t": 8, "span": "clip", "seed": 0}


def inks(path) -> int:
    with Image.open(path) as image:
        return len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0))


def test_confusion_matrix_has_one_csv_row_a_prediction(tmp_path):
    t = fabricate.table().where("last")
    plots.confusion_matrix(t, fabricate.NAMES, tmp_path, True)
    rows = fabricate.rows(tmp_path / "confusion.csv")
    assert len(rows) == len(t) and set(rows[0]) == {"actual", "predicted"}
    right = sum(row["actual"] == row["predicted"] for row in rows)
    assert right == int((t.predicted == t.label).sum())
    with Image.open(tmp_path / "confusion.png") as image:
        assert "synthetic" in image.info["Title"]
        assert f"{len(t)} predictions" in image.info["Description"] and "happiness: " in image.info["Description"]
    assert inks(tmp_path / "confusion.png") > 20


@pytest.mark.filterwarnings("error:Glyph")
def test_words_that_no_font_has_become_numbers_that_the_caption_explains(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "_family", lambda chars: "")
    t, names = fabricate.table().where("last"), ("高兴", "厌恶", "surprise")
    plots.confusion_matrix(t, names, tmp_path, False)
    with Image.open(tmp_path / "confusion.png") as image:
        assert image.info["Title"] == "Confusion matrix, all folds: (1) 高兴, (2) 厌恶"
    assert fabricate.rows(tmp_path / "confusion.csv")[0]["actual"] in names
    before = (tmp_path / "confusion.png").read_bytes()
    plots.confusion_matrix(t, ("生气", "悲伤", "surprise"), tmp_path, False)
    pixels = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
              for data in (before, (tmp_path / "confusion.png").read_bytes())]
    assert np.array_equal(*pixels)  # numbers of both


@pytest.mark.filterwarnings("error:Glyph")
def test_words_that_another_font_has_are_drawn_by_it(tmp_path):
    """One that comes with matplotlib stands for a Chinese one, which not every machine has."""
    private = chr(next(iter(sorted(fonts._characters(font_manager.findfont("STIXNonUnicode")) - fonts._usual()))))
    assert fonts.lacking(f"joy {private}") == private and fonts._family(private)
    plots.confusion_matrix(fabricate.table().where("last"), (private, "disgust", "surprise"), tmp_path, False)
    with Image.open(tmp_path / "confusion.png") as image:
        assert image.info["Title"] == "Confusion matrix, all folds"


def test_real_data_are_not_called_synthetic(tmp_path):
    plots.subject_bars(fabricate.table(dataset="casme2").where("last"), tmp_path, is_synthetic(["casme2"]))
    with Image.open(tmp_path / "subjects.png") as image:
        assert "synthetic" not in image.info["Title"]
    assert is_synthetic(["casme2", "synthetic"]) and is_synthetic(["synthetic_macro"])


def test_subject_bars_count_clips_once_over_seeds(tmp_path):
    t = fabricate.table(subjects=3, seeds=(0, 1)).where("last")
    plots.subject_bars(t, tmp_path, True)
    rows = fabricate.rows(tmp_path / "subjects.csv")
    assert [row["subject"] for row in rows] == ["synthetic/s01", "synthetic/s02", "synthetic/s03"]
    assert {row["clips"] for row in rows} == {"6"}
    mine = t.subject == "synthetic/s02"
    assert float(rows[1]["accuracy"]) == pytest.approx(np.mean(t.predicted[mine] == t.label[mine]))


def logs(tmp_path, *tables):
    paths = []
    for i, (header, rows) in enumerate(tables):
        paths.append(tmp_path / f"{i}.csv")
        store.write_csv(paths[-1], header, rows)
    return paths


def test_curves_average_folds_step_by_step(tmp_path):
    header = ["step", "mer", "total"]
    paths = logs(tmp_path, (header, [[1, 1.0, 2.0], [2, 0.5, 1.0]]), (header, [[1, 3.0, 4.0]]), (["step"], []))
    plots.training_curves(paths, tmp_path, True)
    rows = fabricate.rows(tmp_path / "losses.csv")
    assert [[float(v) for v in row.values()] for row in rows] == [[1, 2, 3], [2, 0.5, 1]]
    with Image.open(tmp_path / "curves.png") as image:
        assert "2 folds" in image.info["Title"]


def test_curves_of_pretraining_are_called_so_and_show_negative_losses(tmp_path):
    header = ["step", "diversity", "total"]
    paths = logs(tmp_path, (header, [[1, 0.5, 1.0], [2, -0.2, 0.5]]))
    plots.training_curves(paths, tmp_path, False, what="Pretraining", each="seed")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.info["Title"] == "Pretraining losses, 1 seed"
        assert "Mean over seeds: diversity from 0.5 to -0.2" in image.info["Description"]


def test_no_steps_no_curves(tmp_path):
    plots.training_curves(logs(tmp_path, (["step"], [])), tmp_path, True)
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize(("text", "words"), [("time,mer\n1,2\n", "first column 'time'"), ("step,mer\n1,x\n", "'x'"),
                                             ("step,other\n1,2\n", "expected step,mer as in")])
def test_damaged_logs_are_named(tmp_path, text, words):
    paths = logs(tmp_path, (["step", "mer"], [[1, 1.0]]))
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(MerError, match="bad.csv") as error:
        plots.training_curves([*paths, tmp_path / "bad.csv"], tmp_path, True)
    assert words in str(error.value)


def test_same_run_gives_the_same_bytes(tmp_path):
    t = fabricate.table().where("last")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plots.confusion_matrix(t, fabricate.NAMES, tmp_path / name, True)
        plots.subject_bars(t, tmp_path / name, True)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_warp_golden_numbers():
    """Eq. (11), worked by hand."""
    image = np.arange(16).reshape(4, 4)
    right, down = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    right[0], down[1] = 0.5, 1
    assert mol_drawings.warp(image, right)[0].tolist() == [0.5, 1.5, 2.5, 3]
    assert mol_drawings.warp(image, down).tolist() == [[4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [12, 13, 14, 15]]


def test_warp_is_the_one_that_training_uses():
    torch = pytest.importorskip("torch")
    from mer.models.mol import losses

    rng = np.random.default_rng(0)
    image, flow = rng.random((20, 30)), rng.normal(0, 3, (2, 20, 30))
    theirs = losses.warp(torch.tensor(image)[None, None], torch.tensor(flow)[None])[0, 0].numpy()
    np.testing.assert_allclose(mol_drawings.warp(image, flow), theirs, atol=1e-9)


def test_warping_by_the_flow_gives_back_the_first_frame():
    rng = np.random.default_rng(1)
    first = rng.random((32, 32))
    second = np.roll(first, (2, 3), axis=(0, 1))  # moved 3 px right, 2 px down
    flow = np.stack([np.full((32, 32), 3.0), np.full((32, 32), 2.0)])
    np.testing.assert_allclose(mol_drawings.warp(second, flow)[:-3, :-3], first[:-3, :-3])


def test_flow_colours_tell_direction_and_length():
    flow = np.zeros((2, 1, 3))
    flow[0, 0] = [0, 2, -2]
    still, right, left = flow_colours.flow_colours(flow, 2.0)[0]
    assert still.tolist() == [1, 1, 1]
    np.testing.assert_allclose(right + left, [1, 1, 1], atol=1e-12)  # opposite directions, complementary colours
    assert right.tolist() == [1, 0, 0]


def test_best_median_and_worst_are_drawn(tmp_path):
    t = fabricate.table(subjects=3)
    fabricate.run_folder(tmp_path, t)
    last = t.where("last")
    count = clips_drawn.draw("mol", last, tmp_path / "data", tmp_path, 3, True, crop=128, sampling=SAMPLING)
    assert count == 3
    order = np.argsort(last.aux["epe"])
    for number, rank in ((1, order[0]), (2, order[round((len(order) - 1) / 2)]), (3, order[-1])):
        with Image.open(tmp_path / f"clip_{number}.png") as image:
            assert str(last.clip_id[rank]) in image.info["Title"]
            assert f"{last.aux['epe'][rank]:.3f} px" in image.info["Description"]
        assert inks(tmp_path / f"clip_{number}.png") > 200


def test_what_is_drawn_is_the_pair_with_the_largest_motion(tmp_path):
    t = fabricate.table(subjects=2)
    fabricate.run_folder(tmp_path, t)
    row = t.where("last").rows(np.array([0]))
    seen = mol_drawings.look(row, tmp_path / "data", 128, SAMPLING)
    name, clip = "s01.h5", str(row.clip_id[0])
    frames = store.read_shard(tmp_path / "data/aligned/synthetic" / name)[0][clip]
    made = store.read_shard(tmp_path / "data/folds/0/synthetic_s01/outputs.h5")[0][clip]
    assert made["pair"].tolist() == [1, 3]  # the second label is the larger one
    third, fourth = (2 * np.array([3, 4]) + 1) * len(frames["frames"]) // 16
    np.testing.assert_array_equal(seen.label, made["flow_label"][1])
    np.testing.assert_array_equal(seen.estimate, made["flow"][1])
    np.testing.assert_array_equal(seen.first, frames["frames"][third, 8:136, 8:136])
    np.testing.assert_array_equal(seen.second, frames["frames"][fourth, 8:136, 8:136])
    np.testing.assert_allclose(seen.truth, frames["points"][fourth] - 8)
    np.testing.assert_array_equal(seen.points, made["landmarks"][3])


def test_a_model_without_flow_is_drawn_by_its_landmarks(tmp_path):
    t = fabricate.table(subjects=2)
    fabricate.run_folder(tmp_path, t, flow=False)
    t.aux["epe"][:] = np.nan
    last = t.where("last")
    assert clips_drawn.draw("mol", last, tmp_path / "data", tmp_path, 1, True, crop=128, sampling=SAMPLING) == 1
    with Image.open(tmp_path / "clip_1.png") as image:
        assert "by landmarks" in image.info["Title"] and "TV-L1" not in image.info["Description"]


def test_a_model_that_keeps_nothing_is_not_drawn(tmp_path):
    t = fabricate.table(subjects=2)
    fabricate.run_folder(tmp_path, t)
    last = t.where("last")
    assert clips_drawn.draw("mol", last, tmp_path / "data", tmp_path, 0, True, crop=128, sampling=SAMPLING) == 0
    for path in tmp_path.glob("data/folds/*/*/outputs.h5"):
        store.write_shard(path, {name: {} for name in store.read_shard(path)[0]})
    assert clips_drawn.draw("mol", last, tmp_path / "data", tmp_path, 3, True, crop=128, sampling=SAMPLING) == 0
    assert not list(tmp_path.glob("*.png"))
