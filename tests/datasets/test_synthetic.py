"""Properties of the rendered faces: who they are, what moves, and what is known about it."""

from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest

from mer.base.errors import MerError
from mer.datasets.synthetic.expressions import MACRO, MICRO, draw_units, units_text
from mer.datasets.synthetic.identity import draw_identity
from mer.datasets.synthetic.plan import Release
from mer.datasets.synthetic.release import clip_script
from mer.datasets.synthetic.render import Subject
from mer.datasets.synthetic.script import course, write_script

LIDS = np.r_[36:48]
SKIN = np.setdiff1d(np.arange(68), LIDS)
RELEASE = Release(
    "micro", seed=7, width=280, height=340, jpeg_quality=95, distractors=0.6, head_motion=1.5, noise=3.0, au_jitter=1.0,
    subjects=3, classes=("happiness", "disgust", "surprise"), clips_per_class=2, frames=16, fps=100.0, amplitude=0.8,
)  # fmt: skip
LOUD = replace(RELEASE, name="macro", classes=tuple(MACRO), amplitude=2.0)


@pytest.fixture(scope="module")
def subject():
    return Subject(RELEASE, 0)


@pytest.fixture(scope="module")
def loud():
    return Subject(LOUD, 1)


def test_a_frame_is_the_same_alone_in_any_order_and_in_a_fresh_subject(subject):
    scripts = {word: clip_script(subject, word, 1) for word in RELEASE.classes}
    frames = {word: subject.frame(script, script.apex) for word, script in scripts.items()}
    fresh = Subject(RELEASE, 0)
    for word in reversed(RELEASE.classes):
        script = clip_script(fresh, word, 1)
        np.testing.assert_array_equal(fresh.frame(script, script.apex), frames[word])
    other = Subject(replace(RELEASE, seed=8), 0)
    assert np.abs(other.frame(scripts["disgust"], 0).astype(int) - subject.frame(scripts["disgust"], 0)).mean() > 5


def test_subjects_differ_within_and_between_the_releases():
    faces = [draw_identity(7, name, index) for name in ("micro", "macro") for index in range(6)]
    measures = np.array([[v for v in asdict(face).values() if type(v) is float] for face in faces])
    assert not np.isclose(measures[:, None], measures[None]).all(-1)[~np.eye(len(faces), dtype=bool)].any()
    spread = measures[:, 0]  # half width of the face, mm
    assert spread.std() > 1
    neutral = [write_script(replace(RELEASE, name=name), 0, "surprise", 0) for name in ("micro", "macro")]
    pictures = [Subject(RELEASE, index).frame(neutral[0], 0).astype(int) for index in (0, 1)]
    pictures.append(Subject(LOUD, 0).frame(neutral[0], 0).astype(int))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(pictures[a] - pictures[b]).mean() > 5


@pytest.mark.parametrize("word", ["happiness", "sadness", "fear"])
def test_no_unit_of_the_label_moves_before_the_onset_or_after_the_offset(word):
    for number in range(12):
        script = write_script(replace(LOUD, distractors=0.0, frames=40), 0, word, number)
        active = script.intensity.max(1) > 0
        assert not active[: script.onset + 1].any() and not active[script.offset + 1 :].any()
        assert script.intensity[script.apex].max() > 0.9 * script.intensity.max()
        assert 0 <= script.onset < script.apex < script.offset < 40


def test_before_the_onset_only_the_head_moves(loud):
    """The shape of the face (landmarks less pose) is the neutral one up to the onset, and another one at the apex."""
    quiet = Subject(replace(LOUD, distractors=0.0), 1)
    script = replace(clip_script(quiet, "fear", 0), blink=np.zeros(16), gaze=np.zeros((16, 2)))
    shapes = [cv2.transform(quiet.points(script, k)[None], cv2.invertAffineTransform(quiet.pose(script, k)))[0]
              for k in range(16)]
    for k in range(script.onset + 1):
        np.testing.assert_allclose(shapes[k], shapes[0], atol=1e-3)
    assert np.abs(shapes[script.apex] - shapes[0]).max() > 2


def test_distractors_before_the_onset_do_not_tell_the_word():
    """What moves before the onset are distractors only, and they are as frequent whatever the label."""
    rates = []
    for word in MICRO:
        before = []
        for number in range(80):
            script = write_script(replace(RELEASE, classes=tuple(MICRO)), 0, word, number)
            before.append((script.intensity[: script.onset + 1].max(0) > 0.02).any())
        rates.append(np.mean(before))
    assert min(rates) > 0.1 and max(rates) - min(rates) < 0.3


def test_neutral_has_no_action_unit_and_its_flow_is_a_head_motion(loud):
    script = clip_script(loud, "neutral", 0)
    assert script.aus == "" and script.units == ()
    flow, _ = loud.flow(script, script.onset, script.apex)
    first, second = loud.pose(script, script.onset), loud.pose(script, script.apex)
    rows, columns = np.nonzero(np.abs(flow).sum(0))
    here = np.stack([columns, rows], 1).astype(np.float64)
    rigid = cv2.transform(cv2.transform(here[None], cv2.invertAffineTransform(first)), second)[0] - here
    np.testing.assert_allclose(flow[:, rows, columns].T, rigid, atol=2e-3)


def test_true_flow_carries_the_true_landmarks_from_onset_to_apex(loud):
    for word in ("anger", "happiness", "fear", "disgust"):
        script = clip_script(loud, word, 1)
        flow, _ = loud.flow(script, script.onset, script.apex)
        onset, apex = (loud.points(script, k)[SKIN] for k in (script.onset, script.apex))
        inside = SKIN[SKIN >= 17]  # jaw points lie on the head's edge, where background begins
        at = onset[SKIN >= 17]
        carried = cv2.remap(flow.astype(np.float32).transpose(1, 2, 0), at[None], None, cv2.INTER_LINEAR)[0]
        assert np.abs(apex - onset)[SKIN >= 17].max() > 1.5, "nothing moved: the test would be empty"
        np.testing.assert_allclose(carried, (apex - onset)[SKIN >= 17], atol=0.2, err_msg=f"{word}, points {inside}")


def test_true_flow_explains_the_pictures():
    """Carrying the apex back by the true flow gives the onset frame, far better than leaving it where it is."""
    clean = Subject(replace(LOUD, noise=0.0, head_motion=4.0), 1)
    script = clip_script(clean, "happiness", 0)
    script = replace(script, blink=0 * script.blink, gaze=0 * script.gaze, light=1 + 0 * script.light)
    flow, eyes = clean.flow(script, script.onset, script.apex)
    onset, apex = (cv2.GaussianBlur(clean.frame(script, k), (0, 0), 1).astype(np.float32)
                   for k in (script.onset, script.apex))
    grid = np.stack(np.meshgrid(np.arange(280), np.arange(340)), 0)
    back = cv2.remap(apex, (grid + flow).astype(np.float32).transpose(1, 2, 0), None, cv2.INTER_CUBIC)
    face = np.zeros((340, 280), bool)
    face[80:270, 70:210] = True
    face &= cv2.dilate(eyes, np.ones((15, 15))) == 0
    carried, left = (np.abs(picture - onset)[face].mean() for picture in (back, apex))
    assert left > 1 and carried < 0.5 * left


def test_the_inverse_map_inverts_the_forward_map(loud):
    script = clip_script(loud, "anger", 0)
    field = loud.field(script, script.apex)
    assert np.abs(field).max() > 3
    source = np.ascontiguousarray(loud.source(np.eye(2, 3), field))
    there = source + loud.sample(field, source)
    grid = np.stack(np.meshgrid(np.arange(280), np.arange(340)), -1)
    assert np.abs(there - grid).max() < 0.3 and np.abs(there - grid).mean() < 0.01


def test_amplitude_scales_the_expression_and_nothing_else():
    weak, strong = (write_script(replace(RELEASE, amplitude=a), 2, "disgust", 0) for a in (0.25, 0.75))
    assert strong.intensity.max() > 0
    np.testing.assert_allclose(strong.intensity, 3 * weak.intensity)
    for name in ("pose", "blink", "gaze", "light", "noise"):
        np.testing.assert_array_equal(getattr(weak, name), getattr(strong, name))
    peaks = []
    for amplitude in (0.25, 0.5):
        subject = Subject(replace(RELEASE, amplitude=amplitude), 2)
        script = clip_script(subject, "disgust", 0)
        peaks.append(np.abs(subject.field(script, script.apex)).max())
    assert peaks[1] == pytest.approx(2 * peaks[0], rel=1e-4)


def test_skin_does_not_fold_however_large_the_amplitude(loud):
    extreme = Subject(replace(LOUD, amplitude=5.0), 1)
    for word in ("happiness", "anger"):
        script = clip_script(extreme, word, 0)
        steepest = max(np.abs(np.diff(extreme.field(script, script.apex), axis=axis)).max() / 2 for axis in (0, 1))
        assert 0.2 < steepest < 0.75


def test_blinks_close_the_lids(subject):
    script = clip_script(subject, "happiness", 0)
    opening = {}
    for value in (0.0, 1.0):
        points = subject.points(replace(script, blink=np.full(16, value)), 0)
        opening[value] = np.linalg.norm(points[[37, 38, 43, 44]] - points[[41, 40, 47, 46]], axis=1).mean()
    assert opening[0.0] > 6 and opening[1.0] < 0.3 * opening[0.0]


def test_course_is_neutral_then_full_then_neutral():
    curve = course(40, 6.3, 18.0, 33.0)
    assert curve[:7].max() == 0 and curve[18] == pytest.approx(1) and curve[33:].max() < 1e-12
    assert (np.diff(curve[6:19]) > 0).all() and (np.diff(curve[18:34]) < 0).all()


def test_every_word_draws_its_units_and_an_unknown_word_is_refused():
    for name, table in (("micro", MICRO), ("macro", MACRO)):
        for word, sets in table.items():
            assert sum(p for _, p, _ in sets) == pytest.approx(1)
            drawn = {tuple(au for au, _ in draw_units(name, word, np.random.default_rng([3, k]))) for k in range(200)}
            assert drawn == {units for units, _, _ in sets}
    assert units_text([(6, (-1, 1)), (12, (-1, 1))]) == "6+12" and units_text([(12, (1,))]) == "L12"
    with pytest.raises(MerError, match="'contempt'.*micro.*happiness"):
        write_script(RELEASE, 0, "contempt", 0)
