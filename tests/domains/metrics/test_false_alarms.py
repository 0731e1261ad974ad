from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from domains.entities import EntityMap
from domains.metrics.false_alarms import BestImageF1, FalseAlarms, ImageF1

NOTHING = np.zeros((4, 4), np.int32)
SOMETHING = np.pad(np.ones((2, 2), np.int32), 1)
TWO = np.array([[1, 0, 0, 2]] * 4, np.int32)


def test_false_alarms_are_counted_per_good_image() -> None:
    metric = FalseAlarms()
    for found in (TWO, NOTHING, SOMETHING):
        metric.update(EntityMap(found), [EntityMap(NOTHING)])
    metric.update(EntityMap(TWO), [EntityMap(SOMETHING)])  # no good image: what is found there counts elsewhere
    assert metric.compute() == pytest.approx(3 / 3)
    np.testing.assert_allclose(metric.resample(np.array([[1, 0, 0, 1], [1, 1, 0, 5.0]])), [2, 1])


def test_false_alarms_are_undefined_without_a_good_image() -> None:
    metric = FalseAlarms()
    metric.update(EntityMap(TWO), [EntityMap(NOTHING), EntityMap(SOMETHING)])  # one annotator saw a defect
    assert np.isnan(metric.compute()) and FalseAlarms.best == 0


def fill(metrics: list, scores: np.ndarray, defects: np.ndarray) -> None:
    for score, defect in zip(scores, defects, strict=True):
        found = EntityMap(SOMETHING, np.array([score], np.float32)) if score else EntityMap(NOTHING)
        for metric in metrics:
            metric.update(found, [EntityMap(SOMETHING if defect else NOTHING)])


@pytest.mark.parametrize("seed", range(3))
def test_image_f1_equals_scikit_learn_under_any_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, defects = rng.integers(0, 8, 40) / 8, rng.random(40) < 0.4  # with ties; 0 where nothing is found
    called, best = ImageF1(), BestImageF1()
    fill([called, best], scores, defects)
    assert called.compute() == pytest.approx(f1_score(defects, scores > 0))
    precision, recall, _ = precision_recall_curve(defects, scores)
    assert best.compute() == pytest.approx(np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-9)))
    weights = rng.integers(0, 4, (4, 40)).astype(float)
    wanted = [f1_score(defects, scores > 0, sample_weight=weight) for weight in weights]
    np.testing.assert_allclose(called.resample(weights), wanted)
    for weight, value in zip(weights, best.resample(weights), strict=True):
        thresholds = np.unique(scores)
        assert value == pytest.approx(max(f1_score(defects, scores >= t, sample_weight=weight) for t in thresholds))


def test_image_f1_by_hand_and_where_it_is_undefined() -> None:
    called, best = ImageF1(), BestImageF1()
    fill([called, best], np.array([0.9, 0.2, 0, 0.3]), np.array([True, True, True, False]))
    assert called.compute() == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert best.compute() == pytest.approx(2 * 3 / (3 + 4))  # all called defective
    called, best = ImageF1(), BestImageF1()
    fill([called, best], np.zeros(3), np.zeros(3, bool))
    assert np.isnan([called.compute(), best.compute(), ImageF1().compute(), BestImageF1().compute()]).all()
