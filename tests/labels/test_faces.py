"""Detector logic with a scripted detector, and the predictor's file."""

import numpy as np
import pytest
from labels.label_tools import face_points

from mer.base.errors import MerError
from mer.labels import faces
from mer.labels.records import Excluded

BOX, SMALL, OTHER = (10, 10, 59, 59), (0, 0, 19, 19), (30, 30, 99, 99)
MOVED = (12, 12, 69, 69)


class Script:
    """A detector that finds what `plan[(frame, upsample)]` says; frames are pictures filled with their position."""

    def __init__(self, plan):
        self.plan, self.calls = plan, []

    def detect(self, image, upsample):
        self.calls.append((int(image[0, 0]), upsample))
        boxes = self.plan.get((int(image[0, 0]), upsample), [])
        return np.array(boxes, np.int32).reshape(-1, 4), np.full(len(boxes), 1.5, np.float32)

    @staticmethod
    def predict(image, box):
        return face_points() + np.asarray(box)[:2] + image[0, 0]

    def run(self, count, retry=1, every=1):
        pictures = [(100 + k, np.full((120, 120), k, np.uint8)) for k in range(count)]
        return faces.label_frames(lambda: iter(pictures), self.detect, self.predict, upsample_retry=retry,
                                  whole_every=every)


def test_enlarging_only_where_nothing_is_found():
    script = Script({(0, 0): [BOX], (1, 1): [MOVED], (2, 0): [BOX]})
    record = script.run(3)
    assert script.calls == [(0, 0), (1, 0), (1, 1), (2, 0)]
    assert record["how"].tolist() == [0, 1, 0]
    assert record["boxes"].tolist() == [list(BOX), list(MOVED), list(BOX)]
    assert record["numbers"].tolist() == [100, 101, 102]


def test_a_missed_frame_takes_the_nearest_frames_box_but_its_own_points():
    script = Script({(0, 0): [BOX], (4, 0): [MOVED]})
    record = script.run(5)
    assert record["how"].tolist() == [0, 2, 2, 2, 0]
    assert record["boxes"].tolist() == [list(b) for b in (BOX, BOX, BOX, MOVED, MOVED)]  # tie at 2: the earlier one
    np.testing.assert_allclose(record["points"][3], face_points() + 12 + 3, atol=1e-4)
    assert np.isnan(record["score"][1:4]).all() and record["faces"].tolist() == [1, 0, 0, 0, 1]


def test_a_miss_at_the_start_waits_for_the_first_face():
    record = Script({(2, 0): [BOX]}).run(3)
    assert record["how"].tolist() == [2, 2, 0] and (record["boxes"] == BOX).all()


def test_one_of_several_faces_is_followed_and_the_others_are_recorded():
    record = Script({(0, 0): [SMALL, OTHER, BOX], (1, 0): [BOX]}).run(2)
    assert record["boxes"].tolist() == [list(BOX), list(BOX)] and record["faces"].tolist() == [3, 1]
    assert record["others"].tolist() == [[100, *SMALL, 1.5], [100, *OTHER, 1.5]]
    assert faces.tell(record) == {"frames": 2, "detected": 2, "upsampled": 0, "neighbour": 0, "several_faces": 1,
                                      "clips_other_faces": 1, "clips_not_largest": 1, "clips_jump": 0}


def test_no_face_at_all_excludes_the_clip():
    with pytest.raises(Excluded, match="no face found in any of its 3 frames"):
        Script({}).run(3)


def test_no_retry_when_switched_off():
    script = Script({(0, 0): [BOX]})
    script.run(2, retry=0)
    assert script.calls == [(0, 0), (1, 0)]


def test_shapes_and_types():
    record = Script({(k, 0): [BOX] for k in range(4)}).run(4)
    assert {name: (value.shape, value.dtype.name) for name, value in record.items()} == {
        "points": ((4, 68, 2), "float32"), "boxes": ((4, 4), "int32"), "how": ((4,), "uint8"), "faces": ((4,), "uint8"),
        "score": ((4,), "float32"), "others": ((0, 6), "float32"), "numbers": ((4,), "int32")}


def test_the_predictor_is_found_without_importing_its_package(monkeypatch):
    import sys

    sys.modules.pop("face_recognition_models", None)
    assert faces.predictor_path().is_file()
    assert "face_recognition_models" not in sys.modules
    monkeypatch.setattr(faces.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MerError, match="pip install face_recognition_models.*landmarks.model_path"):
        faces.predictor_path()


def test_a_wrong_model_path_or_file_is_told(tmp_path):
    with pytest.raises(MerError, match="landmarks.model_path = nowhere.dat: no such file"):
        faces.predictor_path("nowhere.dat")
    (tmp_path / "broken.dat").write_bytes(b"no model")
    assert faces.predictor_path(str(tmp_path / "broken.dat")).name == "broken.dat"
    with pytest.raises(MerError, match="broken.dat: dlib cannot load it"):
        faces.dlib_models(str(tmp_path / "broken.dat"))


def test_a_five_point_predictor_is_refused():
    five = faces.predictor_path().with_name("shape_predictor_5_face_landmarks.dat")
    _, predict = faces.dlib_models(str(five))
    with pytest.raises(MerError, match="predicts 5 points; expected 68"):
        predict(np.zeros((100, 100), np.uint8), BOX)
