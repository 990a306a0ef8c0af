"""Heads, stem and flow module: published sizes, and the pooling that is deterministic on a GPU."""

import pytest
import torch
import torch.nn.functional as F

from mer.models.mol.conv_stack import ConvStack
from mer.models.mol.flownet import FlowNet
from mer.models.mol.heads import LandmarkHead, MerHead, max_pool


def count(module):
    return sum(p.numel() for p in module.parameters())


def shapes(module, run):
    """The output shape, less the batch, of every submodule that `run` calls."""
    found = {}
    handles = [
        m.register_forward_hook(lambda _, __, out, name=name: found.update({name: tuple(out.shape[1:])}))
        for name, m in module.named_modules()
        if name
    ]
    run()
    for handle in handles:
        handle.remove()
    return found


def test_stem_sizes():
    stem = ConvStack(act="relu")
    found = shapes(stem, lambda: stem(torch.rand(1, 1, 128, 128)))
    assert [found[f"convs.{i}"] for i in range(4)] == [(8, 63, 63), (32, 31, 31), (64, 16, 16), (128, 16, 16)]
    assert [count(conv) for conv in stem.convs] == [136, 2_336, 8_256, 8_320] and count(stem) == 19_048


def test_composed_stem_equals_its_four_convolutions():
    stem, frames = ConvStack(0.25).double(), torch.rand(3, 1, 128, 128, dtype=torch.float64)
    expected = frames
    for conv in stem.convs:
        expected = conv(expected)
    torch.testing.assert_close(stem(frames), expected, rtol=0, atol=1e-13)
    cotangent = torch.randn_like(expected)
    found = torch.autograd.grad(stem(frames), list(stem.parameters()), cotangent)
    for a, b in zip(found, torch.autograd.grad(expected, list(stem.parameters()), cotangent), strict=True):
        assert (a - b).abs().max() <= 1e-12 * b.abs().max()


def test_mer_head_sizes():
    head = MerHead(128, 14, 5)
    found = shapes(head, lambda: head(torch.randn(1, 14, 128, 16, 16)))
    assert found["conv"] == (32, 10, 8, 8) and count(head.conv) == 81_952
    assert head.fc1.in_features == 2560 == 32 * 5 * 4 * 4 and count(head) == 738_853


@pytest.mark.parametrize(
    ("length", "inputs"), [(2, 512), (6, 512), (14, 2560), (30, 6656), (7, 512), (8, 1024), (1, 512)]
)
def test_mer_head_is_sized_from_the_clip(length, inputs):
    head = MerHead(4, length, 3)
    assert head.fc1.in_features == inputs
    assert head(torch.randn(2, length, 4, 16, 16)).shape == (2, 3)


@pytest.mark.parametrize(("steps", "time"), [(2, 10), (2, 3), (1, 1)])
def test_pool_is_the_maximum_over_windows(steps, time):
    maps = torch.randn(2, 3, time, 8, 8, dtype=torch.float64, requires_grad=True)
    expected = F.max_pool3d(maps, (steps, 2, 2))
    assert torch.equal(max_pool(maps, steps), expected)
    cotangent = torch.randn_like(expected)
    found = torch.autograd.grad(max_pool(maps, steps), maps, cotangent)[0]
    assert torch.equal(found, torch.autograd.grad(expected, maps, cotangent)[0])


def test_dropout_acts_in_training_only():
    head, maps = MerHead(4, 6, 3), torch.randn(2, 6, 4, 16, 16)
    assert not torch.equal(head(maps), head(maps))
    head.eval()
    assert torch.equal(head(maps), head(maps))


def test_landmark_head_sizes():
    head = LandmarkHead(128)
    found = shapes(head, lambda: head(torch.randn(2, 128, 16, 16)))
    assert found == {"conv": (32, 14, 14), "fc1": (512,), "fc2": (136,)}
    assert count(head.conv) == 36_896 and count(head) == 3_318_440
    assert head(torch.randn(2, 128, 16, 16)).shape == (2, 68, 2)


def run_flow(net, frames, features):
    maps = net.encode(torch.cat([frames[0], frames[1]]))
    return net(frames[0], tuple(m[:1] for m in maps), maps[-1][1:], *features)


def test_flow_module_sizes():
    net = FlowNet(128)
    assert count(net) == 39_730_282
    small = FlowNet(16, 0.125)
    found = shapes(small, lambda: run_flow(small, torch.rand(2, 1, 1, 128, 128), torch.randn(2, 1, 16, 16, 16)))
    sides = {"conv1": 64, "conv2": 32, "conv3": 16, "redir": 16, "conv4": 8, "conv5": 4, "conv6": 2}
    assert {name: found[name][-1] for name in sides} == sides
    assert [found[f"refine{level}"][-2:] for level in (6, 5, 4, 3, 2, 1)] == [(s, s) for s in (4, 8, 16, 32, 64, 128)]
    assert [net.get_submodule(f"refine{level}").predict.in_channels for level in (6, 5, 4, 3, 2, 1)] == [
        1024, 1026, 770, 386, 258, 130,
    ]  # fmt: skip
    assert net.predict0.in_channels == 35 and net.conv3_1.conv.in_channels == 729
    assert found["predict0"] == (2, 128, 128)


def test_dead_correlation_weights_get_no_gradient_and_the_live_ones_do():
    net = FlowNet(4, 1 / 32)
    run_flow(net, torch.rand(2, 1, 1, 128, 128), torch.randn(2, 1, 4, 16, 16)).square().sum().backward()
    touched = net.conv3_1.conv.weight.grad.abs().amax((0, 2, 3)) > 0
    redir = net.redir.conv.out_channels
    live = touched[redir : redir + 441].view(21, 21)
    assert live[3:18, 3:18].sum() > 200 and live.sum() == live[3:18, 3:18].sum()
    assert touched[:redir].all() and touched[redir + 441 :].all()


def test_first_flow_is_scaled():
    flows = []
    for scale in (1.0, 0.01):
        torch.manual_seed(0)
        net = FlowNet(4, 1 / 32, scale).eval()
        torch.manual_seed(1)
        flows.append(run_flow(net, torch.rand(2, 1, 1, 128, 128), torch.randn(2, 1, 4, 16, 16)))
    torch.testing.assert_close(flows[1], 0.01 * flows[0])
    assert flows[0].abs().mean() > 1e-3
