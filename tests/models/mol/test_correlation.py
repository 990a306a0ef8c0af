"""FlowNet-C's correlation against its 441 shifted products."""

import pytest
import torch
from models.mol import mol_reference as reference

from mer.models.mol.correlation import ACROSS, correlation, live_range


@pytest.mark.parametrize("shape", [(4, 16, 16), (3, 5, 6), (2, 8, 24), (2, 1, 1)])
def test_equals_shifted_products_and_the_rest_of_the_channels_is_zero(shape):
    one, two = torch.randn(2, *shape, dtype=torch.float64), torch.randn(2, *shape, dtype=torch.float64)
    expected = torch.stack([reference.correlation(a, b) for a, b in zip(one, two, strict=True)])
    full = expected.unflatten(1, (ACROSS, ACROSS))
    (top, bottom), (left, right) = live_range(shape[1]), live_range(shape[2])
    torch.testing.assert_close(correlation(one, two), full[:, top:bottom, left:right].flatten(1, 2))
    full = full.clone()
    full[:, top:bottom, left:right] = 0
    assert (full == 0).all()


def test_225_of_441_channels_live_on_a_map_of_16():
    maps = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    matched = correlation(maps, maps)
    assert matched.shape == (1, 225, 16, 16) and (matched.abs().amax((0, 2, 3)) > 0).all()
    torch.testing.assert_close(matched[0, 112], maps.square().mean(1)[0])  # displacement 0: the mean of squares


def test_finds_the_displacement_of_a_moved_map():
    one = torch.randn(1, 64, 16, 16)
    two = one.roll((4, -2), dims=(2, 3))  # down 4, left 2
    best = correlation(one, two)[0, :, 6:10, 6:10].mean((1, 2)).argmax().item()
    assert (best // 15 * 2 - 14, best % 15 * 2 - 14) == (4, -2)


def test_gradient():
    one, two = (torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(correlation, (one, two))
