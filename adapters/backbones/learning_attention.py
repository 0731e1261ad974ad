"""Attention with a gradient of its own, whose blocks of scores stay in a processor's cache both ways.

torch's own with a bias that learns is worked out in single precision on a processor, all scores of a layer at once, and
they are kept for the backward pass. Here nothing is kept but queries, keys and values: scores are worked out again, as
in FlashAttention (Dao et al., https://arxiv.org/abs/2205.14135), in the precision of the queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

IN_CACHE = 2**18
"""Scores of several heads at once: half a MiB in bf16, which the second cache of a core holds."""
OF_A_HEAD = 2**20
"""Scores of one head at once, where it has more than `IN_CACHE`: in fewer blocks products are larger, and gradients are
summed over fewer of them. Measured at 1,025 to 4,096 tokens."""


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query keyᵀ) value, (N, n, d), of query and key (N, n, e) and value (N, n, d)."""
    return Attention.apply(query, key, value)  # type: ignore[no-any-return]


class Attention(torch.autograd.Function):
    """`attend`, and its gradients of query, key and value."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(N, n, d): the values mixed."""
        ctx.save_for_backward(query, key, value)
        mixed = torch.empty_like(value)
        for heads, rows in blocks(query):
            scores = torch.bmm(query[heads, rows], key[heads].transpose(1, 2)).softmax(-1)
            mixed[heads, rows] = torch.bmm(scores.to(value.dtype), value[heads])
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients; those of keys and values are summed over rows in single precision or the inputs' double."""
        query, key, value = ctx.saved_tensors
        exact = torch.promote_types(query.dtype, torch.float32)
        of_query = torch.empty_like(query)
        of_key, of_value = (torch.zeros_like(states, dtype=exact) for states in (key, value))
        for heads, rows in blocks(query):
            queries, gradients = query[heads, rows], gradient[heads, rows]
            scores = torch.bmm(queries, key[heads].transpose(1, 2)).softmax(-1).to(query.dtype)  # (heads, rows, n)
            of_value[heads] += torch.bmm(scores.transpose(1, 2), gradients)
            of_scores = torch.bmm(gradients, value[heads].transpose(1, 2))
            of_logits = torch.ops.aten._softmax_backward_data(of_scores, scores, -1, query.dtype)
            of_query[heads, rows] = torch.bmm(of_logits, key[heads])
            of_key[heads] += torch.bmm(of_logits.transpose(1, 2), queries)
        return of_query, of_key.to(key.dtype), of_value.to(value.dtype)


def blocks(query: Tensor) -> Iterator[tuple[slice, slice]]:
    """Heads and rows of query (N, n, e) whose scores fit into the cache: some heads, or some rows of one."""
    count, length, _ = query.shape
    at_once = max(1, IN_CACHE // length**2)
    rows = min(length, max(64, OF_A_HEAD // length // 16 * 16))
    for head in range(0, count, at_once):
        for row in range(0, length, rows):
            yield slice(head, head + at_once), slice(row, row + rows)
