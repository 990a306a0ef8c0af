"""Pages about real releases hold no face unless `report.faces` says so; synthetic faces are always shown."""

import numpy as np
import pytest
from PIL import Image

from mer.base import store
from mer.reporting import sections


@pytest.fixture
def reports(tmp_path):
    for name in ("results/clip_1", "results/rank_scores", "labels/casme2/flow_examples", "labels/casme2/landmarks",
                 "labels/synthetic/flow_examples", "pretraining/reconstruction_1", "pretraining/curves"):
        path = tmp_path / f"plots/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    store.write_json(tmp_path / "pretraining.json", {"steps": 10})
    return tmp_path


def test_which_may_be_shown():
    assert sections.may_show(False, ["synthetic", "synthetic_macro"]) and sections.may_show(True, ["casme2"])
    assert not sections.may_show(False, ["synthetic", "casme2"])


@pytest.mark.parametrize("faces", [False, True])
def test_pictures_of_real_faces(reports, faces):
    tested = sections.auxiliary({}, reports, sections.may_show(faces, ["casme2"]))
    learned = sections.pretraining(reports, "mol", sections.may_show(faces, ["casme2"]))
    labels = sections.labels(reports, faces)
    assert [page.count("<img") for page in (tested, learned, labels)] == ([2, 2, 3] if faces else [1, 1, 2])
    for page in (tested, learned, labels):
        assert ("1 pictures that show faces of real people are left out" in page) != faces


def test_pictures_of_synthetic_faces(reports):
    assert sections.auxiliary({}, reports, sections.may_show(False, ["synthetic"])).count("<img") == 2
