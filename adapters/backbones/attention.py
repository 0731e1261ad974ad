"""Attention on a processor in bf16, whose blocks of scores stay in the cache.

torch's own `scaled_dot_product_attention` computes its scores in single precision there, which takes 1.3 to 1.9 times
as long on a processor with AVX512 bf16 instructions (`python benchmarks/speed.py`). Scores, softmax and their sums here
are those of attention as it was written (Vaswani et al., https://arxiv.org/abs/1706.03762), rounded to bf16 in between.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from adapters.backbones.learning_attention import attend

NAME = "entity_adapters"


def use_blocked_attention(model: PreTrainedModel) -> None:
    """A model of transformers whose attention can be chosen attends by `attention` from here on."""
    if model.config._attn_implementation == "sdpa":
        model.config._attn_implementation = NAME


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """(B, n, heads, d) of query, key and value (B, heads, n, d), as transformers asks for it; in blocks where that is
    faster, else as torch does it.
    """
    on_processor = query.device.type == "cpu" and query.dtype == torch.bfloat16
    plain = attention_mask is None and query.shape == key.shape and not getattr(module, "is_causal", True)
    if not on_processor or not plain:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    scaled = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    heads = [states.flatten(0, 1) for states in (scaled, key, value)]  # (B heads, n, d)
    return attend(*heads).unflatten(0, query.shape[:2]).transpose(1, 2), None


AttentionInterface.register(NAME, attention)
