"""The label chain on a rendered face, whose landmarks and flow are known: dlib, alignment and TV-L1 for real."""

from dataclasses import replace
from pathlib import Path

import pytest
from labels.label_tools import clip_row

from mer import params
from mer.base import store
from mer.datasets.synthetic.plan import releases
from mer.datasets.synthetic.release import render_subject
from mer.labels import align, faces, quality
from mer.labels.truth import flow_errors, landmark_errors, true_points

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """(raw root, clip, truth, landmark record) of one subject's one clip of 12 frames, strongly expressed."""
    root = tmp_path_factory.mktemp("raw")
    release = replace(releases(params.load(PARAMS).synthetic)[0], classes=("surprise",), clips_per_class=1, frames=12,
                      amplitude=2.0)
    ((clip_id, subject, folder, onset, apex, offset, *_),) = render_subject((release, 1, root))
    clip = clip_row(clip_id, f"own/{subject}", onset, offset, apex=apex, frames_dir=folder)
    truth = store.read_shard(root / "truth" / f"{subject}.h5")[0][clip_id]
    record = faces.landmark_clip(clip, raw_root=str(root), model_path=str(faces.predictor_path()), upsample_retry=1)
    return root, clip, truth, record


def test_dlib_finds_the_face_and_its_points(rendered):
    _, clip, truth, record = rendered
    assert (record["how"] == faces.PLAIN).all() and (record["faces"] == 1).all() and record["score"].min() > 0.5
    true = true_points(clip.clip_id, truth, record["numbers"])
    assert true.shape == record["points"].shape
    assert landmark_errors(record["points"], true)[:, quality.INNER].mean() < 0.06


def test_the_flow_label_is_nearer_to_the_truth_than_no_motion(rendered):
    root, clip, truth, record = rendered
    made = align.align_clip((clip, record), raw_root=str(root), size=144, enlarge=2.5, border=128, per_frame=False)
    found = quality.onset_apex((clip, made, truth))
    assert found["epe"] < 0.7 * found["epe_zero"] and 0.4 < found["slope"] < 1.2
    assert 0.4 < found["valid"].mean() < 1
    # the truth is of the crop: its sign turned round would be farther than no motion
    turned = flow_errors(-found["flow"], found["truth"], found["valid"])
    assert turned["epe"] > turned["epe_zero"]
