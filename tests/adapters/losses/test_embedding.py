"""Pull and push of pixel embeddings."""

from __future__ import annotations

import math

import pytest
import torch

from adapters.losses.embedding import Embedding, scatter_mean
from domains.entities import EntityBatch


def batch_of(ids: list[list[list[int]]]) -> EntityBatch:
    maps = torch.tensor(ids, dtype=torch.int32)
    return EntityBatch(torch.zeros(len(maps), 3, *maps.shape[1:]), maps)


def test_two_entities_on_a_line_have_the_loss_worked_out_by_hand() -> None:
    field = torch.tensor([0.0, 2.0, 2.5, 2.5, 99.0, 99.0]).reshape(1, 1, 1, 6)
    found = Embedding()({"embedding": field}, batch_of([[[1, 1, 2, 2, 0, -1]]]))
    # means 1 and 2.5. pull: pixels of the first stray by 1, (1 - .5)^2 = .25, of the second by 0: mean .125
    # push: (2 x 1.5 - 1.5)^2 = 2.25. size: .001 x (1 + 2.5) / 2
    assert found.item() == pytest.approx(0.125 + 2.25 + 0.00175)


def test_entities_of_different_images_do_not_push_each_other() -> None:
    field = torch.ones(2, 3, 1, 4)
    found = Embedding(regularise=0)({"embedding": field}, batch_of([[[1, 1, 0, 0]], [[0, 0, 1, 1]]]))
    assert found == 0


def test_far_and_tight_entities_lose_nothing_but_their_size() -> None:
    field = torch.tensor([-2.0, -2.0, 2.0, 2.0]).reshape(1, 1, 1, 4)
    assert Embedding()({"embedding": field}, batch_of([[[1, 1, 2, 2]]])).item() == pytest.approx(0.002)


def test_the_gradient_is_finite_where_all_pixels_coincide() -> None:
    field = torch.zeros(1, 2, 2, 2, requires_grad=True)
    Embedding()({"embedding": field}, batch_of([[[1, 1], [2, 2]]])).backward()
    assert field.grad is not None and field.grad.isfinite().all()


def test_training_pulls_entities_apart() -> None:
    field = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    batch = batch_of([[[1] * 3 + [2] * 3] * 3 + [[3] * 6] * 3])
    optimiser = torch.optim.Adam([field], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        loss = Embedding()({"embedding": field}, batch)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.01


def test_no_entity_gives_zero_with_a_gradient_and_nan_shows() -> None:
    field = torch.randn(1, 2, 2, 2, requires_grad=True)
    empty = batch_of([[[0, 0], [0, -1]]])
    Embedding()({"embedding": field}, empty).backward()
    assert field.grad is not None and not field.grad.any()
    assert Embedding()({"embedding": torch.full((1, 2, 2, 2), math.nan)}, empty).isnan()


def test_scatter_mean_is_the_mean_of_each_group() -> None:
    values = torch.tensor([[1.0, 10.0], [3.0, 20.0], [7.0, 30.0]])
    assert scatter_mean(values, torch.tensor([1, 1, 0]), 3).tolist() == [[7, 30], [2, 15], [0, 0]]
