"""Losses of MOL and auxiliary metrics: golden numbers, invariances, gradients."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mer.base import knobs
from mer.models.mol import losses

ROOT = Path(__file__).parents[3]


def face(batch=(), distance=50.0):
    """Landmarks whose eye centres are `distance` px apart: points 36-41 at x = 10, 42-47 at x = 10 + distance."""
    torch.manual_seed(0)
    points = 100 * torch.rand(*batch, 68, 2, dtype=torch.float64)
    points[..., 36:42, :] = torch.tensor([10.0, 30.0], dtype=torch.float64)
    points[..., 42:48, :] = torch.tensor([10.0 + distance, 30.0], dtype=torch.float64)
    return points


def test_landmark_loss_golden():
    truth = face((2, 3))
    points = truth + torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert losses.landmark_loss(points, truth).item() == pytest.approx(0.06, abs=1e-15)
    assert losses.landmark_loss(points, truth, "l2").item() == pytest.approx(0.002, abs=1e-15)
    torch.testing.assert_close(losses.nme(points, truth), torch.full((2, 3), 5**0.5 / 50, dtype=torch.float64))
    assert 100 * losses.nme(points, truth)[0, 0].item() == pytest.approx(4.4721, abs=1e-4)
    moved = truth + torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert losses.landmark_loss(moved, truth).item() == pytest.approx(1 / 50, abs=1e-15)


def test_landmark_loss_has_no_unit():
    truth, points = face((2,)), face((2,)) + torch.randn(2, 68, 2, dtype=torch.float64)
    for kind in ("l1", "l2"):
        a, b = losses.landmark_loss(points, truth, kind), losses.landmark_loss(3 * points, 3 * truth, kind)
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(losses.nme(points, truth), losses.nme(3 * points, 3 * truth))
    with pytest.raises(ValueError, match="expected l1 or l2"):
        losses.landmark_loss(points, truth, "l3")


def test_every_frame_is_scaled_by_its_own_distance():
    truth = torch.stack([face(distance=50.0), face(distance=25.0)])
    points = truth + torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert losses.landmark_loss(points, truth).item() == pytest.approx((1 / 50 + 1 / 25) / 2)


def test_failure_is_an_error_above_a_tenth():
    truth = face((2,))
    points = truth + torch.tensor([[[4.9, 0.0]], [[5.1, 0.0]]], dtype=torch.float64)
    assert losses.failure(points, truth).tolist() == [False, True]


def test_flow_loss_is_the_mean_over_pairs_of_mean_squares():
    flow, truth = torch.randn(2, 3, 2, 8, 8), torch.randn(2, 3, 2, 8, 8)
    pairs = [((flow[b, k] - truth[b, k]) ** 2).mean() for b in range(2) for k in range(3)]
    torch.testing.assert_close(losses.flow_loss(flow, truth), torch.stack(pairs).mean())


def test_class_loss_is_minus_the_log_of_the_true_class():
    logits, labels = torch.randn(4, 5), torch.tensor([0, 4, 2, 2])
    expected = -torch.stack([logits[i].softmax(0)[j].log() for i, j in enumerate(labels)]).mean()
    torch.testing.assert_close(losses.class_loss(logits, labels), expected)


def test_epe_golden():
    truth = torch.zeros(2, 3, 2, 4, 4)
    flow = truth.clone()
    flow[:, :, 0], flow[:, :, 1] = 3, 4
    assert torch.equal(losses.epe(flow, truth), torch.full((2, 3), 5.0))


def batch(t=8):
    truth = face((2, t)).float()
    return SimpleNamespace(label=torch.tensor([0, 2]), flow=torch.randn(2, t - 1, 2, 6, 6), points=truth)


def outputs(t=8):
    torch.manual_seed(2)
    return {
        "logits": torch.randn(2, 3),
        "flow": torch.randn(2, t - 1, 2, 6, 6),
        "landmarks": face((2, t - 1)).float() + torch.randn(2, t - 1, 68, 2),
    }


def test_joint_loss_has_a_term_per_task():
    b, out = batch(), outputs()
    terms = losses.mol_losses(out, b)
    assert list(terms) == ["mer", "flow", "landmark"] and all(term.ndim == 0 for term in terms.values())
    torch.testing.assert_close(terms["landmark"], losses.landmark_loss(out["landmarks"], b.points[:, 1:]))
    assert list(losses.mol_losses({"landmarks": out["landmarks"]}, b)) == ["landmark"]
    assert losses.mol_losses(out, b, "l2")["landmark"] != terms["landmark"]


def test_the_profile_released_is_what_the_released_code_computes():
    """Its MSE over all pairs is divided by t - 1 again, its landmark errors are summed over frames."""
    b, out = batch(), outputs()
    raw = knobs.read_yaml(ROOT / "params.yaml")
    weights = {name: knobs.profile(raw["profiles"], "mol", name) for name in ("paper", "released")}  # paper: as typed
    flow, landmark = weights["paper"]["lambda_f"], weights["paper"]["lambda_m"]
    squared = ((out["flow"] - b.flow) ** 2).mean() / 7
    truth = b.points[:, 1:]
    per_frame = (out["landmarks"] - truth).abs().sum((-2, -1)) / (68 * losses.interocular(truth))
    released = losses.class_loss(out["logits"], b.label) + flow * squared + landmark * per_frame.sum(1).mean()
    terms = losses.mol_losses(out, b)
    torch.testing.assert_close(terms["mer"] + 10 / 7 * terms["flow"] + 0.7 * terms["landmark"], released)
    assert weights["released"]["lambda_f"] == round(10 / 7, 2) and weights["released"]["lambda_m"] == 0.7


def test_errors_stand_beside_their_constants():
    b, out = batch(), outputs()
    mean_face = face().float()
    found = losses.errors(out, b, mean_face)
    assert {name: tuple(v.shape) for name, v in found.items()} == dict.fromkeys(
        ("epe", "epe_zero", "nme", "nme_mean_face", "failures"), (2,)
    )
    torch.testing.assert_close(found["epe_zero"], b.flow.square().sum(2).sqrt().mean((1, 2, 3)))
    b.points = mean_face.expand(2, 8, 68, 2)
    assert losses.errors(out, b, mean_face)["nme_mean_face"].tolist() == [0, 0]
    assert list(losses.errors({"logits": out["logits"]}, b, mean_face)) == []
    out["landmarks"] = b.points[:, 1:].clone()
    out["landmarks"][0, :3] += 20
    assert losses.errors(out, b, mean_face)["failures"].tolist() == pytest.approx([3 / 7, 0])


def test_errors_are_the_same_for_mirrored_truth_and_estimate():
    flow, truth = torch.randn(2, 2, 6, 6, dtype=torch.float64), torch.randn(2, 2, 6, 6, dtype=torch.float64)
    sign = torch.tensor([-1.0, 1.0])[:, None, None]
    torch.testing.assert_close(losses.epe(flow.flip(-1) * sign, truth.flip(-1) * sign), losses.epe(flow, truth))
    points, face_truth = face((2,)) + torch.randn(2, 68, 2, dtype=torch.float64), face((2,))
    mirror = torch.tensor([127.0, 0.0]), torch.tensor([-1.0, 1.0])
    moved = [mirror[0] + mirror[1] * p for p in (points, face_truth)]
    torch.testing.assert_close(losses.nme(*moved), losses.nme(points, face_truth))


def constant_flow(u, v, side=4):
    return torch.tensor([u, v], dtype=torch.float64)[None, :, None, None].expand(1, 2, side, side)


def test_warp_golden():
    image = torch.arange(16, dtype=torch.float64).view(1, 1, 4, 4)
    torch.testing.assert_close(losses.warp(image, constant_flow(0, 0)), image)
    half = losses.warp(image, constant_flow(0.5, 0))[0, 0, 0]
    torch.testing.assert_close(half, torch.tensor([0.5, 1.5, 2.5, 3], dtype=torch.float64))
    down = losses.warp(image, constant_flow(0, 1))[0, 0]
    torch.testing.assert_close(down, torch.stack([image[0, 0, i] for i in (1, 2, 3, 3)]))
    right = losses.warp(image, constant_flow(1, 0))
    torch.testing.assert_close(right[..., :-1], image[..., 1:])


def test_warp_undoes_a_motion():
    frame = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    following = frame.roll((2, -1), dims=(2, 3))  # down 2, left 1
    back = losses.warp(following, constant_flow(-1, 2, side=12))
    torch.testing.assert_close(back[..., :-2, 1:], frame[..., :-2, 1:])


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_gradient_of_landmark_loss(kind):
    truth = face((2,))
    points = (truth + torch.randn(2, 68, 2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: losses.landmark_loss(p, truth, kind), points)


def test_gradient_of_class_and_flow_loss():
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: losses.class_loss(x, torch.tensor([0, 3, 1])), logits)
    flow = torch.randn(2, 2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    truth = torch.randn(2, 2, 2, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: losses.flow_loss(x, truth), flow)
