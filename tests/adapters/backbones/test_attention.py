"""Attention in blocks is attention; where it does not pay or may not be used, torch's own is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from adapters.backbones import attention as module
from adapters.backbones import learning_attention
from adapters.backbones.attention import NAME, attention, use_blocked_attention
from adapters.backbones.build import build_backbone
from adapters.options.backbone import BackboneOptions


class Attends(nn.Module):
    """What transformers' attention says of itself."""

    is_causal = False


@pytest.fixture
def states():
    """(query, key, value) of two images, three heads, 100 tokens, in bf16."""
    torch.manual_seed(0)
    return torch.randn(3, 2, 3, 100, 16).bfloat16().unbind(0)


@pytest.mark.parametrize("in_cache", [100 * 70, 100 * 100, 4 * 100 * 100, 2**20])
def test_blocks_of_any_size_say_what_single_precision_says_to_the_rounding_of_bf16(states, in_cache, monkeypatch):
    monkeypatch.setattr(learning_attention, "IN_CACHE", in_cache)
    mixed, weights = attention(Attends(), *states, None, scaling=0.25)
    exact = F.scaled_dot_product_attention(*(x.float() for x in states), scale=0.25).transpose(1, 2)
    assert weights is None and mixed.dtype == torch.bfloat16 and mixed.shape == (2, 100, 3, 16)
    assert (mixed.float() - exact).abs().max() < 0.03 and (mixed.float() - exact).abs().mean() < 0.003


def test_the_scale_is_that_of_the_heads_width_where_none_is_given(states):
    assert torch.equal(attention(Attends(), *states, None)[0], attention(Attends(), *states, None, 0.25)[0])


@pytest.mark.parametrize("kind", ["single precision", "masked"])
def test_torchs_own_attention_is_used_where_it_is_as_fast_or_must_be(states, kind, monkeypatch):
    monkeypatch.setattr(module, "attend", lambda *states: pytest.fail("in blocks"))
    mask = None
    if kind == "single precision":
        states = [x.float() for x in states]
    else:
        mask = torch.zeros(100, 100, dtype=torch.bfloat16)
    own = attention(Attends().eval(), *states, mask, scaling=0.25)[0]
    assert torch.equal(own, F.scaled_dot_product_attention(*states, attn_mask=mask, scale=0.25).transpose(1, 2))


def test_backbones_attend_in_blocks_under_autocast(tiny_segmenter):
    network = tiny_segmenter()[0].eval()
    config = network.backbone.model.config
    use_blocked_attention(network.backbone.model)
    assert config._attn_implementation == NAME
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        blocks = network.backbone(images)[-1].float()
        config._attn_implementation = "sdpa"
        whole = network.backbone(images)[-1].float()
    assert build_backbone(BackboneOptions()).model.config._attn_implementation == NAME
    assert not torch.equal(blocks, whole) and (blocks - whole).abs().max() < 0.02 * whole.abs().max()
