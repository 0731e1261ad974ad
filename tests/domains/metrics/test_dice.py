from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from domains.entities import EntityMap
from domains.metrics.dice import ForegroundDice


def test_half_found_foreground_is_known() -> None:
    metric = ForegroundDice()
    metric.update(EntityMap(np.array([[1, 0, 0, 2]])), [EntityMap(np.array([[1, 1, 0, 0]]))])
    assert metric.compute() == pytest.approx(2 * 1 / 4)


def test_it_equals_scikit_learn_averaged_over_images(draw) -> None:
    metric, expected = ForegroundDice(), []
    for seed in range(10):
        prediction, truth = draw(seed)
        metric.update(prediction, [truth])
        expected.append(f1_score(truth.foreground.ravel(), prediction.foreground.ravel()))
    assert metric.compute() == pytest.approx(np.mean(expected), abs=1e-12)
