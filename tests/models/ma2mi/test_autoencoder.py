"""Autoencoders: published sizes, sd_vae equal to diffusers' AutoencoderKL, its files, and conv_ae's training."""

import json
import struct

import numpy as np
import pytest
import torch

from mer.base.errors import MerError
from mer.models.ma2mi import sd_vae
from mer.models.ma2mi.autoencoder import ConvAe
from mer.models.ma2mi.losses import KL_WEIGHT, conv_ae_losses
from mer.models.ma2mi.sd_vae import SdVae, load_sd_vae
from mer.training.checkpoint import read_safetensors
from mer.training.engine import derive

TINY = {"block_out_channels": [8, 16, 16, 16], "layers_per_block": 2, "latent_channels": 4, "norm_num_groups": 4}
DTYPES = {"F32": "<f4", "F16": "<f2"}


def count(module):
    return sum(p.numel() for p in module.parameters())


def pattern(key, shape):
    """Weights by formula, so that other programs can be given the same."""
    wave = np.sin(np.arange(np.prod(shape), dtype=np.float64) * 0.7 + len(key)).reshape(shape)
    return (0.2 * wave + (len(shape) == 1 and key.endswith("weight"))).astype(np.float32)


def tiny_state():
    state = SdVae((8, 16, 16, 16), groups=4).state_dict()
    return {key: pattern(key, tuple(value.shape)) for key, value in state.items()}


def write_safetensors(path, tensors, dtype="F32"):
    header, blobs, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, value in tensors.items():
        blobs.append(np.asarray(value, DTYPES[dtype]).tobytes())
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [offset, offset + len(blobs[-1])]}
        offset += len(blobs[-1])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def folder(path, state=None, config=TINY, dtype="F32"):
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    write_safetensors(path / "diffusion_pytorch_model.safetensors", tiny_state() if state is None else state, dtype)
    return path


def test_published_sizes():
    with torch.device("meta"):
        model, own = SdVae(), ConvAe()
    assert count(model) == 83_653_863 and count(model.encoder) == 34_163_592
    assert count(own.encoder) == 3_474_248 and count(own.decoder) == 3_702_403
    assert len(model.state_dict()) == 248


def test_tensor_names_are_those_of_diffusers():
    with torch.device("meta"):
        names = set(SdVae().state_dict())
    assert {"encoder.conv_in.weight", "encoder.down_blocks.1.resnets.0.conv_shortcut.weight",
            "encoder.down_blocks.2.downsamplers.0.conv.bias", "encoder.mid_block.attentions.0.group_norm.weight",
            "encoder.mid_block.attentions.0.to_out.0.bias", "decoder.up_blocks.0.resnets.2.norm2.weight",
            "decoder.up_blocks.2.upsamplers.0.conv.weight", "decoder.conv_norm_out.bias", "quant_conv.weight",
            "post_quant_conv.bias"} <= names
    assert not any("down_blocks.3.downsamplers" in name or "up_blocks.3.upsamplers" in name for name in names)


def test_equals_diffusers(tmp_path):
    """Numbers of diffusers 0.42.1's AutoencoderKL with these weights and pictures."""
    model = load_sd_vae(folder(tmp_path / "vae"))
    pictures = (torch.arange(2 * 3 * 32 * 32) * 0.01).cos().view(2, 3, 32, 32) / 2 + 0.5
    mean, logvar = model.moments(2 * pictures - 1)
    torch.testing.assert_close(mean.flatten()[:4], torch.tensor([-0.7427416, 0.6967648, 0.5080953, 0.2556331]),
                               rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logvar.flatten()[:4], torch.tensor([-0.2747666, -1.4556597, -0.907724, -0.4498509]),
                               rtol=1e-4, atol=1e-5)
    assert mean.abs().mean().item() == pytest.approx(0.625717, rel=1e-4)
    decoded = model.pictures(mean)
    torch.testing.assert_close(decoded.flatten()[:4], torch.tensor([0.1196953, 0.0822242, 0.2086915, 0.236838]),
                               rtol=1e-3, atol=1e-5)
    assert decoded.abs().mean().item() == pytest.approx(1.302265, rel=1e-4)


def test_latents_are_scaled_and_pictures_are_in_0_to_1(tmp_path):
    model = load_sd_vae(folder(tmp_path / "vae", config={**TINY, "scaling_factor": 0.5}))
    gray = torch.rand(2, 1, 32, 32)
    mean, logvar = model.encode(gray)
    raw_mean, raw_logvar = model.moments((2 * gray - 1).expand(-1, 3, -1, -1))
    torch.testing.assert_close(mean, 0.5 * raw_mean)
    torch.testing.assert_close(logvar.exp().sqrt(), 0.5 * raw_logvar.exp().sqrt())  # standard deviations scale alike
    decoded = model.decode(mean)
    torch.testing.assert_close(decoded, (model.pictures(raw_mean) / 2 + 0.5).clamp(0, 1))
    assert decoded.shape == (2, 3, 32, 32)
    assert load_sd_vae(folder(tmp_path / "vae")).scale.item() == pytest.approx(0.18215)


def test_it_is_frozen(tmp_path):
    model = load_sd_vae(folder(tmp_path / "vae"))
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_bin_half_precision_and_old_names_give_the_same(tmp_path):
    state = tiny_state()
    expected = load_sd_vae(folder(tmp_path / "new")).state_dict()
    old = {key: value for key, value in state.items() if "attentions" not in key}
    for key, value in state.items():
        if "attentions" in key:
            for name, new in sd_vae.OLD_NAMES.items():
                key = key.replace(f".{new}.", f".{name}.")
            old[key] = value[:, :, None, None] if value.ndim == 2 else value  # as convolutions, the oldest form
    assert "encoder.mid_block.attentions.0.proj_attn.weight" in old
    plain = tmp_path / "bin"
    plain.mkdir()
    (plain / "config.json").write_text(json.dumps(TINY))
    torch.save({key: torch.from_numpy(value.copy()) for key, value in old.items()}, plain / sd_vae.WEIGHTS[1])
    for path, tolerance in ((folder(tmp_path / "old", old), 0), (plain, 0),
                            (folder(tmp_path / "half", dtype="F16"), 1e-3)):
        found = load_sd_vae(path).state_dict()
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=0, atol=tolerance)


def test_missing_weights_say_what_to_do(tmp_path):
    with pytest.raises(MerError, match=r"^ma2mi\.sd_vae: \S*none has no diffusion_pytorch_model\.safetensors; put "
                                       r"config\.json and .* of stabilityai/sd-vae-ft-ema there.*conv_ae$"):
        load_sd_vae(tmp_path / "none")
    path = folder(tmp_path / "vae")
    (path / "config.json").unlink()
    with pytest.raises(MerError, match=r"has no config\.json"):
        load_sd_vae(path)


def test_another_network_is_refused(tmp_path):
    for config, message in (
        ({**TINY, "block_out_channels": [8, 16]}, r"4 latent channels, side / 2; expected 4 and 8"),
        ({**TINY, "latent_channels": 16}, "16 latent channels, side / 8; expected 4 and 8"),
        ({"vocab_size": 3}, r"config\.json: not the configuration of an AutoencoderKL"),
        ([1], r"config\.json: not the configuration of an AutoencoderKL"),
    ):
        with pytest.raises(MerError, match=message):
            load_sd_vae(folder(tmp_path / "vae", config=config))
    state = tiny_state()
    missing = {key: value for key, value in state.items() if key != "quant_conv.weight"}
    with pytest.raises(MerError, match=r"tensor quant_conv\.weight is missing; expected \(8, 8, 1, 1\)"):
        load_sd_vae(folder(tmp_path / "vae", missing))
    with pytest.raises(MerError, match=r"tensor quant_conv\.bias is \(3,\); expected \(8,\)"):
        load_sd_vae(folder(tmp_path / "vae", {**state, "quant_conv.bias": np.zeros(3, np.float32)}))
    with pytest.raises(MerError, match=r"tensor extra fits nothing"):
        load_sd_vae(folder(tmp_path / "vae", {**state, "extra": np.zeros(3, np.float32)}))


def test_a_damaged_file_is_one_line(tmp_path):
    path = folder(tmp_path / "vae") / "diffusion_pytorch_model.safetensors"
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for content in (whole[:-1], whole[: header // 2], b"", b"PK" * 100, struct.pack("<Q", 2**40) + whole[8:],
                    whole[:8] + b"[" + whole[9:]):
        path.write_bytes(content)
        with pytest.raises(MerError, match=r"^[^\n]*not a readable safetensors file[^\n]*$"):
            load_sd_vae(path.parent)
    path.unlink()
    (path.parent / sd_vae.WEIGHTS[1]).write_text("weights")
    with pytest.raises(MerError, match="no state dict of torch"):
        load_sd_vae(path.parent)


def test_safetensors_keep_shape_and_values(tmp_path):
    values = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.float32([[-1.5]])}
    write_safetensors(tmp_path / "x.safetensors", values)
    found = read_safetensors(tmp_path / "x.safetensors")
    assert list(found) == ["b", "a"]
    for name, value in values.items():
        assert np.array_equal(found[name].numpy(), value) and found[name].dtype == torch.float32


def test_conv_ae_learns_to_give_back_a_picture_and_scales_its_latents():
    torch.manual_seed(derive(0, "conv_ae"))
    model = ConvAe(0.25)
    assert [layer.out_channels for layer in model.encoder if isinstance(layer, torch.nn.Conv2d)] == [16, 16, 32, 64, 8]
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    waves = [((x * a + y * b) / 6).sin() / 2 + 0.5 for a, b in ((1, 0), (0, 1), (1, 1), (1, -1))]
    batch = type("Batch", (), {"frames": torch.stack(waves).view(2, 2, 1, 32, 32)})
    optimiser, log = torch.optim.AdamW(model.parameters(), 3e-3), []
    for _ in range(40):
        terms = conv_ae_losses(model(batch.frames), batch)
        optimiser.zero_grad()
        (terms["pixels"] + KL_WEIGHT * terms["kl"]).backward()
        optimiser.step()
        log.append(terms["pixels"].item())
    assert log[-1] < 0.4 * log[0]
    pictures = batch.frames.flatten(0, 1)
    model.eval().fit_scale(pictures)
    with torch.no_grad():
        mean, logvar = model.encode(pictures)
        assert mean.shape == logvar.shape == (4, 4, 4, 4)
        assert mean.std().item() == pytest.approx(1, rel=1e-4)
        assert (model.decode(mean) - pictures).abs().mean() < 0.75 * log[0] / 2
    assert "scale" in model.state_dict()
