"""The forest plot of a comparison: the differences that the tables have, and nothing where nothing is paired."""

from PIL import Image
from reporting.test_curves import compared

from mer.reporting import forest


def test_every_difference_and_its_interval_is_drawn(tmp_path):
    c = compared({}, {"train.steps": 80}, {"train.steps": 160})
    with Image.open(forest.draw(c, tmp_path)) as image:
        told = image.info["Description"]
    for one in c.against:
        value, (low, high) = one.difference["uf1"]
        assert f"{one.experiment.label}, UF1 {100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]" in told
    assert told.count("accuracy") == 2


def test_experiments_on_different_ground_have_none(tmp_path):
    assert forest.draw(compared({}, {"datasets": ("casme2",), "classes": "5"}), tmp_path) is None
