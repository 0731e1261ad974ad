from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from domains.entities import EntityMap
from domains.metrics.foreground_iou import ForegroundIoU


def test_false_foreground_on_a_defect_free_image_lowers_the_pooled_value() -> None:
    metric = ForegroundIoU()
    metric.update(EntityMap(np.array([[1, 1, 0, 0]])), [EntityMap(np.array([[1, 1, 1, 0]]))])
    assert metric.compute() == pytest.approx(2 / 3)
    metric.update(EntityMap(np.array([[0, 0, 0, 1]])), [EntityMap(np.zeros((1, 4)))])
    assert metric.compute() == pytest.approx(2 / 4)


def test_it_equals_scikit_learn_on_all_labelled_pixels_together(draw) -> None:
    metric, predicted, true = ForegroundIoU(), [], []
    for seed in range(10):
        prediction, truth = draw(seed)
        truth.ids[:8, :8] = -1
        prediction.ids[:8] = 0  # nothing straddles, so cutting and dropping do nothing here
        metric.update(prediction, [truth])
        predicted.append(prediction.foreground[truth.labelled])
        true.append(truth.foreground[truth.labelled])
    assert metric.compute() == pytest.approx(jaccard_score(np.concatenate(true), np.concatenate(predicted)), abs=1e-12)
