from __future__ import annotations

import cv2
import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics import MetricSet
from domains.metrics.boundary_iou import boundary, matched_boundary_iou
from domains.metrics.matching import compare


def mask_to_boundary(mask: np.ndarray, dilation_ratio: float = 0.02) -> np.ndarray:
    """The definition of the paper's section 3, by repeated erosion of the padded mask."""
    height, width = mask.shape
    dilation = max(1, int(round(dilation_ratio * np.sqrt(height**2 + width**2))))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=dilation)[1:-1, 1:-1]
    return mask.astype(np.uint8) - eroded > 0


@pytest.mark.parametrize("seed", range(5))
def test_matched_pairs_have_the_boundary_iou_of_their_whole_masks(draw, seed):
    prediction, truth = draw(seed, entities=8, side=120)
    comparison = compare(prediction, truth)
    found = matched_boundary_iou(comparison)
    assert len(found) > 0
    for pair, value in zip(comparison.matches, found, strict=True):
        one = mask_to_boundary(comparison.predicted == comparison.pair_predicted[pair] + 1)
        other = mask_to_boundary(comparison.true == comparison.pair_true[pair] + 1)
        assert value == pytest.approx((one & other).sum() / (one | other).sum())


def test_a_shift_costs_a_large_entity_more_of_its_boundary_than_of_its_area():
    truth, prediction = np.zeros((200, 200), np.int32), np.zeros((200, 200), np.int32)
    truth[20:180, 20:180], prediction[20:180, 24:184] = 1, 1
    metrics = MetricSet(["iou", "boundary_iou", "ap50", "boundary_ap"])
    metrics.update(EntityMap(prediction, np.ones(1, np.float32)), [EntityMap(truth)], "a")
    values = metrics.compute()
    assert values["iou"] == pytest.approx(156 / 164)
    one, other = mask_to_boundary(prediction > 0), mask_to_boundary(truth > 0)
    assert values["boundary_iou"] == pytest.approx((one & other).sum() / (one | other).sum()) and one.sum() == 3696
    assert values["boundary_iou"] < 0.7 and values["boundary_ap"] < values["ap50"]


def test_the_frame_of_the_image_is_outline():
    mask = np.ones((20, 20), bool)
    assert boundary(mask, 2).sum() == 400 - 16 * 16


def test_what_is_drawn_alike_has_one_and_what_is_not_found_has_none():
    truth = EntityMap(np.kron([[1, 0], [0, 2]], np.ones((9, 9), int)))
    metrics = MetricSet(["boundary_iou", "boundary_ap"])
    metrics.update(EntityMap(truth.ids, np.ones(2, np.float32)), [truth], "a")
    assert metrics.compute() == {"boundary_iou": 1, "boundary_ap": pytest.approx(1)}
    missed = MetricSet(["boundary_iou", "boundary_ap"])
    missed.update(EntityMap(np.zeros((18, 18), int), np.zeros(0, np.float32)), [truth], "a")
    assert np.isnan(missed.compute()["boundary_iou"]) and missed.compute()["boundary_ap"] == 0
