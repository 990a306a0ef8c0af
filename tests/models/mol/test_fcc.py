"""FCC, Eq. 1-3: golden numbers, symmetries, other exact forms of a circular convolution, and its gradient."""

import pytest
import torch
from models.mol import mol_reference as reference

from mer.models.mol.fcc import FCC, CircularConv, OneWayFCC, ReleasedFCC, batch_major, channel_major


def operator(axis, kernel, position=None, bias=0.0):
    """A CircularConv of one channel with the given numbers."""
    conv = CircularConv(1, len(kernel), axis).double()
    with torch.no_grad():
        conv.kernel.copy_(torch.tensor(kernel))
        conv.position.copy_(torch.tensor(position or [0.0] * len(kernel)))
        conv.bias.fill_(bias)
    return conv


def apply(conv, maps):
    return batch_major(conv(channel_major(maps)))


def line(values, axis):
    values = torch.tensor(values, dtype=torch.float64)
    return values.view(1, 1, -1, 1) if axis == "v" else values.view(1, 1, 1, -1)


@pytest.mark.parametrize("axis", ["v", "h"])
def test_golden_numbers(axis):
    conv = operator(axis, [1.0, 10.0, 100.0])
    assert apply(conv, line([1, 2, 3], axis)).flatten().tolist() == [321, 132, 213]
    conv = operator(axis, [1.0, 10.0, 100.0], position=[0.0, 1.0, 0.0])
    assert apply(conv, line([1, 2, 3], axis)).flatten().tolist() == [331, 133, 313]
    assert apply(operator(axis, [1.0, 0.0, 0.0], bias=0.5), line([1, 2, 3], axis)).flatten().tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(("axis", "dim"), [("v", 2), ("h", 3)])
def test_one_hot_kernel_rolls_its_axis_only(axis, dim):
    maps = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    for s in range(5):
        conv = CircularConv(3, 5, axis, position_sd=0.0).double()
        with torch.no_grad():
            conv.kernel.zero_()[:, s] = 1
        torch.testing.assert_close(apply(conv, maps), maps.roll(-s, dim), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("axis", "dim"), [("v", 2), ("h", 3)])
def test_commutes_with_cyclic_shifts_only_when_the_embedding_is_constant(axis, dim):
    maps = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    conv = CircularConv(3, 6, axis).double()
    assert (apply(conv, maps.roll(2, dim)) - apply(conv, maps).roll(2, dim)).abs().max() > 1e-3
    with torch.no_grad():
        conv.position.copy_(conv.position[:, :1])
    torch.testing.assert_close(apply(conv, maps.roll(2, dim)), apply(conv, maps).roll(2, dim), rtol=0, atol=1e-13)


def test_equals_the_fourier_form():
    maps, conv = torch.randn(2, 3, 8, 7, dtype=torch.float64), CircularConv(3, 8, "v").double()
    spectrum = torch.fft.rfft(maps + conv.position[:, :, None], dim=2) * torch.fft.rfft(conv.kernel).conj()[..., None]
    expected = torch.fft.irfft(spectrum, n=8, dim=2) + conv.bias[:, None, None]
    torch.testing.assert_close(apply(conv, maps), expected, rtol=0, atol=1e-13)


def test_channels_do_not_mix_and_columns_share_the_kernel():
    maps, conv = torch.randn(1, 3, 6, 6, dtype=torch.float64), CircularConv(3, 6, "v").double()
    before = apply(conv, maps)
    changed = maps.clone()
    changed[0, 1, 2, 4] += 1
    touched = (apply(conv, changed) - before).abs() > 1e-12
    assert touched[0, 1, :, 4].all() and touched.sum() == 6
    same = maps[..., :1].expand(-1, -1, -1, 6)
    assert (apply(conv, same).std(dim=3) < 1e-12).all()


@pytest.mark.parametrize("kind", ["fcc", "fcc_v", "fcc_h"])
def test_equals_the_paper_written_out(kind):
    maps = torch.randn(3, 6, 16, 16, dtype=torch.float64)
    block = (FCC(6, 16) if kind == "fcc" else OneWayFCC(6, 16, kind[-1])).double()
    expected = reference.fcc(reference.Weights(dict(block.named_parameters())), list(maps), kind)
    torch.testing.assert_close(block(maps), torch.stack(expected), rtol=0, atol=1e-12)


def test_whole_fcc_sees_the_whole_map_from_every_position():
    maps, block = torch.zeros(1, 2, 16, 16, dtype=torch.float64), FCC(2, 16).double()
    changed = maps.clone()
    changed[0, 0, 3, 5] = 1
    assert ((block(changed) - block(maps)).abs() > 1e-9).all()
    half = OneWayFCC(2, 16, "v").double()
    reached = ((half(changed) - half(maps)).abs() > 1e-9).any(1)[0]
    assert reached[:, 5].all() and reached.sum() == 16


def test_released_form_goes_v_then_h_in_one_half_and_h_then_v_in_the_other():
    maps, block = torch.randn(2, 6, 16, 16, dtype=torch.float64), ReleasedFCC(6, 16).double()
    one = apply(block.h_second, apply(block.v_first, maps[:, :3]))
    two = apply(block.v_second, apply(block.h_first, maps[:, 3:]))
    torch.testing.assert_close(block(maps), torch.cat([one, two], dim=1), rtol=0, atol=1e-12)
    assert sum(p.numel() for p in ReleasedFCC(128, 16, norm=True).parameters()) == 8704


def test_parameter_counts():
    assert sum(p.numel() for p in FCC(128, 16).parameters()) == 66_304
    assert sum(p.numel() for p in FCC(128, 16, norm=True).parameters()) == 66_304 + 2 * 256
    assert sum(p.numel() for p in OneWayFCC(128, 16, "v").parameters()) == 16_512 + 4_224


def test_position_sd_sets_embedding_and_bias():
    torch.manual_seed(0)
    wide, narrow = CircularConv(64, 16, "v"), CircularConv(64, 16, "v", position_sd=0.1)
    assert abs(wide.position.std() - 1) < 0.1 and abs(narrow.position.std() - 0.1) < 0.01
    assert abs(narrow.bias.std() - 0.1) < 0.03 and wide.kernel.abs().max() <= 16**-0.5


@pytest.mark.parametrize(
    "block",
    [
        lambda: CircularConv(2, 4, "v"),
        lambda: CircularConv(2, 4, "h"),
        lambda: CircularConv(2, 4, "h", norm=True),
        lambda: FCC(2, 4),
        lambda: FCC(2, 4, norm=True),
        lambda: OneWayFCC(2, 4, "h"),
        lambda: ReleasedFCC(4, 4, norm=True),
    ],
)
def test_gradient(block):
    block = block().double()
    channels = 4 if isinstance(block, ReleasedFCC) else 2
    shape = (2, 4, 3, 4) if isinstance(block, CircularConv) else (3, channels, 4, 4)
    maps = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    names, values = zip(*block.named_parameters(), strict=True)

    def run(maps, *values):
        return torch.func.functional_call(block, dict(zip(names, values, strict=True)), (maps,))

    assert torch.autograd.gradcheck(run, (maps, *values))


def test_kernel_init_scales_the_first_kernels_and_nothing_else():
    torch.manual_seed(0)
    whole = CircularConv(64, 16, "v")
    torch.manual_seed(0)
    released = CircularConv(64, 16, "v", kernel_init=0.5**0.5)
    torch.testing.assert_close(released.kernel, whole.kernel * 0.5**0.5)
    assert torch.equal(released.position, whole.position) and whole.kernel.abs().max() <= 0.25
    assert released.kernel.abs().max() <= 32**-0.5  # as of a convolution of 32
