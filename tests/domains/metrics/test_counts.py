from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics import MetricSet
from domains.metrics.counts import COUNTS, RATIOS

TRUTH = EntityMap(np.array([[1, 1, 0, 2, 2, 0, 3, 3, 0, 4, 0, 5]]))
FOUND = EntityMap(np.array([[1, 1, 0, 2, 2, 0, 3, 0, 0, 0, 4, 0]]))  # IoU 1, 1, 1/2, none


def test_counts_precision_recall_and_density_are_known() -> None:
    metrics = MetricSet(["f1"])
    metrics.update(FOUND, [TRUTH], group="a", pixel_size_m=1e-3)  # 12 square millimetres
    value = metrics.counts.compute()
    assert [value[key] for key in COUNTS] == [3, 1, 2]
    assert [value[key] for key in RATIOS] == pytest.approx([3 / 4, 3 / 5, 4, 5, 4 / 12, 5 / 12])
    assert metrics.compute()["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))


def test_unlabelled_pixels_and_images_of_unknown_size_are_no_area() -> None:
    metrics = MetricSet([])
    truth = EntityMap(np.array([[1, 0, -1, -1]]))
    metrics.update(EntityMap(np.array([[1, 0, 2, 2]])), [truth], group="a", pixel_size_m=2e-3)
    metrics.update(FOUND, [TRUTH], group="b")
    value = metrics.counts.compute()
    assert value["true_per_mm2"] == pytest.approx(1 / 8) == value["predicted_per_mm2"]
    assert (value["true_positives"], value["false_positives"]) == (4, 1)  # of both images


def test_counts_equal_counting_mask_by_mask_and_average_over_annotators(draw) -> None:
    metrics, right, predicted, true = MetricSet([]), 0, 0, 0
    for seed in range(10):
        prediction, truth = draw(seed)
        metrics.update(prediction, [truth, truth], group=str(seed))
        iou = [[(p & t).sum() / (p | t).sum() for t in truth.masks()] for p in prediction.masks()]
        right += sum(max(row, default=0) >= 0.5 for row in iou)
        predicted, true = predicted + prediction.count, true + truth.count
    value = metrics.counts.compute()
    assert [value[key] for key in COUNTS] == [right, predicted - right, true - right]


def test_intervals_come_from_groups_and_hold_the_value(draw) -> None:
    metrics = MetricSet([])
    for seed in range(12):
        prediction, truth = draw(seed)
        metrics.update(prediction, [truth], group=str(seed // 2), pixel_size_m=1e-3)
    for key, found in metrics.counted(resamples=300).items():
        assert found["low"] < found["value"] < found["high"], key
    once = MetricSet([])
    once.update(FOUND, [TRUTH], group="a")
    assert all(np.isnan(found["low"]) for found in once.counted().values())


def test_nothing_seen_is_undefined() -> None:
    assert all(np.isnan(found["value"]) for found in MetricSet([]).counted().values())
