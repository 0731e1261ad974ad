"""The boundary term and its target."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from adapters.losses.boundary import Boundary, boundary_target, nested_target
from adapters.losses.targets import inner_rim
from domains.entities import EntityBatch


def batch_of(ids: list[list[list[int]]]) -> EntityBatch:
    maps = torch.tensor(ids, dtype=torch.int32)
    return EntityBatch(torch.zeros(len(maps), 3, *maps.shape[1:]), maps)


def test_the_rim_lies_inside_the_entity_and_not_at_the_frame() -> None:
    target, valid = boundary_target(torch.tensor([[[1, 1, 1, 0], [1, 1, 2, 2]]], dtype=torch.int32))
    assert target.tolist() == [[[0, 0, 1, 0], [0, 1, 1, 1]]]
    assert valid.all()


def test_pixels_that_only_an_unlabelled_neighbour_could_tell_take_no_part() -> None:
    target, valid = boundary_target(torch.tensor([[[1, 1, -1, 0], [1, 1, 0, 0]]], dtype=torch.int32))
    assert target.tolist() == [[[0, 0, 0, 0], [0, 1, 0, 0]]]
    assert valid.tolist() == [[[1, 0, 0, 1], [1, 1, 1, 1]]]


def test_the_target_is_the_rim_from_which_distances_are_measured() -> None:
    ids = np.random.default_rng(0).integers(-1, 3, (4, 9, 11)).astype(np.int32)
    target, _ = boundary_target(torch.from_numpy(ids))
    assert (target.bool().numpy() == np.stack([inner_rim(one) for one in ids])).all()


def test_known_logits_have_the_loss_worked_out_by_hand() -> None:
    logits = torch.tensor([0.0, 0.0, math.log(3), 0.0]).reshape(1, 1, 1, 4)
    found = Boundary()({"boundary": logits}, batch_of([[[1, 1, 1, 0]]]))
    # rim, one pixel of score 3/4: ln 4/3; others, three of score 1/2: ln 2
    assert found.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_a_perfect_prediction_loses_nothing_and_its_reverse_much() -> None:
    batch = batch_of([[[1, 1, 1, 0], [1, 1, 2, 2]]])
    perfect = (boundary_target(batch.ids)[0][:, None] * 2 - 1) * 30
    assert Boundary()({"boundary": perfect}, batch).item() == pytest.approx(0, abs=1e-6)
    assert Boundary()({"boundary": -perfect}, batch).item() == pytest.approx(30)


def test_unlabelled_pixels_get_no_gradient() -> None:
    batch = batch_of([[[1, 1, -1, 0]]])
    logits = torch.zeros(1, 1, 1, 4, requires_grad=True)
    Boundary()({"boundary": logits}, batch).backward()
    assert logits.grad is not None
    assert (logits.grad[0, 0, 0] != 0).tolist() == [True, False, False, True]


def test_nothing_labelled_loses_nothing_and_nan_shows() -> None:
    assert Boundary()({"boundary": torch.randn(1, 1, 2, 2)}, batch_of([[[-1, -1], [-1, -1]]])) == 0
    assert Boundary()({"boundary": torch.full((1, 1, 1, 2), math.nan)}, batch_of([[[0, 1]]])).isnan()


def test_rims_of_a_nested_truth_are_as_strong_as_what_they_part_is_coarse() -> None:
    ids = torch.tensor([[[0, 1, 1, 2, 2, 3, 3, 4, -1]]])  # 2 lies in 1, 3 in 2, and 4 is a whole
    target, valid = nested_target(ids, torch.tensor([[0, 1, 2, 0]]))
    assert (3 * target).tolist() == [[[0, 3, 2, 2, 1, 1, 3, 3, 0]]]
    assert valid.tolist() == boundary_target(ids)[1].tolist()
    flat = torch.tensor([[[1, 1, 2, 0]]])
    assert torch.equal(nested_target(flat, torch.zeros(1, 2))[0], boundary_target(flat)[0])
