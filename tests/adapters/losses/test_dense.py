from __future__ import annotations

import math

import pytest
import torch

from adapters.losses.dense import BoundaryDistance, CentreDistance, Foreground, area_weights, masked_l1
from adapters.losses.targets import DenseTargets
from domains.entities import EntityBatch


def batch_of(ids: list[list[int]]) -> EntityBatch:
    tensor = torch.tensor([ids], dtype=torch.int32)
    return EntityBatch(torch.zeros(1, 3, *tensor.shape[1:]), tensor)


def test_foreground_at_zero_logits_by_hand() -> None:
    # two of four labelled pixels are foreground: BCE = ln 2; Dice = 1 - (2 * 2 * 0.5 + 1) / (4 * 0.5 + 2 + 1) = 0.4
    batch = batch_of([[1, 1, 0], [0, -1, -1]])
    loss = Foreground()({"foreground": torch.zeros(1, 1, 2, 3)}, batch)
    assert float(loss) == pytest.approx(math.log(2) + 0.4)


def test_unlabelled_pixels_do_not_count() -> None:
    batch = batch_of([[1, 0, -1]])
    logits = torch.tensor([[[[2.0, -2.0, 9.0]]]])
    other = torch.tensor([[[[2.0, -2.0, -9.0]]]])
    assert torch.equal(Foreground()({"foreground": logits}, batch), Foreground()({"foreground": other}, batch))


def test_distances_are_the_mean_error_over_the_foreground_by_hand() -> None:
    # sigmoid(0) = 0.5 against 1, 0 and an ignored pixel: (0.5 + 0.5) / 2
    truth, mask = torch.tensor([[[1.0, 0.0, 1.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])
    assert float(masked_l1(torch.zeros(1, 1, 1, 3), truth, mask)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("term", "name"), [(BoundaryDistance(), "boundary_distance"), (CentreDistance(), "centre_distance")]
)
def test_true_fields_cost_nothing_and_an_empty_image_neither(term, name: str) -> None:
    ids = [[0] * 9] + [[0, *[1] * 7, 0] for _ in range(7)] + [[0] * 9]
    batch = batch_of(ids)
    truth = getattr(DenseTargets.of(batch.ids), name)
    assert float(term({name: torch.logit(truth, 1e-6)[:, None]}, batch)) < 1e-4
    assert float(term({name: torch.zeros(1, 1, 9, 9)}, batch_of([[0] * 9] * 9))) == 0


def test_an_image_without_entities_pulls_the_foreground_down() -> None:
    batch = batch_of([[0, 0], [0, 0]])
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    Foreground()({"foreground": logits}, batch).backward()
    assert logits.grad is not None and (logits.grad > 0).all()


def test_with_an_area_exponent_a_small_entity_weighs_as_much_per_entity_by_hand() -> None:
    # areas 4 and 1: weights (256 / 4) ** 0.5 = 8 and 10, where it is cut; background 1
    ids = torch.tensor([[[1, 1, 1, 1, 0, 2, -1]]], dtype=torch.int32)
    assert area_weights(ids, 0.5).tolist() == [[[8, 8, 8, 8, 1, 10, 1]]]
    # all logits 0: BCE stays ln 2; Dice over the weights: 1 - (42 + 1) / (43 / 2 + 42 + 1)
    loss = Foreground(area_exponent=0.5)(
        {"foreground": torch.zeros(1, 1, 1, 7)}, EntityBatch(torch.zeros(1, 3, 1, 7), ids)
    )
    assert float(loss) == pytest.approx(math.log(2) + 1 - 43 / 64.5)


def test_with_an_area_exponent_an_image_without_entities_is_background_alone() -> None:
    batch = batch_of([[0, 0], [0, -1]])
    outputs = {"foreground": torch.zeros(1, 1, 2, 2)}
    assert float(Foreground(area_exponent=0.5)(outputs, batch)) == float(Foreground()(outputs, batch))
