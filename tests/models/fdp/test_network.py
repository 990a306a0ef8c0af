"""FDP: equal to the paper written out frame by frame, published sizes, its input, the order of frames, determinism."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from bench.fdp_step import WEIGHTS, clips, count_operations
from models.fdp import fdp_reference as reference
from models.fdp.fdp_released import released_form

from mer.base.errors import MerError
from mer.labels.dynamic_image import coefficients
from mer.models.fdp.config import Config
from mer.models.fdp.losses import fdp_losses, rank_correlation, rank_loss
from mer.models.fdp.multi_head_conv import DenseConv
from mer.models.fdp.network import FDP, temporal_maps

NONE = (0, 0, 0, 0)


def small(classes=3, **fields):
    """A narrow FDP with fixed random weights, larger than the initial ones so that every branch counts."""
    torch.manual_seed(0)
    model = FDP(Config(**{"width": 1 / 8, "t": 3, "drop_path": 0.0, **fields}), classes)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


def frames_of(batch=2, t=3, dtype=torch.float32, seed=1):
    return torch.rand(batch, t, 1, 64, 64, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_published_parameter_counts():
    """Spec section 3, table: every block, and the whole network for five classes."""
    model = FDP(Config(), 5)
    assert count(model.backbone.stem) == 74_752
    assert [count(block) for block in model.backbone.blocks] == [
        78_528, 72_192, 110_144, 298_368, 273_408, 433_280, 1_161_984, 1_062_912, 1_718_528, 4_584_960, 4_190_208,
        6_844_928,
    ]  # fmt: skip
    assert count(model.backbone.norm) == 2_048 and count(model.backbone.project) == 4_198_400
    assert count(model.backbone) == 25_104_640
    assert count(model.rank) == 4_096 and count(model.temporal) == 584
    assert count(model.mer) == 904_709 and count(model.dynamic) == 4_516_129
    assert count(model) == 30_530_158


def test_output_shapes_and_units():
    model = small(classes=5, t=8)
    outputs = model(frames_of(2, 8))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "logits": (2, 5), "dynamic": (2, 1, 64, 64), "scores": (2, 8),
    }  # fmt: skip
    assert 0 < outputs["dynamic"].min() < outputs["dynamic"].max() < 1
    assert all(value.isfinite().all() for value in outputs.values())


EQUAL = {
    "paper": {"t": 8},
    "C', keys pooled, three channels": {"mhc": "conv_pw", "sr_ratios": (8, 4, 2, 1), "in_channels": 3},
    "C, centred, no global": {"mhc": "conv", "n_global": NONE, "centre": "clip_mean", "gain": 1.5},
    "no local": {"n_local": NONE, "tasks": ("mer", "dynamic")},
    "neither": {"n_local": NONE, "n_global": NONE},
    "mixed": {"n_local": (1, 0, 2, 0), "n_global": (0, 0, 1, 2), "tasks": ("rank",), "head_dim": 4},
}


def compare(model, batch):
    """Outputs to 1e-12, gradients of every parameter to 1e-10, relative; running statistics of batch norm."""
    frames, training = frames_of(batch, model.cfg.t, torch.float64), model.training
    before = {key: buffer.clone() for key, buffer in model.named_buffers()}
    expected, statistics = reference.fdp(model, frames)
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
        # 1e-12 of the largest: a bias that is the same for all frames in front of batch norm has a gradient of zero
        assert (a - b).abs().max() <= 1e-10 * b.abs().max() + 1e-12 * largest, key
    assert bool(statistics) == training
    for prefix, values in statistics.items():
        for kind, value in zip(("running_mean", "running_var"), values, strict=True):
            torch.testing.assert_close(model.get_buffer(prefix + kind), value, rtol=1e-10, atol=1e-12)
            assert not torch.equal(value, before[prefix + kind])


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", EQUAL)
def test_equals_the_paper_frame_by_frame(name, training):
    model = small(**EQUAL[name]).double().train(training)
    for key, buffer in model.named_buffers():
        if "running" in key:
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    model.fit_input(0.1)
    compare(model, 2)


@pytest.mark.slow
def test_full_width_equals_the_paper_frame_by_frame():
    torch.manual_seed(0)
    compare(FDP(Config(drop_path=0.0), 5).double(), 2)


def test_three_dimensional_convolution_is_the_two_dimensional_one():
    """Spec section 3: Conv3d(1 -> 8, 3 x 3 x 8) over maps in time is the model's Conv2d(8 -> 8)."""
    model = small(t=8).double()
    features = torch.randn(2, 8, 4096, dtype=torch.float64)
    conv = torch.nn.Conv3d(1, 8, (3, 3, 8), padding=(1, 1, 0)).double()
    model.temporal.weight.data = conv.weight.data[:, 0].permute(0, 3, 1, 2)
    model.temporal.bias.data = conv.bias.data
    volume = features.view(2, 8, 64, 64).permute(0, 2, 3, 1).unsqueeze(1)
    expected = conv(volume).squeeze(-1)
    found = model.temporal(temporal_maps(features, official=False))
    assert found.shape == (2, 8, 64, 64)
    assert (found - expected).abs().max() <= 1e-13 * expected.abs().max()


def test_order_of_frames_in_temporal_pooling():
    """Frame k constant k: pixel (0, 0) reads 0..7. In the released code it reads one frame, and frames are bands."""
    features = torch.arange(8.0)[None, :, None].expand(1, 8, 4096)
    maps = temporal_maps(features, official=False)
    assert maps[0, :, 0, 0].tolist() == list(range(8))
    released = temporal_maps(features, official=True)
    assert released.shape == maps.shape
    assert (released[0] == (torch.arange(64) // 8)[:, None]).all()
    changed = [small(t=8, official_reshape=o)(frames_of(1, 8))["logits"] for o in (False, True)]
    assert (changed[0] - changed[1]).abs().max() > 1e-6


def test_frames_folded_into_the_batch_have_different_mean_scores():
    """Spec section 0.4: frame by frame, batch norm in training gives every frame number the same mean score."""
    # a clip that brightens, so that there is something to tell the frames by
    frames = frames_of(3, 5, torch.float64) * torch.linspace(0.2, 1, 5, dtype=torch.float64)[:, None, None, None]
    means = {}
    for fold in ("batch", "loop"):
        model = small(t=5, frame_fold=fold, tasks=("rank",)).double()
        means[fold] = model(frames)["scores"].mean(0)
    assert means["loop"].max() - means["loop"].min() < 1e-10 * means["loop"].abs().max()
    assert means["batch"].max() - means["batch"].min() > 0.1 * means["batch"].abs().max()


def test_frame_by_frame_is_the_same_in_evaluation():
    frames = frames_of(2, dtype=torch.float64)
    batch, loop = (small(frame_fold=fold).double().eval()(frames) for fold in ("batch", "loop"))
    for name, value in batch.items():
        torch.testing.assert_close(loop[name], value, rtol=1e-10, atol=1e-12)


RELEASED = {"n_local": (1, 1, 2, 2), "n_global": NONE, "mhc": "conv", "official_reshape": True, "frame_fold": "loop"}


@pytest.mark.parametrize("fields", [{**RELEASED, "dic": "segnet", "tasks": ("mer", "dynamic")}, {"frame_fold": "loop"}],
                         ids=["released", "paper"])
def test_frame_by_frame_at_once_equals_the_released_operations_one_frame_after_another(fields):
    """Outputs and gradients in training, and the running statistics after it, which each frame moves in its turn."""
    model = small(t=8, **fields).double()
    theirs, frames, outputs = released_form(model), frames_of(3, 8, torch.float64), {}
    for network in (model, theirs):
        outputs[network] = network(frames)
        sum(value.square().sum() for value in outputs[network].values()).backward()
    for name, value in outputs[theirs].items():
        torch.testing.assert_close(outputs[model][name], value, rtol=1e-10, atol=1e-12)
    expected = dict(theirs.backbone.backbone.named_parameters(prefix="backbone"))
    mine = [(name, p) for name, p in model.backbone.named_parameters(prefix="backbone") if name in expected]
    assert len(mine) > 50
    largest = max(p.grad.abs().max() for _, p in mine)
    for name, p in mine:
        wanted = expected[name].grad.reshape(p.shape)
        assert (p.grad - wanted).abs().max() <= 1e-8 * wanted.abs().max() + 1e-12 * largest, name
    for name, buffer in theirs.backbone.backbone.named_buffers(prefix="backbone"):
        torch.testing.assert_close(model.get_buffer(name), buffer, rtol=1e-10, atol=1e-12)


def test_a_dense_convolution_of_four_pixels_is_the_convolution():
    torch.manual_seed(0)
    conv, maps = DenseConv(6).double(), torch.randn(3, 6, 2, 2, dtype=torch.float64)
    expected = F.conv2d(maps, conv.weight, padding=1)
    torch.testing.assert_close(conv(maps), expected, rtol=1e-12, atol=1e-12)


def toy(batch, t, seed):
    """Clips in which a square that stands anywhere grows brighter, on random faces that do not move."""
    generator = torch.Generator().manual_seed(seed)
    frames = 0.5 * torch.rand(batch, 1, 1, 64, 64, generator=generator).repeat(1, t, 1, 1, 1)
    for clip in frames:
        y, x = torch.randint(8, 40, (2,), generator=generator).tolist()
        clip[:, :, y : y + 16, x : x + 16] += torch.linspace(0, 0.5, t)[:, None, None, None]
    return frames


@pytest.mark.parametrize(("fold", "learns"), [("batch", True), ("loop", False)])
def test_rank_loss_is_learnable_if_frames_are_folded_into_the_batch(fold, learns):
    """On clips never seen the score rises with time. Frame by frame the loss never passes that of a constant."""
    torch.manual_seed(0)
    model = FDP(Config(width=1 / 8, t=4, tasks=("rank",), frame_fold=fold, drop_path=0.0), 3)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    best_constant = rank_loss(torch.full((1, 4), 1.5)).item()
    losses = []
    for step in range(40):
        loss = rank_loss(model(toy(4, 4, step))["scores"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    if learns:
        assert sum(losses[-8:]) / 8 < 0.75 * best_constant
        assert rank_correlation(model.eval()(toy(8, 4, 999))["scores"]).mean() > 0.9
    else:
        assert min(losses) >= best_constant * (1 - 1e-5)


def test_a_clip_does_not_depend_on_its_batch():
    model, frames = small().double().eval(), frames_of(3, dtype=torch.float64)
    together = model(frames)
    for b in range(3):
        for name, value in model(frames[b : b + 1]).items():
            torch.testing.assert_close(value[0], together[name][b], rtol=1e-10, atol=1e-12)


def test_a_score_is_of_one_frame_and_the_rest_of_all():
    model, frames = small().double().eval(), frames_of(1, dtype=torch.float64)
    changed = frames.clone()
    changed[0, 1] = frames_of(1, 1, torch.float64, seed=5)[0, 0]
    a, b = model(frames), model(changed)
    differs = (a["scores"] - b["scores"]).abs()[0] > 1e-9
    assert differs.tolist() == [False, True, False]
    for name in ("logits", "dynamic"):
        assert (a[name] - b[name]).abs().max() > 1e-9


def test_input_is_scaled_by_constants_unless_centred():
    """Without centring the statistics of the training set play no part, and 0.5 is the middle of the range."""
    model, frames = small().double().eval(), frames_of(dtype=torch.float64)
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    before = model(frames)["logits"]
    model.fit_input(0.01)
    assert torch.equal(model(frames)["logits"], before)
    torch.testing.assert_close(seen[0], 2 * frames.flatten(0, 1) - 1)


def test_clip_mean_takes_the_still_face_out():
    frames, face = frames_of(dtype=torch.float64), frames_of(2, 1, torch.float64, seed=7)
    centred, plain = small(centre="clip_mean").double().eval(), small().double().eval()
    for name, value in centred(frames).items():
        torch.testing.assert_close(centred(frames + face)[name], value, rtol=0, atol=1e-10)
        assert (plain(frames)[name] - plain(frames + face)[name]).abs().max() > 1e-6


def test_gain_is_the_standard_deviation_of_what_the_network_sees():
    model, frames = small(centre="clip_mean", gain=1.5), frames_of()
    model.fit_input((frames - frames.mean(1, keepdim=True)).std(unbiased=False).item())
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(frames)
    assert seen[0].std(unbiased=False).item() == pytest.approx(1.5, rel=1e-4)


def test_a_bad_configuration_is_one_line():
    with pytest.raises(MerError, match=r"^fdp\.drop_path = 2: [^\n;]*; fdp\.gain = 0: expected a positive number$"):
        FDP(Config(gain=0, drop_path=2), 3)


def test_frames_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"frames \(2, 4, 1, 64, 64\): expected \(B, 3, 1, 64, 64\)"):
        small()(frames_of(2, 4))


def steps(count=2):
    """Bytes of a model after some optimiser steps with stochastic depth."""
    model = small(centre="clip_mean", drop_path=0.3)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    for step in range(count):
        torch.manual_seed(step)
        batch = SimpleNamespace(frames=frames_of(4, seed=step), label=torch.arange(4) % 3)
        optimiser.zero_grad()
        terms = fdp_losses(model(batch.frames), batch, model.cfg)
        sum(WEIGHTS[name] * term for name, term in terms.items()).backward()
        optimiser.step()
    return [value.numpy().tobytes() for value in model.state_dict().values()]


def test_training_is_deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        assert steps() == steps()
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_step_needs_few_operations():
    """At most 2000 with every view, forward, losses and backward, at any width and batch (spec: looped 5523)."""
    work, every = count_operations(small(t=8), clips(1, 8))
    assert work <= 850 and every <= 2000


def test_the_spatial_dynamic_image_has_its_sizes():
    """Weights of 8 frames for 1984 channels, skips, blocks, transposed convolutions; nothing else grows or goes."""
    pooled, spatial = FDP(Config(), 5), FDP(Config(dic_input="spatial"), 5)
    shapes = [(64, 32), (128, 16), (256, 8), (512, 4), (1024, 2)]
    assert spatial.backbone.shapes == shapes
    into, out = (512, 512, 512, 256, 128, 64), (512, 512, 256, 128, 64, 32)
    expected = sum(8 * c for c, _ in shapes)
    expected += sum(c * o + 2 * o for (c, _), o in zip(shapes, (128, 256, 512, 512, 512), strict=True))
    expected += sum(9 * i * o + 2 * o for i, o in zip(into, out, strict=True))
    expected += sum(4 * c * c + c for c in into[1:]) + 33
    assert count(spatial.dynamic) == expected == 9_709_217
    assert count(spatial) - count(spatial.dynamic) == count(pooled) - count(pooled.dynamic) == 26_014_029


def turned(model, name):
    """A hook that turns the positions of what the layer `name` makes by half a circle."""
    return model.get_submodule(name).register_forward_hook(lambda _, __, maps: maps.flip(2, 3))


def test_the_spatial_dynamic_image_sees_where_and_the_pooled_one_does_not():
    """The last stage's positions exchanged: F_k is their mean and stays, and so does all that is made of it alone."""
    frames = frames_of(2, dtype=torch.float64)
    for dic_input, sees in (("pooled", False), ("spatial", True)):
        model = small(dic_input=dic_input).double().eval()
        before = model(frames)
        hook = turned(model, "backbone.norm")
        after = model(frames)
        hook.remove()
        differs = {name: (after[name] - before[name]).abs().max() > 1e-6 for name in before}
        assert differs == {"logits": False, "dynamic": sees, "scores": False}


def test_every_stage_reaches_the_spatial_dynamic_image_with_its_positions():
    model, frames = small(dic_input="spatial").double().eval(), frames_of(1, dtype=torch.float64)
    _, stages = model._features(model._input(frames))
    before = model.dynamic(stages)
    for i in range(len(stages)):
        other = [maps.flip(3, 4) if k == i else maps for k, maps in enumerate(stages)]
        assert (model.dynamic(other) - before).abs().max() > 1e-6
        later = [maps.flip(1) if k == i else maps for k, maps in enumerate(stages)]  # the order of the frames
        assert (model.dynamic(later) - before).abs().max() > 1e-6


@pytest.mark.parametrize("coeffs", ["exact", "simple"])
def test_frames_are_weighed_as_in_the_dynamic_image_at_first(coeffs):
    """Up to one factor; a clip that stands still gives maps of 0, whatever its face."""
    model = FDP(Config(width=1 / 8, dic_input="spatial", coeffs=coeffs), 3).eval()
    alpha = torch.tensor(coefficients(8, coeffs).tolist())
    assert (model(frames_of(1, 8))["dynamic"] == 0.5).all()
    for weights in model.dynamic.weights:
        torch.testing.assert_close(weights, (alpha / alpha.norm())[:, None].expand_as(weights))
    seen = []
    for skip in model.dynamic.skips:
        skip.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].abs().max().item()))
    model(frames_of(1, 1).expand(-1, 8, -1, -1, -1))
    assert len(seen) == 5 and max(seen) < 1e-5


def test_weights_survive_saving(tmp_path):
    model, other = small().eval(), FDP(Config(width=1 / 8, t=3), 3).eval()
    model.fit_input(0.2)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    for name, value in model(frames_of()).items():
        assert torch.equal(value, other(frames_of())[name])


def test_the_head_is_the_layer_of_the_classes():
    keys = [key for key in small(classes=7).state_dict() if key.startswith(FDP.HEAD + ".")]
    assert keys == ["mer.fc2.weight", "mer.fc2.bias"]
    assert small(classes=7).state_dict()["mer.fc2.bias"].shape == (7,)


def test_under_autocast_scores_keep_their_precision():
    model = small().eval()
    exact = model(frames_of())
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(frames_of())
        features, _ = model._features(model._input(frames_of()))
    for name, value in outputs.items():
        assert value.dtype == torch.float32
        assert (value - exact[name]).norm() < 0.2 * exact[name].norm()
    assert features.dtype == torch.bfloat16
    torch.testing.assert_close(outputs["scores"], F.linear(features.float(), model.rank.weight).squeeze(-1))
    sum(value.square().mean() for value in outputs.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
