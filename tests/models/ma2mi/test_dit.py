"""DiT: published sizes, equal to the paper written out, zero at the start, and which latent pixel goes where."""

import pytest
import torch
import torch.nn.functional as F

from mer.models.ma2mi.dit import DiT, sincos_positions


def small(condition=5, **fields):
    """A DiT of two blocks in double precision whose zero layers are filled too."""
    torch.manual_seed(0)
    model = DiT(**{"channels": 3, "side": 8, "patch": 2, "condition": condition, "width": 16, "depth": 2, "heads": 2,
                   **fields}).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def inputs(batch=2, condition=5):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(*shape, dtype=torch.float64, generator=generator)
            for shape in ((batch, 3, 8, 8), (batch, condition))]


@pytest.mark.parametrize(("shape", "count"), [
    ((4, 28, 2), 129_140_752), ((4, 32, 2), 129_140_752), ((4, 28, 4), 129_214_528),
    ((3, 224, 16), 130_296_576), ((3, 224, 8), 129_411_264),
])  # fmt: skip
def test_published_sizes(shape, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in DiT(*shape, 512).parameters()) == count


def test_first_output_is_zero_and_that_of_residual_is_the_input():
    latent, condition = (value.float() for value in inputs())
    for residual, expected in ((False, torch.zeros_like(latent)), (True, latent)):
        model = DiT(3, 8, 2, 5, 16, 2, 2, residual)
        assert torch.equal(model(latent, condition), expected)


def test_the_first_step_moves_the_output_and_the_second_the_condition():
    """Zero layers are not dead: the output layer learns at once, the blocks' modulation as soon as it is not zero."""
    model = DiT(3, 8, 2, 5, 16, 2, 2)
    latent, condition = (value.float() for value in inputs())
    for named in (["output.weight"], ["modulation.weight"], ["condition.weight", "blocks.0.qkv.weight"]):
        loss = (model(latent, condition) - latent).abs().mean()
        model.zero_grad()
        loss.backward()
        for name in named:
            assert model.get_parameter(name).grad.abs().max() > 0, name
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(parameter.grad)


def written_out(model, latent, condition):
    """The forward pass as DiT's paper has it: strided convolution, one linear layer of modulation per block, heads one
    by one."""
    w, p, depth = dict(model.named_parameters()), model.patch, model.depth
    width, channels = w["embed.weight"].shape[0], latent.shape[1]
    kernel = w["embed.weight"].view(width, p, p, channels).permute(0, 3, 1, 2)
    x = F.conv2d(latent, kernel, w["embed.bias"], stride=p).flatten(2).transpose(1, 2) + model.positions
    silu = F.silu(F.linear(condition, w["condition.weight"], w["condition.bias"]))

    def modulation(first, count):
        rows = slice(first * width, (first + count) * width)
        return F.linear(silu, w["modulation.weight"][rows], w["modulation.bias"][rows]).chunk(count, dim=1)

    def normed(x):
        return (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, unbiased=False) + 1e-6).sqrt()

    for i in range(depth):
        name = f"blocks.{i}."
        shift1, scale1, gate1, shift2, scale2, gate2 = (m[:, None] for m in modulation(6 * i, 6))
        y = normed(x) * (1 + scale1) + shift1
        q, k, v = F.linear(y, w[name + "qkv.weight"], w[name + "qkv.bias"]).chunk(3, dim=2)
        heads, size = [], width // model.blocks[i].heads
        for h in range(0, width, size):
            cut = slice(h, h + size)
            heads.append((q[..., cut] @ k[..., cut].transpose(1, 2) / size**0.5).softmax(2) @ v[..., cut])
        x = x + gate1 * F.linear(torch.cat(heads, 2), w[name + "proj.weight"], w[name + "proj.bias"])
        y = F.linear(normed(x) * (1 + scale2) + shift2, w[name + "fc1.weight"], w[name + "fc1.bias"])
        y = 0.5 * y * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (y + 0.044715 * y**3)))
        x = x + gate2 * F.linear(y, w[name + "fc2.weight"], w[name + "fc2.bias"])
    shift, scale = (m[:, None] for m in modulation(6 * depth, 2))
    y = F.linear(normed(x) * (1 + scale) + shift, w["output.weight"], w["output.bias"])
    side = latent.shape[-1] // p
    return torch.einsum("nhwpqc->nchpwq", y.view(-1, side, side, p, p, channels)).reshape(latent.shape)


def test_equals_the_paper_written_out():
    model, (latent, condition) = small(), inputs()
    found, expected = model(latent, condition), written_out(model, latent, condition)
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()
    cotangent = torch.randn_like(found)
    names, parameters = zip(*model.named_parameters(), strict=True)
    a, b = (torch.autograd.grad(out, parameters, cotangent) for out in (found, expected))
    for name, first, second in zip(names, a, b, strict=True):
        assert (first - second).abs().max() <= 1e-10 * second.abs().max(), name


def test_a_patch_of_the_output_stands_where_its_patch_of_the_input_does():
    """With the gates shut a patch goes through alone, so a changed pixel changes its own patch and nothing else."""
    model, (latent, condition) = small(), inputs(1)
    with torch.no_grad():
        model.modulation.weight.zero_()
        model.modulation.bias.zero_()
    changed = latent.clone()
    changed[0, 1, 5, 2] += 1  # in the patch of rows 4-5 and columns 2-3
    difference = (model(changed, condition) - model(latent, condition)).abs().sum((0, 1))
    assert (difference[4:6, 2:4] > 0).all()
    difference[4:6, 2:4] = 0
    assert not difference.any()


def test_condition_reaches_every_patch():
    model, (latent, condition) = small(), inputs()
    difference = (model(latent, condition) - model(latent, condition.roll(1, 0))).abs().amax(1)
    assert (difference > 0).all()


def test_positions_are_sines_and_cosines_of_column_then_row():
    table = sincos_positions(3, 8).view(3, 3, 8)
    assert torch.equal(table[1, 2, :4], table[0, 2, :4]) and torch.equal(table[1, 2, 4:], table[1, 0, 4:])
    angles = 2 * torch.tensor([1, 0.01])
    torch.testing.assert_close(table[1, 2, :4], torch.cat([angles.sin(), angles.cos()]))
    assert len(torch.unique(table.flatten(0, 1), dim=0)) == 9


def test_gradients():
    model = small(side=4, width=8, depth=1)
    latent, condition = inputs(1)
    latent = latent[..., :4, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(model, (latent, condition.requires_grad_()))


def test_bf16_autocast_is_near():
    model = small().float()
    latent, condition = (value.float() for value in inputs())
    exact = model(latent, condition)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(latent, condition)
    assert (output - exact).norm() < 0.05 * exact.norm()
