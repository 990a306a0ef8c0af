"""MIACNet: published sizes, what reaches which encoder, what the two encoders see, and Grad-CAM."""

import math
from types import SimpleNamespace

import pytest
import torch

from mer.base.errors import MerError
from mer.models.ma2mi.config import Config, condition_size, frozen, loss_weights
from mer.models.ma2mi.losses import ma2mi_losses
from mer.models.ma2mi.network import MIACNet, carry_over, grad_cam, resize
from mer.models.parts.resnet18 import ResNetTrunk, load_imagenet

SMALL = {"size": 64, "width": 1 / 16, "dit_width": 32, "dit_depth": 2, "dit_heads": 2}


def small(classes=0, reconstruct=False, frozen=(), **fields):
    torch.manual_seed(0)
    return MIACNet(Config(**{**SMALL, **fields}), classes, reconstruct=reconstruct, frozen=frozen)


def frames(batch=3, size=64, channels=1, dtype=torch.float32, seed=1):
    return torch.rand(batch, 2, channels, size, size, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def latents(batch=3, side=8):
    return torch.randn(batch, 2, 4, side, side, generator=torch.Generator().manual_seed(2))


def count(module):
    return sum(p.numel() for p in module.parameters())


def filled(model):
    """`model` with random weights in the layers that start at zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return model


def test_published_sizes():
    with torch.device("meta"):
        model = MIACNet(Config(fusion="add"), 5, reconstruct=True)
    assert count(model.fpe) == count(model.fae) == 11_176_512
    assert count(model.head) == 2_565 and count(model.dit) == 129_140_752
    assert count(model) == 22_353_024 + 2_565 + 129_140_752
    with torch.device("meta"):
        assert count(MIACNet(Config(), 5).head) == 25_088 * 5 + 5
        fine = MIACNet(Config(cell=16), 5)
    assert count(fine.fpe) == 11_176_512 and count(fine.head) == 512 * 14 * 14 * 5 + 5
    assert ResNetTrunk()(torch.zeros(1, 3, 224, 224)).shape == (1, 512, 7, 7)
    assert ResNetTrunk(width=0.1, cell=16)(torch.zeros(1, 3, 64, 64)).shape == (1, 51, 4, 4)


@pytest.mark.parametrize("classes", [5, 6])
def test_the_classifier_starts_at_ln_c(classes):
    outputs = small(classes)(frames())
    assert outputs["logits"].shape == (3, classes) and not outputs["logits"].any()
    loss = ma2mi_losses(outputs, SimpleNamespace(label=torch.arange(3)), Config())["mer"]
    assert loss.item() == pytest.approx(math.log(classes), abs=1e-6)


def test_first_reconstruction_is_zero():
    outputs = small(reconstruct=True)(frames(), latents()[:, 0])
    assert outputs["latent"].shape == (3, 4, 8, 8) and not outputs["latent"].any()


def pretraining_losses(model):
    theta = torch.eye(2, 3).expand(3, 2, 3)
    batch = SimpleNamespace(frames=frames(), latents=latents(), theta=theta, warped=frames(seed=5)[:, 0])
    outputs = model(batch.frames, batch.latents[:, 0], batch.warped if model.cfg.position_loss else None)
    return ma2mi_losses(outputs, batch, model.cfg)


def reached(model, loss):
    """Names of the model's parts that get a gradient from `loss` that is not zero."""
    model.zero_grad()
    loss.backward(retain_graph=True)
    return {name for name, part in model.named_children() for p in part.parameters()
            if p.grad is not None and p.grad.any()}


def test_each_encoder_learns_from_its_own_loss():
    """Section 3.1: "trained independently with different losses"."""
    model = filled(small(reconstruct=True))
    losses = pretraining_losses(model)
    assert reached(model, losses["reconstruction"]) == {"fae", "dit"}
    for name in ("diversity", "consistency", "equivariance"):
        assert reached(model, losses[name]) == {"fpe"}, name
    assert set(losses) <= set(loss_weights(model.cfg))


def test_without_position_losses_the_position_encoder_learns_from_the_reconstruction():
    """Table 4, row 2."""
    model = filled(small(reconstruct=True, position_loss=False))
    losses = pretraining_losses(model)
    assert set(losses) == {"reconstruction"}
    assert reached(model, losses["reconstruction"]) == {"fpe", "fae", "dit"}


def test_in_fine_tuning_classes_reach_both_encoders_and_the_reconstruction_one():
    """Table 2, reconstruction kept."""
    model = filled(small(3, reconstruct=True))
    outputs = model(frames(), latents()[:, 0])
    losses = ma2mi_losses(outputs, SimpleNamespace(label=torch.arange(3), latents=latents()), model.cfg)
    assert reached(model, losses["mer"]) == {"fpe", "fae", "head"}
    assert reached(model, losses["reconstruction"]) == {"fae", "dit"}


@pytest.mark.parametrize("name", ["fpe", "fae"])
def test_a_frozen_encoder_keeps_weights_and_statistics(name):
    """Table 2: neither gradient, weight decay nor batch norm may move it; the other one moves."""
    cfg = Config(**SMALL, tune_fpe=name != "fpe", tune_fae=name != "fae")
    assert frozen(cfg) == (name,)
    torch.manual_seed(0)
    model = filled(MIACNet(cfg, 3, frozen=frozen(cfg)))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.1)
    for step in range(2):
        model.train()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(frames(seed=step))["logits"], torch.arange(3)).backward()
        optimiser.step()
    for key, value in model.state_dict().items():
        moved = not torch.equal(value, before[key])
        assert moved != key.startswith(name), key
    other = model.fae if name == "fpe" else model.fpe
    assert other.training and not model.get_submodule(name).training


def test_the_action_encoder_sees_the_difference_and_the_position_encoder_the_earlier_frame():
    model, pair = small().double().eval(), frames(dtype=torch.float64)
    face = frames(dtype=torch.float64, seed=9)[:, :1]
    torch.testing.assert_close(model.actions(pair + face), model.actions(pair), rtol=1e-9, atol=1e-9)
    assert (model.actions(pair.flip(1)) - model.actions(pair)).abs().max() > 1e-3
    still = pair[:, :1].expand(-1, 2, -1, -1, -1)
    torch.testing.assert_close(model.actions(still), model.actions(still + face), rtol=1e-9, atol=1e-9)
    theta, warped, seen = None, pair[:, 0], []
    model.fpe.register_forward_pre_hook(lambda _, values: seen.append(values[0]))
    outputs = model(pair, theta, warped)
    assert len(seen) == 1 and len(seen[0]) == 6  # I_t and T(I_t) in one pass
    torch.testing.assert_close(outputs["position"], outputs["position_warped"])
    torch.testing.assert_close(outputs["position"], model.positions(pair[:, 0]))


def test_gray_is_colour_with_equal_channels():
    model = filled(small(3)).eval()
    torch.testing.assert_close(model(frames())["logits"], model(frames().expand(-1, -1, 3, -1, -1))["logits"])


def test_input_is_scaled_by_imagenet():
    model, seen = small(), []
    model.fpe.register_forward_pre_hook(lambda _, values: seen.append(values[0]))
    picture = torch.tensor([0.485, 0.456 + 0.224, 0.406 - 0.225]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    model.eval().positions(picture)
    torch.testing.assert_close(seen[0][0, :, 5, 5], torch.tensor([0.0, 1.0, -1.0]))


def test_fusions():
    torch.manual_seed(0)
    position, action = torch.rand(2, 4, 2, 2), torch.rand(2, 4, 2, 2)
    expected = {
        "add": (position + action).mean((2, 3)),
        "concat": torch.cat([position.mean((2, 3)), action.mean((2, 3))], 1),
        "add_flat": (position + action).reshape(2, -1),
        "gate": (action * position / position.square().sum(1, keepdim=True).sqrt()).mean((2, 3)),
    }
    for fusion, value in expected.items():
        model = small(fusion=fusion)
        torch.testing.assert_close(model.fuse(position, action), value)
        sizes = Config(**{**SMALL, "width": 4 / 512}, fusion=fusion)
        assert condition_size(sizes) == value.shape[1]


@pytest.mark.parametrize("fusion", ["add", "concat", "add_flat", "gate"])
def test_every_fusion_trains(fusion):
    model = filled(small(3, reconstruct=True, fusion=fusion))
    outputs = model(frames(), latents()[:, 0])
    sum(value.square().mean() for value in outputs.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_without_the_position_encoder_only_the_action_is_seen():
    """Table 4, row 1."""
    model = filled(small(3, fpe=False, position_loss=False)).double().eval()
    assert not any(key.startswith("fpe") for key in model.state_dict())
    pair, face = frames(dtype=torch.float64), frames(dtype=torch.float64, seed=9)[:, :1]
    torch.testing.assert_close(model(pair)["logits"], model(pair + face)["logits"], rtol=1e-9, atol=1e-9)


def test_pixel_space():
    """Table 1, dagger: DiT predicts the picture."""
    model = small(reconstruct=True, autoencoder="none")
    outputs = model(frames(), torch.randn(3, 3, 64, 64))
    assert outputs["latent"].shape == (3, 3, 64, 64) and model.dit.patch == 8


def test_a_clip_does_not_depend_on_its_batch():
    model = filled(small(3, reconstruct=True)).double().eval()
    pair, z = frames(dtype=torch.float64), latents()[:, 0].double()
    together = model(pair, z)
    for b in range(3):
        for name, value in model(pair[b : b + 1], z[b : b + 1]).items():
            torch.testing.assert_close(value[0], together[name][b], rtol=1e-9, atol=1e-11)


def test_pretrained_encoders_are_carried_over_and_the_head_is_not():
    pretrained = filled(small(7, reconstruct=True)).state_dict()
    fresh = small(3)
    carry_over(fresh, pretrained)
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, pretrained[name]) if name[:4] != "head" else not value.any(), name
    kept = small(3, reconstruct=True)
    carry_over(kept, pretrained)
    assert torch.equal(kept.dit.embed.weight, pretrained["dit.embed.weight"])
    action_only = small(3, fpe=False, position_loss=False)
    carry_over(action_only, pretrained)
    assert torch.equal(action_only.fae.conv1.weight, pretrained["fae.conv1.weight"])
    with pytest.raises(MerError, match=r"tensor dit\.blocks\.0\.fc1\.bias is missing, the model needs \(128,\)"):
        carry_over(small(3, reconstruct=True), small(7).state_dict())
    with pytest.raises(MerError, match="pretrain with the same ma2mi settings"):
        carry_over(small(3, width=1 / 8), pretrained)
    with pytest.raises(MerError, match=r"tensor dit\.blocks\.2.* the model needs missing"):
        carry_over(kept, small(3, reconstruct=True, dit_depth=3).state_dict())


def test_imagenet_weights_from_a_file(tmp_path):
    torch.manual_seed(1)
    source, trunk = ResNetTrunk(width=1 / 16), ResNetTrunk(width=1 / 16)
    state = {**source.state_dict(), "fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, tmp_path / "resnet18.pth")
    load_imagenet(trunk, tmp_path / "resnet18.pth", "ma2mi")
    pictures = torch.rand(1, 3, 64, 64)
    assert torch.equal(trunk.eval()(pictures), source.eval()(pictures))
    with pytest.raises(MerError, match=r"no file .*missing\.pth; put torchvision's"):
        load_imagenet(trunk, tmp_path / "missing.pth", "ma2mi")
    with pytest.raises(MerError, match=r"tensor conv1\.weight is \(4, 3, 7, 7\); expected \(8, 3, 7, 7\)"):
        load_imagenet(ResNetTrunk(width=1 / 8), tmp_path / "resnet18.pth", "ma2mi")
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(MerError, match="is no state dict of torch"):
        load_imagenet(trunk, tmp_path / "text.pth", "ma2mi")


def test_names_are_those_of_torchvision():
    names = ResNetTrunk(width=1 / 16).state_dict()
    assert len(names) == 120
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight",
            "layer2.0.downsample.1.bias", "layer4.1.bn2.num_batches_tracked"} <= set(names)


def test_grad_cam_finds_the_place_the_class_is_read_from():
    """Only channel 0 of F_a counts for class 1 and channel 1 against it: the map is channel 0 minus channel 1."""
    model = small(2, size=96, fpe=False, position_loss=False, fusion="add").eval()
    with torch.no_grad():
        model.head.weight[1, 0], model.head.weight[1, 1] = 1, -1
    pair = frames(2, 96)
    heat = grad_cam(model, pair, torch.tensor([1, 1]))
    maps = model.actions(pair).detach()
    expected = torch.nn.functional.interpolate((maps[:, :1] - maps[:, 1:2]).relu(), (96, 96), mode="bilinear")[:, 0]
    torch.testing.assert_close(heat, expected / expected.amax((1, 2), keepdim=True).clamp_min(1e-30))
    assert heat.shape == (2, 96, 96) and heat.max() <= 1 and heat.min() >= 0
    assert not grad_cam(model, pair, torch.tensor([0, 0])).any()  # no channel speaks for class 0


@pytest.mark.parametrize("fusion", ["concat", "add_flat", "gate"])
def test_grad_cam_of_every_fusion_leaves_the_model_as_it_was(fusion):
    model = filled(small(2, fusion=fusion)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        heat = grad_cam(model, frames())
    assert model.training and heat.isfinite().all() and heat.amax((1, 2)).max() == 1
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_frames_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"frames \(3, 2, 2, 64, 64\): expected \(B, 2, 1 or 3, H, H\)"):
        small()(frames(channels=2))
    with pytest.raises(ValueError, match=r"frames \(3, 3, 1, 64, 64\): expected"):
        small()(torch.rand(3, 3, 1, 64, 64))


def test_larger_frames_are_resized():
    model = filled(small(3)).eval()
    pair = torch.nn.functional.interpolate(frames().flatten(0, 1), (192, 192)).unflatten(0, (3, 2))  # whole blocks
    inner = resize(pair.flatten(0, 1), 64).unflatten(0, (3, 2))
    torch.testing.assert_close(model(pair)["logits"], model(inner)["logits"], rtol=1e-3, atol=1e-4)
    gray = torch.full((1, 1, 100, 100), 0.3)
    torch.testing.assert_close(resize(gray, 64), torch.full((1, 1, 64, 64), 0.3))
    assert grad_cam(model, pair).shape == (3, 192, 192)


def test_a_bad_configuration_is_one_line():
    with pytest.raises(MerError, match=r"^ma2mi\.size = 100: expected a multiple of 32 pixels[^\n]*$"):
        small(size=100)


def steps(count=2):
    model = small(3, reconstruct=True)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    for step in range(count):
        outputs = model(frames(seed=step), latents()[:, 0], frames(seed=step + 7)[:, 1])
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


def test_under_autocast_outputs_are_single_precision():
    model = filled(small(3, reconstruct=True)).eval()
    arguments = frames(), latents()[:, 0], frames(seed=4)[:, 0]
    exact = model(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(*arguments)
    for name, value in outputs.items():
        assert value.dtype == torch.float32 and (value - exact[name]).norm() < 0.2 * exact[name].norm(), name
