from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics.panoptic_quality import PanopticQuality


def test_one_match_one_half_and_one_spurious_are_known() -> None:
    truth = EntityMap(np.array([[1, 1, 1, 0, 2, 2, 0, 0]]))
    prediction = EntityMap(np.array([[1, 1, 0, 0, 2, 0, 0, 3]]))  # IoU 2/3; exactly 1/2 is no match; spurious
    metric = PanopticQuality()
    metric.update(prediction, [truth])
    assert metric.compute() == pytest.approx((2 / 3) / (1 + 2 / 2 + 1 / 2))


def test_it_equals_the_definition_mask_by_mask(draw) -> None:
    metric = PanopticQuality()
    total, right, wrong, missed = 0.0, 0, 0, 0
    for seed in range(20):
        prediction, truth = draw(seed)
        metric.update(prediction, [truth])
        ious = [(p & t).sum() / (p | t).sum() for p in prediction.masks() for t in truth.masks()]
        matched = [iou for iou in ious if iou > 0.5]
        total += sum(matched)
        right += len(matched)
        wrong += prediction.count - len(matched)
        missed += truth.count - len(matched)
    assert metric.compute() == pytest.approx(total / (right + wrong / 2 + missed / 2), abs=1e-12)
