"""The picture of the tasks' gradients: means over folds, and nothing where nothing was measured."""

from PIL import Image
from reporting import fabricate

from mer.base import store
from mer.reporting.gradient_plots import gradient_curves


def test_folds_are_averaged_and_files_that_are_not_there_left_out(tmp_path):
    header = ["step", "mer", "landmark"]
    for name, rows in (("a", [[1, 1.0, 0.5], [26, 2.0, 0.0]]), ("b", [[1, 3.0, 1.5]])):
        store.write_csv(tmp_path / name, header, rows)
    gradient_curves([tmp_path / name for name in ("a", "b", "c")], tmp_path, True)
    rows = fabricate.rows(tmp_path / "gradients.csv")
    assert [[float(v) for v in row.values()] for row in rows] == [[1, 2, 1], [26, 2, 0]]
    with Image.open(tmp_path / "gradients.png") as image:
        assert image.info["Title"] == "Training: gradients of the tasks (synthetic data)"
        assert "Mean over folds: mer from 2 to 2, landmark from 1 to 0." in image.info["Description"]


def test_one_task_has_no_picture(tmp_path):
    gradient_curves([tmp_path / "gradients.csv"], tmp_path, True)
    assert not list(tmp_path.iterdir())
