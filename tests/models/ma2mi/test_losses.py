"""Losses of MA2MI: golden values, known permutations, exact equivariance, gradients, and the diagnostics."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mer.models.ma2mi import losses
from mer.models.ma2mi.config import Config


def features(batch=2, channels=5, height=3, width=3, seed=0):
    return torch.randn(batch, channels, height, width, dtype=torch.float64,
                       generator=torch.Generator().manual_seed(seed))


def units(batch=2, count=9, channels=5):
    return F.normalize(torch.randn(batch, count, channels, dtype=torch.float64), dim=2)


def affine(angle=0.0, right=0.0, down=0.0, batch=1):
    """T that turns by `angle` degrees and then samples `right`, `down` (in sides of the picture) further on."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    theta = torch.tensor([[cos, -sin, 2 * right], [sin, cos, 2 * down]], dtype=torch.float64)
    return theta.expand(batch, 2, 3)


def test_diversity_is_the_mean_cosine_of_different_positions():
    maps = features()
    cosines = [[F.cosine_similarity(maps[b].flatten(1)[:, i], maps[b].flatten(1)[:, j], dim=0) for i in range(9)
                for j in range(9) if i != j] for b in range(2)]
    expected = torch.stack([torch.stack(values).mean() for values in cosines]).mean()
    torch.testing.assert_close(losses.diversity_loss(losses.unit_vectors(maps)), expected)


def test_diversity_golden():
    orthogonal = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    assert losses.diversity_loss(orthogonal).item() == pytest.approx(0, abs=1e-15)
    assert losses.diversity_loss(orthogonal[:, :1].expand(3, 4, 4)).item() == pytest.approx(1)
    torch.testing.assert_close(*(losses.diversity_loss(losses.unit_vectors(s * features())) for s in (1, 7)))


def test_matching_recovers_a_known_permutation():
    """A face whose areas have been moved about: the loss is 0 and m says where each has gone."""
    first = units(1, 49, 64)
    order = torch.randperm(49)
    both = torch.cat([first, first[:, order]])
    for kind in ("hungarian", "argmax"):
        found = losses.match(both[:1] @ both[1:].transpose(1, 2), kind)
        assert torch.equal(order[found[0]], torch.arange(49))
        assert losses.consistency_loss(both, kind).item() == pytest.approx(0, abs=1e-12)


def test_hungarian_is_the_best_of_all_permutations():
    similarity = torch.randn(3, 5, 5)
    found = losses.match(similarity)
    for b in range(3):
        best = max(itertools.permutations(range(5)), key=lambda m, b=b: similarity[b, range(5), list(m)].sum().item())
        assert found[b].tolist() == list(best)


def test_argmax_may_choose_a_position_twice_and_hungarian_may_not():
    similarity = torch.tensor([[[0.9, 0.8], [0.7, 0.1]]])
    assert losses.match(similarity, "argmax").tolist() == [[0, 0]]
    assert losses.match(similarity).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="expected hungarian or argmax"):
        losses.match(similarity, "greedy")


def test_consistency_is_written_out():
    values = units(3)
    terms = []
    for b in range(3):
        other = values[(b + 1) % 3]
        chosen = losses.match((values[b] @ other.T)[None])[0]
        terms += [1 - values[b, i] @ other[chosen[i]] for i in range(9)]
    torch.testing.assert_close(losses.consistency_loss(values), torch.stack(terms).mean())
    assert losses.consistency_loss(values, "argmax") <= losses.consistency_loss(values)


def test_consistency_needs_another_face():
    values = units(1).requires_grad_()
    loss = losses.consistency_loss(values)
    loss.backward()
    assert loss.item() == 0 and not values.grad.any()


def test_features_that_are_no_numbers_do_not_stop_the_matching():
    """The training loop then names the loss that is not finite."""
    assert losses.consistency_loss(torch.full((2, 4, 3), math.nan)).isnan()


def test_warp_matrix_is_grid_sample():
    maps = features(4, height=5, width=4)
    theta = losses.random_affine(4, rotation=40, translation=0.2, generator=torch.Generator().manual_seed(3)).double()
    matrix, _ = losses.warp_matrix(theta, 5, 4)
    expected = F.grid_sample(maps, F.affine_grid(theta, list(maps.shape), align_corners=False), align_corners=False)
    torch.testing.assert_close((matrix @ maps.flatten(2).transpose(1, 2)).transpose(1, 2).view_as(maps), expected)


def test_valid_positions():
    _, valid = losses.warp_matrix(affine(), 4, 4)
    assert valid.all()
    _, valid = losses.warp_matrix(affine(right=1 / 4), 4, 4)
    assert valid.view(4, 4).tolist() == [[True] * 3 + [False]] * 4
    _, valid = losses.warp_matrix(affine(down=-0.1), 4, 4)
    assert valid.view(4, 4)[1:].all() and not valid.view(4, 4)[0].any()
    _, valid = losses.warp_matrix(affine(45.0), 4, 4)
    corners = torch.tensor([[0, 0], [0, 3], [3, 0], [3, 3]])
    assert valid.view(4, 4)[1:3, 1:3].all() and not valid.view(4, 4)[corners[:, 0], corners[:, 1]].any()
    quarter, valid = losses.warp_matrix(affine(90.0), 4, 4)
    assert valid.all()
    torch.testing.assert_close(quarter.sum(1), torch.ones(1, 16, dtype=torch.float64))
    assert ((quarter - 1).abs() < 1e-9).sum() == 16


def encoder(pictures, cell=8, seed=4):
    """An encoder that is exactly equivariant to shifts by cells: means over cells, and a fixed nonlinear mixture."""
    mixture = torch.randn(6, pictures.shape[1] * 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    fine = F.avg_pool2d(pictures, cell // 2)
    cells = F.unfold(fine, 2, stride=2)
    side = pictures.shape[-1] // cell
    return (mixture @ cells).unflatten(2, (side, side)).tanh()


@pytest.mark.parametrize("unit_norm", [True, False])
def test_a_shift_by_one_cell_gives_no_equivariance_error(unit_norm):
    pictures = torch.rand(2, 3, 56, 56, dtype=torch.float64)
    for right, down in ((1, 0), (0, -1), (1, 2)):
        theta = affine(right=right / 7, down=down / 7, batch=2)
        warped = encoder(losses.warp_images(pictures, theta))
        assert losses.equivariance_loss(encoder(pictures), warped, theta, unit_norm).item() < 1e-6
        other = affine(right=right / 7, down=(down - 1) / 7, batch=2)
        assert losses.equivariance_loss(encoder(pictures), warped, other, unit_norm).item() > 0.1


def test_equivariance_counts_valid_positions_only():
    maps, theta = features(height=4, width=4), affine(right=1 / 4, batch=2)
    moved = torch.cat([maps[..., 1:], torch.full_like(maps[..., :1], 7.0)], dim=3)
    assert losses.equivariance_loss(maps, moved, theta, False).item() == pytest.approx(0, abs=1e-9)
    moved[0, :, 0, 0] += torch.tensor([3.0, 4, 0, 0, 0])
    assert losses.equivariance_loss(maps, moved, theta, False).item() == pytest.approx(5 / 24)
    nowhere = affine(right=2.0, batch=2)
    assert losses.equivariance_loss(maps, moved, nowhere).item() == 0


def test_shrinking_the_features_lowers_the_equivariance_error_only_without_unit_norm():
    maps, other, theta = features(seed=1), features(seed=2), affine(batch=2)
    small, large = (losses.equivariance_loss(s * maps, s * other, theta) for s in (0.01, 1.0))
    torch.testing.assert_close(small, large)
    small, large = (losses.equivariance_loss(s * maps, s * other, theta, False) for s in (0.01, 1.0))
    torch.testing.assert_close(100 * small, large)


def test_random_transforms_stay_in_their_range():
    generator = torch.Generator().manual_seed(0)
    theta = losses.random_affine(500, rotation=15, translation=0.1, generator=generator)
    angle = torch.rad2deg(torch.atan2(theta[:, 1, 0], theta[:, 0, 0]))
    assert 14 < angle.max() <= 15 and -15 <= angle.min() < -14
    assert 0.19 < theta[:, :, 2].max() <= 0.2 and -0.2 <= theta[:, :, 2].min() < -0.19
    torch.testing.assert_close(torch.linalg.det(theta[:, :, :2]), torch.ones(500))  # no flip, no scale
    still = losses.random_affine(1, rotation=0, translation=0, generator=generator)
    picture = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(losses.warp_images(picture, still), picture)


def test_beyond_the_picture_its_border_is_repeated():
    picture = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    moved = losses.warp_images(picture, affine(right=1 / 2))
    torch.testing.assert_close(moved[..., :2], picture[..., 2:])
    torch.testing.assert_close(moved[..., 2:], picture[..., 3:].expand(-1, -1, -1, 2))


def test_reconstruction_is_the_mean_absolute_error():
    estimate, truth = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(losses.reconstruction_loss(estimate, truth), (estimate - truth).abs().sum() / 72)


@pytest.mark.parametrize("name", ["diversity", "hungarian", "argmax", "unit norm", "scale kept", "units"])
def test_gradients(name):
    theta = losses.random_affine(2, rotation=15, translation=0.1, generator=torch.Generator().manual_seed(1)).double()
    functions = {
        "diversity": lambda a, b: losses.diversity_loss(losses.unit_vectors(a)),
        "hungarian": lambda a, b: losses.consistency_loss(losses.unit_vectors(a)),
        "argmax": lambda a, b: losses.consistency_loss(losses.unit_vectors(a), "argmax"),
        "unit norm": lambda a, b: losses.equivariance_loss(a, b, theta),
        "scale kept": lambda a, b: losses.equivariance_loss(a, b, theta, False),
        "units": lambda a, b: losses.unit_vectors(a),
    }  # fmt: skip
    a, b = features(seed=1).requires_grad_(), features(seed=2).requires_grad_()
    assert torch.autograd.gradcheck(functions[name], (a, b))


def test_gradient_is_finite_where_features_are_zero_or_equal():
    """ReLU leaves whole positions at zero, and equal features have no direction of error."""
    maps = features().relu()
    maps[:, :, 0] = 0
    maps.requires_grad_()
    values = losses.unit_vectors(maps)
    total = losses.diversity_loss(values) + losses.consistency_loss(values)
    (total + losses.equivariance_loss(maps, maps.detach(), affine(batch=2))).backward()
    assert maps.grad.isfinite().all()


def test_terms_follow_what_the_network_returns():
    cfg = Config()
    batch = SimpleNamespace(label=torch.tensor([0, 2]), latents=torch.randn(2, 2, 4, 3, 3), theta=affine(batch=2))
    outputs = {"logits": torch.zeros(2, 5), "latent": torch.randn(2, 4, 3, 3), "position": features(),
               "position_warped": features(seed=1)}
    found = losses.ma2mi_losses(outputs, batch, cfg)
    assert list(found) == ["mer", "reconstruction", "diversity", "consistency", "equivariance"]
    assert found["mer"].item() == pytest.approx(math.log(5))
    torch.testing.assert_close(found["reconstruction"], (outputs["latent"] - batch.latents[:, 1]).abs().mean())
    torch.testing.assert_close(found["equivariance"], losses.equivariance_loss(
        outputs["position"], outputs["position_warped"], batch.theta))
    assert list(losses.ma2mi_losses({"latent": outputs["latent"]}, batch, cfg)) == ["reconstruction"]


def test_losses_of_the_autoencoder():
    frames = torch.rand(2, 2, 1, 4, 4)
    outputs = {"pixels": (2 * frames.flatten(0, 1) - 1).expand(-1, 3, -1, -1) + 0.25,
               "mean": torch.zeros(4, 4, 1, 1), "logvar": torch.zeros(4, 4, 1, 1)}
    found = losses.conv_ae_losses(outputs, SimpleNamespace(frames=frames))
    assert found["pixels"].item() == pytest.approx(0.25) and found["kl"].item() == 0
    outputs["mean"] = outputs["mean"] + 1
    kl = losses.conv_ae_losses(outputs, SimpleNamespace(frames=frames))["kl"]
    assert kl.item() == pytest.approx(0.5 * 4 / (3 * 4 * 4))


class Oracle(torch.nn.Module):
    """A network of MIACNet's interface that knows the answer: c says how much is added to z_t.

    `places` (4,): the weights of the four cells of its grid in c.
    """

    fpe = True

    def __init__(self, places):
        super().__init__()
        self.places = torch.tensor(places)

    def positions(self, pictures):
        return torch.nn.functional.avg_pool2d(pictures, 4)

    def actions(self, frames):
        return torch.nn.functional.avg_pool2d(frames[:, 1] - frames[:, 0], 4)

    def fuse(self, position, action):
        return action.flatten(1) @ self.places

    def dit(self, latent, condition):
        return latent + condition[:, None, None, None]


def clips_for(model):
    frames = torch.rand(4, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    step = model.fuse(None, model.actions(frames))
    latents = torch.randn(4, 1, 4, 3, 3).expand(-1, 2, -1, -1, -1).clone()
    latents[:, 1] += step[:, None, None, None]
    return step, SimpleNamespace(frames=frames, latents=latents)


def generator():
    return torch.Generator().manual_seed(0)


def test_diagnostics_tell_copy_and_unused_condition():
    model = Oracle([0.25] * 4).train()
    step, batch = clips_for(model)
    found = losses.diagnose(model, batch, generator())
    assert model.training
    assert found["reconstruction"].item() == pytest.approx(0, abs=1e-6)
    assert found["copy"].item() == pytest.approx(step.abs().mean().item(), abs=1e-6)
    assert found["shuffled_c"].item() == pytest.approx((step - step.roll(1)).abs().mean().item(), abs=1e-6)
    # averaged over the grid, where something moves cannot count
    assert found["shuffled_position"].item() == found["shuffled_action"].item() == pytest.approx(0, abs=1e-6)
    model.fpe = None
    assert "shuffled_position" not in losses.diagnose(model, batch, generator())


def test_diagnostics_tell_whether_the_place_of_action_and_of_position_counts():
    model = Oracle([1.0, -2.0, 3.0, 0.5])
    _, batch = clips_for(model)
    found = losses.diagnose(model, batch, generator())
    assert found["shuffled_action"] > 0.05 and found["shuffled_position"].item() == pytest.approx(0, abs=1e-6)
    model.fuse = lambda position, action: (position + action).flatten(1) @ model.places
    assert losses.diagnose(model, batch, generator())["shuffled_position"] > 0.05


def test_shuffling_moves_whole_positions_each_clip_its_own_way():
    maps = torch.arange(2 * 3 * 16.0).reshape(2, 3, 4, 4)
    found = losses.shuffled(maps, generator())
    assert torch.equal(found.flatten(2).sort(dim=2).values, maps.flatten(2))
    order = (found - maps[:, :, :1, :1]).flatten(2)  # which position stands here
    assert torch.equal(order, order[:, :1].expand(-1, 3, -1)) and not torch.equal(order[0], order[1])
