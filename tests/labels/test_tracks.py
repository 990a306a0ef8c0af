"""Which face a clip is of: by score and through the clip; jumps; the embedded faces as the exhaustive way has them."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from labels.label_tools import face_points

from mer import params
from mer.datasets.synthetic.plan import releases
from mer.datasets.synthetic.release import clip_script
from mer.datasets.synthetic.render import Subject
from mer.labels import align, faces, lattice, tracks
from mer.labels.records import Excluded

PARAMS = Path(__file__).parents[2] / "params.yaml"
FACE, PATCH = (60, 60, 110, 110), (120, 120, 199, 199)


def scripted(plan, **settings):
    """`label_frames` of pictures filled with their position, with (box, score) of each from `plan[position]`."""
    def detect(image, upsample):
        found = plan[int(image[0, 0])]
        return (np.array([box for box, _ in found], np.int32).reshape(-1, 4),
                np.array([score for _, score in found], np.float32))

    def predict(image, box):
        return face_points((0, 0), 0.4) + np.add(box[:2], box[2:]) / 2

    pictures = [(k, np.full((200, 200), k, np.uint8)) for k in range(len(plan))]
    return faces.label_frames(lambda: iter(pictures), detect, predict, **settings)


def moved(box, x, y=0):
    return tuple(np.add(box, (x, y, x, y)).tolist())


@pytest.mark.parametrize("every", [1, 64])
def test_a_larger_false_box_loses_also_where_it_comes_first_or_alone(every):
    patch = (PATCH, 0.1)
    record = scripted([[patch], [patch, (FACE, 1.5)], [(FACE, 1.6)], [patch], [patch, (FACE, 1.4)]], whole_every=every)
    assert (record["boxes"] == FACE).all() and record["how"].tolist() == [2, 0, 0, 2, 0]
    assert record["others"][:, 0].tolist() == [0, 1, 3, 4] and (record["others"][:, 1:5] == PATCH).all()
    assert faces.tell(record)["clips_not_largest"] == 1


def test_of_two_people_one_is_followed_though_their_scores_change_places():
    plan = [[(moved(FACE, 2 * k), 1.5 + 0.3 * (k % 2)), (moved(PATCH, -k), 1.6 - 0.3 * (k % 2))][::(-1) ** k]
            for k in range(8)]
    record = scripted(plan)
    assert record["boxes"].tolist() == [list(moved(PATCH, -k)) for k in range(8)]  # the larger: both are faces
    assert not tracks.jumps(record["points"], record["how"]).any() and (record["faces"] == 2).all()


def test_a_jump_is_flagged_and_alignment_leaves_its_frames_out():
    # the inter-ocular distance is 25.6
    record = scripted([[(moved(FACE, 14 * (k >= 7)), 2.0)] for k in range(10)])
    assert np.flatnonzero(tracks.jumps(record["points"], record["how"])).tolist() == [7]
    assert faces.tell(record)["clips_jump"] == 1
    assert tracks.steady(record["points"], record["how"]).tolist() == [True] * 7 + [False] * 3
    made = align.align_frames([(k, np.zeros((200, 200), np.uint8)) for k in range(10)], record)
    np.testing.assert_allclose(made["matrix"], align.similarity(record["points"][0]))
    almost = scripted([[(moved(FACE, 12 * (k >= 7)), 2.0)] for k in range(10)])
    assert not tracks.jumps(almost["points"], almost["how"]).any()


def test_a_clip_that_jumps_throughout_is_dropped():
    with pytest.raises(Excluded, match="jump 5 times by more than half an inter-ocular distance; at most 2 of its 12"):
        scripted([[(moved(FACE, 14 * (k // 2 % 2)), 2.0)] for k in range(12)])


@pytest.fixture(scope="module")
def clips():
    """Gray frames of 480 x 360 of three people, one of them blurred, one restless and noisy."""
    release = replace(releases(params.load(PARAMS).synthetic)[0], width=480, height=360, frames=24)
    made = []
    for index, motion in enumerate((1, 1, 4)):
        subject = Subject(replace(release, noise=3.0 * motion, head_motion=1.5 * motion), index)
        script = clip_script(subject, "surprise", 0)
        frames = [cv2.cvtColor(subject.frame(script, k), cv2.COLOR_BGR2GRAY) for k in range(24)]
        made.append([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in frames] if index == 1 else frames)
    return made


@pytest.fixture(scope="module")
def dlib():
    return faces.dlib_models(str(faces.predictor_path()))


def test_every_frame_whole_is_dlib_itself(clips, dlib):
    detect, predict = dlib
    record = faces.label_frames(lambda: enumerate(clips[2]), detect, predict)
    for k, frame in enumerate(clips[2]):
        boxes, scores = detect(frame, 0)
        np.testing.assert_array_equal(record["boxes"][k], boxes[scores.argmax()])
        np.testing.assert_array_equal(record["points"][k], predict(frame, boxes[scores.argmax()]))


def test_where_it_was_is_found_what_the_whole_frame_gives(clips, dlib):
    detect, predict = dlib
    pixels = []

    def counted(image, upsample):
        pixels.append(image.size)
        return detect(image, upsample)

    away = []
    for clip in clips:
        there = faces.label_frames(lambda clip=clip: enumerate(clip), detect, predict)
        here = faces.label_frames(lambda clip=clip: enumerate(clip), counted, predict, whole_every=64)
        assert here["how"].tolist() == there["how"].tolist()
        away.append(np.square(there["points"] - here["points"]).sum(-1))
    assert np.sqrt(np.mean(away)) < 0.5
    assert sum(pixels) < 0.3 * clips[0][0].size * 24 * 3 and pixels.count(clips[0][0].size) == 3  # one whole frame each


def test_boxes_lie_on_the_lattice(clips, dlib):
    for clip in clips:
        for box in dlib[0](clip[0], 0)[0]:
            assert lattice.box_of(lattice.cell_of(box)) == tuple(box.tolist())
    assert lattice.cell_of(np.array(FACE)) is None


def test_a_small_face_is_followed_enlarged(clips, dlib):
    detect, predict = dlib
    asked = []
    small = []
    for frame in clips[0][:6]:
        picture = np.full((480, 640), 128, np.uint8)
        picture[300:390, 400:520] = cv2.resize(frame, (120, 90), interpolation=cv2.INTER_AREA)
        small.append(picture)
    there = faces.label_frames(lambda: enumerate(small), detect, predict)
    here = faces.label_frames(lambda: enumerate(small), lambda image, up: asked.append((image.size, up)) or
                              detect(image, up), predict, whole_every=64)
    assert (there["how"] == faces.ENLARGED).all() and (here["how"] == faces.ENLARGED).all()
    assert [up for _, up in asked] == [0, *[1] * 6] and max(size for size, _ in asked[2:]) < 480 * 640 / 2
    assert np.abs(there["boxes"] - here["boxes"]).max() < 10


def test_the_astronaut_is_answered_on_her_face(dlib):
    """A patch on her suit, larger, is found in some frames. Her picture comes with scikit-image."""
    if (spec := importlib.util.find_spec("skimage")) is None:
        pytest.skip("scikit-image is not installed")
    picture = cv2.imread(str(Path(spec.origin).parent / "data/astronaut.png"), cv2.IMREAD_GRAYSCALE)
    rng = np.random.default_rng(0)
    frames = []
    for k in range(40):
        matrix = np.array([[1, 0, 6 * np.sin(k / 6)], [0, 1, 3 * np.cos(k / 5)]])
        frame = cv2.warpAffine(picture, matrix, picture.shape[::-1], borderMode=cv2.BORDER_REFLECT_101)
        frames.append(np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255).astype(np.uint8))
    for every in (1, 64):
        record = faces.label_frames(lambda: enumerate(frames), *dlib, whole_every=every)
        middle = (record["boxes"][:, :2] + record["boxes"][:, 2:]) / 2
        assert (np.abs(middle - (222, 127)).max(1) < 20).all() and (record["how"] == faces.PLAIN).all()
        assert faces.tell(record)["clips_not_largest"] == 1
