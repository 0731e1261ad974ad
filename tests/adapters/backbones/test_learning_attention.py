"""Attention in blocks: what it gives and its gradient are those of the formula, however many blocks there are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adapters.backbones import learning_attention
from adapters.backbones.learning_attention import attend


def states(length: int, dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(5, length, width, dtype=dtype, requires_grad=True) for width in (12, 12, 7)]


def use_blocks_of(monkeypatch: pytest.MonkeyPatch, scores: int) -> None:
    for limit in ("IN_CACHE", "OF_A_HEAD"):
        monkeypatch.setattr(learning_attention, limit, scores)


def test_the_gradient_is_that_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    use_blocks_of(monkeypatch, 80)
    assert torch.autograd.gradcheck(attend, states(6, torch.float64))


@pytest.mark.parametrize("in_cache", [2**10, 2**13, 2**18])
def test_any_number_of_blocks_gives_the_same(monkeypatch: pytest.MonkeyPatch, in_cache: int) -> None:
    use_blocks_of(monkeypatch, in_cache)
    query, key, value = states(100, torch.float32)
    plain = (query @ key.transpose(1, 2)).softmax(-1) @ value
    weights = torch.randn(plain.shape)
    expected = torch.autograd.grad((plain * weights).sum(), [query, key, value])
    mixed = attend(query, key, value)
    torch.testing.assert_close(mixed, plain, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad((mixed * weights).sum(), [query, key, value])
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)
