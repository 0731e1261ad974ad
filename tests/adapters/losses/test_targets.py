from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from adapters.losses.targets import CAP_PX, DenseTargets, depth_inside, inner_rim


def test_the_inner_rim_is_entity_pixels_next_to_another_or_to_nothing() -> None:
    ids = np.array([[1, 1, 2, 0], [1, 1, 2, 0], [-1, 1, 2, 2]])
    rim = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 1]], bool)
    assert np.array_equal(inner_rim(ids), rim)  # unlabelled pixels and the frame are no boundary


def test_depth_equals_a_distance_transform_of_each_entity_alone() -> None:
    y, x = np.mgrid[:40, :50]
    ids = np.zeros((40, 50), np.int32)
    for number, (cy, cx, r) in enumerate([(12, 12, 9), (12, 26, 8), (29, 33, 8)], start=1):
        ids[((y - cy) ** 2 + (x - cx) ** 2 < r * r) & (ids == 0)] = number
    alone = sum(ndimage.distance_transform_edt(ids == number) for number in (1, 2, 3))
    assert np.abs(depth_inside(ids) - alone).max() < 0.8  # to a rim pixel's centre plus one, or to a pixel outside


def test_an_entity_that_fills_the_crop_has_no_boundary_and_is_all_core() -> None:
    targets = DenseTargets.of(torch.ones(1, 8, 8, dtype=torch.int32))
    assert targets.boundary_distance.eq(1).all()


def test_fields_of_a_square_by_hand() -> None:
    ids = torch.zeros(1, 7, 7, dtype=torch.int32)
    ids[0, 1:6, 1:6] = 1
    targets = DenseTargets.of(ids)
    row = targets.boundary_distance[0, 3]
    assert torch.allclose(row, torch.tensor([0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0]))
    centre = targets.centre_distance[0]
    assert centre[3, 3] == 0
    assert torch.isclose(centre[1, 1], torch.tensor(1.0))
    assert torch.isclose(centre[3, 5], torch.tensor(2 / 8**0.5))
    assert targets.foreground.sum() == 25 and targets.labelled.all()


def test_deep_entities_have_their_slope_next_to_the_boundary() -> None:
    ids = torch.zeros(1, 90, 90, dtype=torch.int32)
    ids[0, 5:85, 5:85] = 1
    row = DenseTargets.of(ids).boundary_distance[0, 45]
    assert torch.isclose(row[5], torch.tensor(1 / CAP_PX))
    assert row[5 + int(CAP_PX) : 45].eq(1).all()


def test_no_entity_and_no_label_give_zero_fields() -> None:
    ids = torch.zeros(2, 6, 6, dtype=torch.int32)
    ids[1] = -1
    targets = DenseTargets.of(ids)
    assert targets.labelled[0].all() and not targets.labelled[1].any()
    assert not targets.foreground.any() and not targets.boundary_distance.any() and not targets.centre_distance.any()
