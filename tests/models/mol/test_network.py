"""MOL: equal to the paper written out pair by pair, published sizes, its input, its pairs, and determinism."""

import pytest
import torch
from bench.mol_step import count_operations
from models.mol import mol_reference as reference

from mer.base.errors import MerError
from mer.models.mol.config import Config
from mer.models.mol.f5c import F5C
from mer.models.mol.network import MOL


def small(classes=3, **fields):
    """A narrow MOL (C = 4) with fixed random weights."""
    torch.manual_seed(0)
    return MOL(Config(**{"width": 1 / 32, "k": 2, "t": 3, **fields}), classes)


def clips(batch=2, t=3, dtype=torch.float32, seed=1):
    return torch.rand(batch, t, 1, 128, 128, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_published_parameter_counts():
    model = MOL(Config(), 5)
    assert count(model.stem) == 19_048
    assert count(model.branch_one) == count(model.branch_two) == 66_304 + 147_840  # one bias in Eq. 4
    assert count(model.mer) == 738_853 and count(model.landmark) == 3_318_440 and count(model.flow) == 39_730_282
    assert count(model) == 44_234_911


def test_output_shapes_and_units():
    model = small(classes=5, t=8)
    outputs = model(clips(2, 8))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "logits": (2, 5), "flow": (2, 7, 2, 128, 128), "landmarks": (2, 7, 68, 2),
    }  # fmt: skip
    assert all(value.isfinite().all() for value in outputs.values())


EQUAL = {
    "paper": {},
    "norm, shared, all, relu, centred": {
        "fcc_norm": "bn", "share_branches": True, "mer_input": "all", "ccc_self": False, "stem_act": "relu",
        "input": "centred", "gain": 1.5,
    },
    "raw and centred, shared": {"input": "both", "gain": 2.0, "share_branches": True},
    "two blocks of FCC-H, sub, two frames": {"f5c_blocks": 2, "fcc": "fcc_h", "mer_input": "sub", "t": 2},
    "no F5C": {"f5c": False},
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", EQUAL)
def test_equals_the_paper_written_out(name, training):
    """Outputs to 1e-12 and gradients of every parameter to 1e-10, relative; running statistics of batch norm."""
    model = small(**{"width": 1 / 16, "k": 4, "dropout": 0.0, **EQUAL[name]}).double().train(training)
    for key, buffer in model.named_buffers():
        if "running" in key:
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    model.fit_input(0.45, 0.25, 0.1)
    frames = clips(2, model.cfg.t, torch.float64)
    before = {key: buffer.clone() for key, buffer in model.named_buffers()}
    expected, statistics = reference.mol(model, frames)
    found = model(frames)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert (found[key] - value).abs().max() <= 1e-12 * value.abs().max(), key
    generator = torch.Generator().manual_seed(2)
    cotangents = {k: torch.randn(v.shape, dtype=v.dtype, generator=generator) for k, v in expected.items()}
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = [
        torch.autograd.grad(sum((outputs[k] * c).sum() for k, c in cotangents.items()), parameters)
        for outputs in (found, expected)
    ]
    largest = max(g.abs().max() for g in gradients[1])
    for key, a, b in zip(names, *gradients, strict=True):
        # 1e-12 of the largest: the bias of a convolution in front of batch norm has a gradient of exactly zero
        assert (a - b).abs().max() <= 1e-10 * b.abs().max() + 1e-12 * training * largest, key
    assert bool(statistics) == training
    for prefix, values in statistics.items():
        for kind, value in zip(("running_mean", "running_var"), values, strict=True):
            torch.testing.assert_close(model.get_buffer(prefix + kind), 0.9 * before[prefix + kind] + 0.1 * value)


def test_full_width_block_equals_the_paper_written_out():
    torch.manual_seed(0)
    block, maps = F5C(Config()).double(), torch.randn(1, 128, 16, 16, dtype=torch.float64)
    weights = dict(block.named_parameters())
    found, expected = block(maps), torch.stack(reference.f5c(reference.Weights(weights), list(maps), Config()))
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()
    cotangent = torch.randn_like(found)
    parameters = list(weights.values())
    gradients = [torch.autograd.grad(out, parameters, cotangent) for out in (found, expected)]
    for key, a, b in zip(weights, *gradients, strict=True):
        assert (a - b).abs().max() <= 1e-10 * b.abs().max(), key


@pytest.mark.parametrize("pairs", [[[4], [0]], [[4, 4, 0, 6, 2], [0, 1, 2, 3, 5]]], ids=["one", "five"])
def test_flow_of_wanted_pairs_is_that_of_all_pairs(pairs):
    model, frames, pairs = small(t=8).eval(), clips(2, 8), torch.tensor(pairs)
    everything, wanted = model(frames), model(frames, pairs)
    for b in range(2):
        torch.testing.assert_close(wanted["flow"][b], everything["flow"][b, pairs[b]], rtol=1e-4, atol=1e-5)
    for name in ("logits", "landmarks"):
        assert torch.equal(wanted[name], everything[name])


def test_a_pair_beyond_the_clip_is_refused():
    with pytest.raises(IndexError):
        small()(clips(), torch.tensor([[2], [0]]))


def test_a_clip_does_not_depend_on_its_batch():
    model, frames = small().double().eval(), clips(3, dtype=torch.float64)
    together = model(frames)
    for b in range(3):
        for name, value in model(frames[b : b + 1]).items():
            torch.testing.assert_close(value[0], together[name][b], rtol=1e-10, atol=1e-12)


def test_landmarks_are_those_of_the_second_frame_and_flow_uses_both():
    model, frames = small(tasks=("flow", "landmark")).double().eval(), clips(1, dtype=torch.float64)
    changed = frames.clone()
    changed[0, 0] = clips(1, 1, torch.float64, seed=5)[0, 0]
    a, b = model(frames), model(changed)
    torch.testing.assert_close(a["landmarks"], b["landmarks"], rtol=0, atol=1e-12)
    assert (a["flow"][0, 0] - b["flow"][0, 0]).abs().max() > 1e-6
    torch.testing.assert_close(a["flow"][0, 1], b["flow"][0, 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seen", ["raw", "centred", "both"])
def test_input_statistics_undo_brightness_and_contrast(seen):
    model, frames = small(input=seen).double().eval(), clips(dtype=torch.float64)
    model.fit_input(0.5, 0.2, 0.04)
    before = model(frames)
    model.fit_input(0.5 * 0.6 + 0.1, 0.2 * 0.6, 0.04 * 0.6)
    for name, value in model(frames * 0.6 + 0.1).items():
        torch.testing.assert_close(value, before[name], rtol=1e-9, atol=1e-9)


def test_clip_mean_takes_the_still_face_from_recognition_and_not_from_flow():
    frames, face = clips(dtype=torch.float64), clips(2, 1, torch.float64, seed=7)
    model = small(input="centred").double().eval()
    a, b = model(frames), model(frames + face)
    for name in ("logits", "landmarks"):
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=1e-10)
    assert (a["flow"] - b["flow"]).abs().max() > 1e-6
    for seen in ("raw", "both"):
        model = small(input=seen).double().eval()
        for name in ("logits", "landmarks"):
            assert (model(frames)[name] - model(frames + face)[name]).abs().max() > 1e-6


def test_both_is_the_raw_and_the_centred_frames_side_by_side():
    model, frames, seen = small(input="both", gain=1.5), clips(), []
    model.fit_input(0.5, 0.2, 0.1)
    model.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(frames)
    raw, centred = seen[0].unflatten(0, (2, 3)).split(1, dim=2)
    torch.testing.assert_close(raw, (frames - 0.5) / 0.2)
    torch.testing.assert_close(centred, 15 * (frames - frames.mean(1, keepdim=True)))


def test_gain_is_the_standard_deviation_of_what_the_block_sees():
    model, frames = small(input="centred", gain=1.5), clips()
    residual = frames - frames.mean(1, keepdim=True)
    model.fit_input(0.5, 0.2, residual.std(unbiased=False).item())
    seen = []
    model.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(frames)
    assert seen[0].std(unbiased=False).item() == pytest.approx(1.5, rel=1e-4)


def test_landmark_head_starts_at_the_mean_shape():
    model, shape = small(), 128 * torch.rand(68, 2)
    model.set_mean_shape(shape)
    with torch.no_grad():
        model.landmark.fc2.weight.zero_()
    torch.testing.assert_close(model(clips())["landmarks"], shape.expand(2, 2, 68, 2))
    without = small(tasks=("mer",))
    without.set_mean_shape(shape)
    assert "landmarks" not in without(clips())


def test_a_bad_configuration_is_one_line():
    with pytest.raises(MerError, match=r"^mol\.gain = 0: expected a positive number; mol\.dropout = 2: [^\n]*$"):
        MOL(Config(gain=0, dropout=2), 3)
    with pytest.raises(MerError, match=r"^mol\.k = 5: expected 1 to 4 neighbours"):
        MOL(Config(width=1 / 32, k=5), 3)


def test_frames_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"frames \(2, 4, 1, 128, 128\): expected \(B, 3, 1, 128, 128\)"):
        small()(clips(2, 4))


def steps(count=2):
    """Bytes of a model after some optimiser steps."""
    model = small(input="centred")
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    for step in range(count):
        outputs = model(clips(4, seed=step), torch.randint(2, (4, 1)))
        optimiser.zero_grad()
        sum(value.square().mean() for value in outputs.values()).backward()
        optimiser.step()
    return [value.numpy().tobytes() for value in model.state_dict().values()]


def test_training_is_deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        assert steps() == steps()
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_step_needs_few_operations():
    """At most 1100 non-view operations, forward and backward, at any width and batch (the released code: 140 000)."""
    assert count_operations(small(t=8), clips(1, 8)) <= 1100


def test_weights_survive_saving(tmp_path):
    model, other = small().eval(), MOL(Config(width=1 / 32, k=2, t=3), 3).eval()
    model.fit_input(0.4, 0.3, 0.2)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    for name, value in model(clips()).items():
        assert torch.equal(value, other(clips())[name])


def test_under_autocast_outputs_are_single_precision():
    model = small().eval()
    exact = model(clips())
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(clips())
    for name, value in outputs.items():
        assert value.dtype == torch.float32
        assert (value - exact[name]).norm() < 0.2 * exact[name].norm()
    sum(value.square().mean() for value in outputs.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
