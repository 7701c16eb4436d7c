"""Attention in plain form gives what the libraries' own gives."""

import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d
from timm.layers.attention import Attention
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.fastvit import AttentionBlock
from torch import nn

from clipgate_export.attention import PlainAttentionPool2d, PlainLatentPool, PlainTimmAttention, simplify


@pytest.fixture(autouse=True)
def no_gradients() -> None:
    torch.manual_seed(11)
    with torch.no_grad():
        yield


def drawn(module: nn.Module) -> nn.Module:
    for value in module.parameters():
        value.copy_(torch.randn(value.shape) * 0.3)
    return module.eval()


def test_multihead_with_a_mask() -> None:
    source = drawn(nn.MultiheadAttention(32, 4, batch_first=True))
    tokens, mask = torch.randn(2, 7, 32), torch.full((7, 7), -torch.inf).triu(1)
    wanted = source(tokens, tokens, tokens, need_weights=False, attn_mask=mask)[0]
    plain = simplify(nn.ModuleDict({"attn": source}))["attn"]
    assert torch.allclose(plain(tokens, tokens, tokens, attn_mask=mask)[0], wanted, atol=1e-5)
    probe = torch.randn(2, 1, 32)
    assert torch.allclose(plain(probe, tokens, tokens)[0], source(probe, tokens, tokens)[0], atol=1e-5)


def test_timms() -> None:
    source, tokens = drawn(Attention(32, 4, qkv_bias=True)), torch.randn(2, 9, 32)
    wanted = source(tokens)
    plain = simplify(nn.ModuleDict({"attn": source}))["attn"]
    assert isinstance(plain, PlainTimmAttention) and torch.allclose(plain(tokens), wanted, atol=1e-5)


def test_siglips_pooling() -> None:
    source, tokens = drawn(AttentionPoolLatent(32, num_heads=4, norm_layer=nn.LayerNorm)), torch.randn(2, 9, 32)
    wanted = source(tokens)
    plain = simplify(nn.ModuleDict({"pool": source}))["pool"]
    assert isinstance(plain, PlainLatentPool) and torch.allclose(plain(tokens), wanted, atol=1e-5)


def test_clips_resnet_pooling() -> None:
    source, maps = drawn(AttentionPool2d(3, 32, 4, 16)), torch.randn(2, 32, 3, 3)
    wanted = source(maps)
    plain = simplify(nn.ModuleDict({"pool": source}))["pool"]
    assert isinstance(plain, PlainAttentionPool2d) and torch.allclose(plain(maps), wanted, atol=1e-5)


def test_fastvits_block_with_its_norm() -> None:
    block = drawn(AttentionBlock(64))
    block.norm.running_mean.normal_()
    block.norm.running_var.uniform_(0.5, 2)
    maps = torch.randn(1, 64, 4, 4)
    wanted = block(maps)
    simplified = simplify(block)
    assert isinstance(simplified.norm, nn.Identity)
    assert torch.allclose(simplified(maps), wanted, atol=1e-4)
