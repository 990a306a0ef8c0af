"""The strided pointwise convolution equals torch's, where torch's is right."""

import pytest
import torch

from mer.models.parts.pointwise import StridedPointwise


@pytest.mark.parametrize("size", [(16, 16), (7, 9)])
def test_equals_the_strided_convolution(size):
    torch.manual_seed(0)
    ours = StridedPointwise(4, 8, 2).double()
    maps = torch.randn(3, 4, *size, dtype=torch.float64).to(memory_format=torch.channels_last)
    theirs = torch.nn.functional.conv2d(maps, ours.weight, stride=2)
    torch.testing.assert_close(ours(maps), theirs, rtol=1e-13, atol=1e-13)


def test_gradients_of_few_channels_laid_channels_last_are_right():
    """oneDNN issue 6035: the plain layer hangs, crashes or is wrong here on processors with AVX-512."""
    torch.manual_seed(0)
    for _ in range(10):
        layer = StridedPointwise(4, 8, 2)
        maps = torch.randn(32, 4, 32, 32).to(memory_format=torch.channels_last)
        layer(maps).square().sum().backward()
        exact = StridedPointwise(4, 8, 2).double()
        exact.load_state_dict(layer.state_dict())
        exact(maps.double()).square().sum().backward()
        torch.testing.assert_close(layer.weight.grad.double(), exact.weight.grad, rtol=1e-4, atol=1e-2)
