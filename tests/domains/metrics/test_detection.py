from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics.detection import F1, THRESHOLDS, SegmentationAccuracy


def counts(prediction: EntityMap, truth: EntityMap, threshold: float) -> tuple[int, int, int]:
    """(TP, FP, FN) by comparing every mask with every mask."""
    used: set[int] = set()
    for p in prediction.masks():
        for j, t in enumerate(truth.masks()):
            if j not in used and (p & t).sum() / (p | t).sum() >= threshold:
                used.add(j)
                break
    right = len(used)
    return right, prediction.count - right, truth.count - right


def test_f1_and_sa_of_three_right_one_wrong_and_two_missed_are_known() -> None:
    truth = EntityMap(np.array([[1, 1, 0, 2, 2, 0, 3, 3, 0, 4, 0, 5]]))
    prediction = EntityMap(np.array([[1, 1, 0, 2, 2, 0, 3, 0, 0, 0, 4, 0]]))  # IoU 1, 1, 1/2, none
    f1, sa = F1(), SegmentationAccuracy()
    f1.update(prediction, [truth])
    sa.update(prediction, [truth])
    assert f1.compute() == pytest.approx(2 * 3 / (4 + 5))
    assert sa.compute() == pytest.approx((3 / 6 + 9 * 2 / 7) / 10)  # at .5: 3 of 6; above: 2 of 7


def test_f1_and_sa_equal_counting_mask_by_mask(draw) -> None:
    f1, sa = F1(), SegmentationAccuracy()
    totals, accuracies = np.zeros(3), []
    for seed in range(20):
        prediction, truth = draw(seed)
        f1.update(prediction, [truth])
        sa.update(prediction, [truth])
        totals += counts(prediction, truth, 0.5)
        accuracies.append(np.mean([c[0] / sum(c) for c in (counts(prediction, truth, t) for t in THRESHOLDS)]))
    assert f1.compute() == pytest.approx(2 * totals[0] / (2 * totals[0] + totals[1] + totals[2]), abs=1e-12)
    assert sa.compute() == pytest.approx(np.mean(accuracies), abs=1e-12)


def test_f1_pools_counts_while_sa_averages_images() -> None:
    good = EntityMap(np.arange(1, 10).reshape(3, 3))
    bad = EntityMap(np.array([[1, 0, 0]] * 3)), EntityMap(np.array([[0, 0, 1]] * 3))
    f1, sa = F1(), SegmentationAccuracy()
    for metric in (f1, sa):
        metric.update(good, [good])
        metric.update(bad[0], [bad[1]])
    assert f1.compute() == pytest.approx(18 / 20)
    assert sa.compute() == pytest.approx(1 / 2)


def test_counts_average_over_annotators() -> None:
    prediction = EntityMap(np.array([[1, 0, 2]]))
    f1 = F1()
    f1.update(prediction, [prediction, EntityMap(np.array([[1, 0, 0]]))])
    assert f1.compute() == pytest.approx((4 + 2) / (4 + 3))
