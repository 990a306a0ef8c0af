"""CCC, Eq. 4-5: golden numbers, symmetries, what tells it from the released form, and its gradient."""

import pytest
import torch
import torch.nn.functional as F
from models.mol import mol_reference as reference

from mer.models.mol.ccc import CCC, ReleasedCCC, neighbour_max, neighbours

NODES = torch.tensor([[[1.0, 0.0], [3.0, 1.0], [-1.0, 2.0]]], dtype=torch.float64)


def make(channels, positions, k, include_self=True, form=CCC):
    torch.manual_seed(1)
    return form(channels, positions, k, include_self).double()


@pytest.mark.parametrize(
    ("node", "edge", "expected"),
    [(1, 1, [[3, 1], [3, 1], [3, 2]]), (0, 1, [[2, 1], [0, 0], [4, 0]]), (1, 0, [[1, 0], [3, 1], [0, 2]])],
)
def test_golden_numbers(node, edge, expected):
    assert neighbours(NODES, 2).sort().values.tolist() == [[[0, 1], [0, 1], [1, 2]]]
    ccc = make(3, 2, k=2)
    with torch.no_grad():
        ccc.node.weight.copy_(node * torch.eye(2))
        ccc.edge.weight.copy_(edge * torch.eye(2))
        ccc.node.bias.zero_()
        ccc.out.weight.copy_(torch.eye(3)[:, :, None, None])
        ccc.out.bias.zero_()
    assert ccc.aggregate(NODES)[0].tolist() == expected
    assert ccc(NODES.view(1, 3, 1, 2)).view(3, 2).tolist() == expected


def test_permuting_channels_permutes_the_aggregate():
    ccc, nodes, order = make(7, 9, k=3), torch.randn(2, 7, 9, dtype=torch.float64), torch.randperm(7)
    torch.testing.assert_close(ccc.aggregate(nodes[:, order]), ccc.aggregate(nodes)[:, order], rtol=0, atol=1e-14)


def test_with_all_neighbours_every_channel_gets_the_same_maximum():
    ccc, nodes = make(5, 9, k=5), torch.randn(2, 5, 9, dtype=torch.float64)
    best = F.linear(nodes, ccc.edge.weight).amax(1, keepdim=True)
    own = F.linear(nodes, ccc.node.weight - ccc.edge.weight, ccc.node.bias)
    torch.testing.assert_close(ccc.aggregate(nodes), F.relu(own + best), rtol=0, atol=1e-13)


def test_with_itself_as_only_neighbour_a_channel_is_projected():
    ccc, nodes = make(5, 9, k=1), torch.randn(2, 5, 9, dtype=torch.float64)
    torch.testing.assert_close(ccc.aggregate(nodes), F.relu(ccc.node(nodes)), rtol=0, atol=1e-13)


def test_without_itself_a_node_is_never_its_own_neighbour():
    nodes = torch.randn(3, 6, 9)
    index = neighbours(nodes, 5, include_self=False)
    assert not (index == torch.arange(6)[:, None]).any()
    assert (neighbours(nodes, 1) == torch.arange(6)[:, None]).all()


def test_a_channel_reads_its_nearest_channel_and_the_released_form_does_not():
    nodes = torch.randn(1, 6, 16, dtype=torch.float64)
    nodes[0, 1] = 2 * nodes[0, 0] + 0.01 * torch.randn(16)  # the nearest of channel 0
    changed = nodes.clone()
    changed[0, 1] *= 1.001  # the angle, and so the graph, stays
    paper = make(6, 16, k=2)
    assert torch.equal(neighbours(nodes, 2), neighbours(changed, 2))
    assert (paper.aggregate(changed) - paper.aggregate(nodes))[0, 0].abs().max() > 1e-6
    released = make(6, 16, k=2, form=ReleasedCCC)
    pixels = [neighbours(x.mT, 2) for x in (nodes, changed)]
    assert torch.equal(*pixels)
    difference = (released(changed.view(1, 6, 4, 4)) - released(nodes.view(1, 6, 4, 4))).flatten(2)[0]
    assert difference[0].abs().max() == 0 and difference[1].abs().max() > 1e-6


@pytest.mark.parametrize("include_self", [True, False])
def test_equals_the_paper_written_out(include_self):
    ccc, maps = make(6, 20, k=3, include_self=include_self), torch.randn(3, 6, 4, 5, dtype=torch.float64)
    weights = reference.Weights(dict(ccc.named_parameters()))
    expected = torch.stack([reference.ccc(weights, m, 3, include_self) for m in maps])
    torch.testing.assert_close(ccc(maps), expected, rtol=0, atol=1e-12)


def test_released_form_equals_its_loops():
    released, maps = make(3, 16, k=3, form=ReleasedCCC), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    expected = torch.zeros(2, 3, 16, dtype=torch.float64)
    for n, x in enumerate(maps.flatten(2)):
        index = neighbours(x.T[None], 3)[0]  # (pixels, k)
        for c in range(3):
            edges = []
            for j in range(3):
                difference = x[c, index[:, j]] - x[c]
                edges.append(F.relu(released.node(x[c]) + released.edge(difference - x[c])))
            expected[n, c] = torch.stack(edges).amax(0)
    torch.testing.assert_close(released(maps).flatten(2), expected, rtol=0, atol=1e-13)


def test_parameter_counts():
    assert sum(p.numel() for p in CCC(128, 256, 4).parameters()) == 147_840
    assert sum(p.numel() for p in ReleasedCCC(128, 256, 4).parameters()) == 131_584 - 256  # one bias of two


def test_neighbours_are_found_in_single_precision_under_autocast():
    nodes = torch.randn(4, 64, 32)
    unit = F.normalize(nodes, dim=-1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(neighbours(nodes, 4), (unit @ unit.mT).float().topk(4).indices) is False  # half reorders
        inside = neighbours(nodes, 4)
    assert torch.equal(inside, (unit @ unit.mT).topk(4).indices)


def test_a_node_of_zeros_is_harmless():
    ccc, maps = make(4, 9, k=2), torch.randn(1, 4, 3, 3, dtype=torch.float64)
    maps[0, 2] = 0
    maps.requires_grad_()
    ccc(maps).sum().backward()
    assert maps.grad.isfinite().all()


def test_of_equal_neighbours_one_takes_the_gradient():
    values = torch.ones(1, 3, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[[1, 2], [2, 0], [0, 1]]])
    best = neighbour_max(values, index)
    best.backward(torch.tensor([[[1.0, 1], [10, 10], [100, 100]]], dtype=torch.float64))
    assert values.grad[0, :, 0].tolist() == [100, 1, 10]


def test_gradient():
    values = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    index = neighbours(torch.randn(2, 5, 3), 3)
    assert torch.autograd.gradcheck(lambda v: neighbour_max(v, index), values)
    for form in (CCC, ReleasedCCC):
        block = make(4, 6, k=2, form=form)
        maps = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
        names, parameters = zip(*block.named_parameters(), strict=True)

        def run(maps, *parameters, block=block, names=names):
            return torch.func.functional_call(block, dict(zip(names, parameters, strict=True)), (maps,))

        assert torch.autograd.gradcheck(run, (maps, *parameters))
