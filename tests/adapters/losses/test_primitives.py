"""Primitives of the losses, at values worked out by hand and against torch's own enlargement."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from adapters.losses.primitives import (
    FlatEntities,
    dice_loss,
    draw_points,
    logits_at,
    mask_bce,
    most_uncertain,
    places_of,
    share_of_cells,
)

IDS = torch.tensor(
    [
        [[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, -1, -1], [2, 0, -1, -1]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]],
    ],
    dtype=torch.int32,
)


def test_dice_of_an_even_guess_is_known() -> None:
    # scores .5 .5 .5 .5, truth 1 1 0 0: 1 - (2 x 1 + 1) / (2 + 2 + 1) = 0.4
    assert dice_loss(torch.zeros(1, 4), torch.tensor([[1.0, 1, 0, 0]])).item() == pytest.approx(0.4)


def test_cross_entropy_of_known_scores_is_known() -> None:
    # scores 3/4 and 1/2, truth 1 and 0: (-ln 3/4 - ln 1/2) / 2
    logits = torch.tensor([[math.log(3), 0.0]])
    wanted = (math.log(4 / 3) + math.log(2)) / 2
    assert mask_bce(logits, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(wanted)


def test_entities_of_a_batch_stand_in_one_row_with_their_boxes() -> None:
    entities = FlatEntities.of(IDS)
    assert entities.image.tolist() == [0, 0, 1]
    assert entities.starts.tolist() == [0, 2, 3]
    assert entities.boxes().tolist() == [[0, 1, 2, 4], [3, 0, 4, 1], [3, 3, 4, 4]]


def test_coverage_is_the_share_of_each_cell() -> None:
    coverage = FlatEntities.of(IDS).coverage(2, (2, 2))
    assert coverage.tolist() == [[0.5, 1, 0, 0], [0, 0, 0.25, 0], [0, 0, 0, 0.25]]
    assert share_of_cells(IDS >= 0, 2).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_a_batch_without_entities_has_an_empty_row() -> None:
    entities = FlatEntities.of(torch.zeros(2, 4, 4, dtype=torch.int32))
    assert len(entities) == 0
    assert entities.boxes().shape == (0, 4)
    assert entities.coverage(2, (2, 2)).shape == (0, 4)


def test_points_are_never_drawn_where_nothing_is_labelled() -> None:
    entities = FlatEntities.of(IDS)
    points = draw_points(IDS, entities.image, entities.boxes(), 400)
    assert points.shape == (3, 400)
    for image, drawn in zip(entities.image.tolist(), points, strict=True):
        assert (IDS[image].flatten()[drawn] >= 0).all()
        assert set(drawn.tolist()) == set((IDS[image].flatten() >= 0).nonzero()[:, 0].tolist())  # and all else is


def test_an_entity_of_four_pixels_in_a_large_image_is_met_by_points() -> None:
    ids = torch.zeros(1, 256, 256, dtype=torch.int32)
    ids[0, 100:102, 200:202] = 1
    entities = FlatEntities.of(ids)
    points = draw_points(ids, entities.image, entities.boxes(), 400)
    # 200 points fall in the 6 x 6 pixels around: 200 x 4 / 36 = 22 expected, 5 is four deviations below
    assert (ids.flatten()[points] == 1).sum() > 5


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_logits_at_pixels_are_those_of_the_enlarged_mask(stride: int) -> None:
    maps = torch.randn(3, 5, 7)
    enlarged = F.interpolate(maps[:, None], scale_factor=stride, mode="bilinear").flatten(1)
    pixels = torch.randint(enlarged.shape[1], (3, 50))
    found = logits_at(maps, places_of(pixels, 7 * stride, stride, maps.shape))
    torch.testing.assert_close(found, enlarged.gather(1, pixels), atol=1e-5, rtol=0)


def test_the_most_uncertain_logits_are_nearest_to_zero() -> None:
    found = most_uncertain(torch.tensor([[4.0, -0.5, 1.0, -3.0]]), 2)
    assert sorted(found[0].tolist()) == [1, 2]
