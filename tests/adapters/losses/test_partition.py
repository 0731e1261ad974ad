"""The partition term: claims of 1 on entities, at most 1 elsewhere."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adapters.losses.partition import Partition
from domains.entities import EntityBatch

SURE = 60.0
BATCH = EntityBatch(torch.zeros(1, 3, 1, 4), torch.tensor([[[1, 1, 0, -1]]], dtype=torch.int32))
OBJECTS = torch.tensor([[0.0, math.log(3)]])  # objectness 1/2 and 3/4


def value(masks: Tensor, objects: Tensor = OBJECTS, batch: EntityBatch = BATCH) -> float:
    return Partition()({"mask_logits": masks, "object_logits": objects}, batch).item()


def test_a_gap_on_an_entity_counts() -> None:
    # scores 1/2 everywhere: claims (1/2 + 3/4) / 2 = 5/8 on both entity pixels
    assert value(torch.zeros(1, 2, 1, 4)) == pytest.approx(3 / 8)


def test_an_overlap_on_any_labelled_pixel_counts() -> None:
    # scores 1 everywhere: claims 5/4 on three labelled pixels
    assert value(torch.full((1, 2, 1, 4), SURE)) == pytest.approx(1 / 4)


def test_gaps_and_overlaps_add_up() -> None:
    # second query on the first and the last pixel only: claims 5/4, 1/2, 1/2, 5/4
    # gaps (0 + 1/2) / 2 on entity pixels, overlaps (1/4 + 0 + 0) / 3 on labelled pixels
    masks = torch.full((1, 2, 1, 4), SURE)
    masks[0, 1, 0, 1:3] = -SURE
    assert value(masks) == pytest.approx(1 / 4 + 1 / 12)


def test_masks_that_share_the_image_exactly_lose_nothing() -> None:
    masks = torch.tensor([[SURE, -SURE, -SURE, SURE], [-SURE, SURE, -SURE, SURE]]).reshape(1, 2, 1, 4)
    assert value(masks, torch.full((1, 2), SURE)) == pytest.approx(0, abs=1e-6)


def test_coarse_masks_are_compared_by_the_share_of_each_cell() -> None:
    ids = torch.tensor([[[1, 1, 1, 0], [1, 1, 0, 0]]], dtype=torch.int32)
    batch = EntityBatch(torch.zeros(1, 3, 2, 4), ids)
    # cells of 2 x 2: entity shares 1 and 1/4; claims 1/2 and 0: gaps (1 x 1/2 + 1/4 x 1) / (5/4)
    masks = torch.tensor([0.0, -SURE]).reshape(1, 1, 1, 2)
    assert value(masks, torch.full((1, 1), SURE), batch) == pytest.approx(0.6)


def test_the_gradient_closes_gaps_and_nan_shows() -> None:
    masks = torch.zeros(1, 2, 1, 4, requires_grad=True)
    Partition()({"mask_logits": masks, "object_logits": OBJECTS}, BATCH).backward()
    assert masks.grad is not None
    assert (masks.grad[..., :2] < 0).all() and (masks.grad[..., 2:] == 0).all()
    assert math.isnan(value(torch.full((1, 2, 1, 4), math.nan)))
