"""Blocks of FDP: heads one by one, pooling beside torch's, the transformer layer, stochastic depth, shapes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mer.models.fdp.backbones import VitLayer
from mer.models.fdp.config import Config
from mer.models.fdp.dynamic_decoder import EncoderDecoder, SegNet
from mer.models.fdp.feature_transformer import FeatureTransformer, drop_path
from mer.models.fdp.multi_head_conv import PatchEmbedding, Pointwise, multi_head_conv
from mer.models.fdp.self_attention import SelfAttention
from mer.models.parts import pooling


def maps_of(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def agree(found, expected, maps):
    """Values and gradients to maps are equal."""
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    cotangent = torch.randn_like(expected)
    a, b = (torch.autograd.grad(out, maps, cotangent)[0] for out in (found, expected))
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def test_multi_head_convolution_is_one_convolution_a_head():
    """Section 3.2.1: heads go each through convolution, norm and ReLU; a pointwise convolution mixes them."""
    torch.manual_seed(0)
    block, maps = multi_head_conv("multihead", 24, 8).double(), maps_of(2, 24, 5, 5)
    heads = []
    for h, head in enumerate(maps.split(8, dim=1)):
        own = slice(8 * h, 8 * h + 8)
        norm = nn.BatchNorm2d(8).double()
        heads.append(torch.relu(norm(F.conv2d(head, block[0].weight[own], padding=1))))
    agree(block(maps), F.conv2d(torch.cat(heads, dim=1), block[3].weight[..., None, None]), maps)


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_one_softmax_a_head(heads):
    torch.manual_seed(0)
    layer, tokens = SelfAttention(12, heads).double(), maps_of(2, 7, 12)
    parts = zip(layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3), strict=True)
    query, key, value = (tokens @ weight.T + bias for weight, bias in parts)
    width = 12 // heads
    mixed = []
    for h in range(heads):
        own = slice(width * h, width * (h + 1))
        scores = query[..., own] @ key[..., own].mT / width**0.5
        mixed.append(scores.softmax(-1) @ value[..., own])
    agree(layer(tokens), layer.out(torch.cat(mixed, dim=2)), tokens)


def test_transformer_layer_is_the_standard_one():
    torch.manual_seed(0)
    layer, tokens = VitLayer(24, 3).double(), maps_of(2, 5, 24)
    standard = nn.TransformerEncoderLayer(24, 3, 96, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True).double()
    with torch.no_grad():
        standard.self_attn.in_proj_weight.copy_(layer.attention.qkv.weight)
        standard.self_attn.in_proj_bias.zero_()
        pairs = ((standard.self_attn.out_proj, layer.attention.out), (standard.linear1, layer.mlp[0]),
                 (standard.linear2, layer.mlp[2]), (standard.norm1, layer.norm_attention), (standard.norm2, layer.norm))
        for theirs, ours in pairs:
            nn.init.normal_(ours.bias)
            theirs.load_state_dict(ours.state_dict())
    agree(layer(tokens), standard(tokens), tokens)


def test_pointwise_is_a_convolution_and_copies_nothing():
    layer = Pointwise(6, 4).double()
    for maps in (maps_of(2, 6, 3, 5), maps_of(2, 3, 5, 6).permute(0, 3, 1, 2)):
        agree(layer(maps), F.conv2d(maps, layer.weight[..., None, None], layer.bias), maps)
        assert layer(maps).is_contiguous(memory_format=torch.channels_last)


def test_patch_embedding_is_nothing_where_nothing_changes():
    maps = maps_of(2, 6, 4, 4)
    assert PatchEmbedding(6, 6, 1)(maps) is maps
    assert PatchEmbedding(6, 6, 2).double()(maps).shape == (2, 6, 2, 2)
    assert PatchEmbedding(6, 9, 1).double()(maps).shape == (2, 9, 4, 4)


@pytest.mark.parametrize(("size", "side"), [(2, 8), (3, 8), (3, 64)])
def test_max_pool_is_torch_s(size, side):
    maps = maps_of(2, 3, side, side)
    agree(pooling.max_pool(maps, size), F.max_pool2d(maps, size), maps)


def test_overlapping_max_pool_is_torch_s():
    maps = maps_of(2, 3, 8, 6)
    agree(pooling.max_pool_overlapping(maps), F.max_pool2d(maps, 3, 2, 1), maps)


def test_unpooling_is_torch_s():
    maps, other = maps_of(2, 3, 8, 6), maps_of(2, 3, 4, 3, seed=1)
    expected, places = F.max_pool2d(maps, 2, return_indices=True)
    found, mask = pooling.max_pool_with_places(maps)
    agree(found, expected, maps)
    agree(pooling.max_unpool(other, mask), F.max_unpool2d(other, places, 2), other)


def test_of_equal_values_one_place_is_kept():
    found, mask = pooling.max_pool_with_places(torch.ones(1, 1, 4, 4))
    assert torch.equal(found, torch.ones(1, 1, 2, 2)) and (mask.sum(-1) == 1).all()


def test_gradient_of_equal_maxima_adds_up_to_one():
    maps = torch.ones(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    for pool in (lambda m: pooling.max_pool(m, 3), pooling.max_pool_overlapping):
        out = pool(maps)
        assert torch.autograd.grad(out.sum(), maps)[0].sum().item() == pytest.approx(out.numel())


def test_stochastic_depth_drops_frames_and_keeps_the_mean():
    torch.manual_seed(0)
    maps = torch.ones(4000, 2, 1, 1)
    dropped = drop_path(maps, 0.25, True)
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    kept = dropped[:, 0, 0, 0]
    assert ((kept == 0) | ((kept - 1 / 0.75).abs() < 1e-6)).all()
    assert kept.mean().item() == pytest.approx(1, abs=0.04)
    assert drop_path(maps, 0.25, False) is maps and drop_path(maps, 0.0, True) is maps


def test_stochastic_depth_grows_with_depth():
    backbone = FeatureTransformer(Config(width=1 / 16))
    assert [block.drop for block in backbone.blocks] == pytest.approx([0.1 * i / 11 for i in range(12)])


def test_stages_have_the_published_shapes():
    backbone = FeatureTransformer(Config(width=1 / 4)).eval()
    found = []
    for block in backbone.blocks:
        block.register_forward_hook(lambda _, __, out: found.append(tuple(out.shape[1:])))
    assert backbone(torch.rand(1, 1, 64, 64)).shape == (1, 4096)
    full = [(c // 4, side, side) for side, stage in zip((16, 8, 4, 2), ((96, 96, 128), (192, 192, 256), (384, 384, 512),
                                                                        (768, 768, 1024)), strict=True) for c in stage]
    assert found == full
    attention = [m for m in FeatureTransformer(Config()).modules() if isinstance(m, SelfAttention)]
    assert [m.heads for m in attention] == [12, 24, 48, 96]


def test_backbone_starts_as_released():
    """Truncated normal weights of sd 0.02, no biases; what follows it starts as torch has it."""
    torch.manual_seed(0)
    backbone = FeatureTransformer(Config(width=1 / 2))
    for module in backbone.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.2)
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and not module.bias.any()


def test_skips_of_the_dynamic_image_network_are_sums():
    """Each encoder map is added: with it taken away a block of the decoder sees the enlarged map alone."""
    torch.manual_seed(0)
    network, maps = EncoderDecoder(8, 1 / 16).double(), maps_of(2, 8, 64, 64)
    seen, encoded, enlarged = [], [], []
    for block in network.decoder:
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for block in network.encoder:
        block.register_forward_hook(lambda _, __, out: encoded.append(out))
    for layer in network.enlarge:
        layer.register_forward_hook(lambda _, __, out: enlarged.append(out))
    out = network(maps)
    assert [m.shape[1:] for m in encoded] == [(4, 64, 64), (8, 32, 32), (16, 16, 16), (32, 8, 8)]
    for found, big, skip in zip(seen, enlarged, reversed(encoded), strict=True):
        torch.testing.assert_close(found, big + skip)
    assert out.shape == (2, 1, 64, 64) and 0 < out.min() < out.max() < 1


def test_segnet_s_shapes():
    network = SegNet(8, 1 / 32)
    sides = []
    for stage in (*network.encoder, *network.decoder):
        stage.register_forward_hook(lambda _, __, out: sides.append(out.shape[-1]))
    out = network(torch.randn(2, 8, 64, 64))
    assert sides == [64, 32, 16, 8, 4, 4, 8, 16, 32, 64]
    assert out.shape == (2, 1, 64, 64) and 0 < out.min() < out.max() < 1
