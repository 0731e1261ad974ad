from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics.aggregated_jaccard import AggregatedJaccard


def algorithm_one(prediction: EntityMap, truth: EntityMap) -> float:
    """Kumar et al. 2017, algorithm 1, line by line."""
    intersection = union = 0
    used: set[int] = set()
    predicted = prediction.masks()
    for t in truth.masks():
        ious = [(p & t).sum() / (p | t).sum() for p in predicted]
        if max(ious, default=0) == 0:
            union += t.sum()
            continue
        j = int(np.argmax(ious))
        intersection += (predicted[j] & t).sum()
        union += (predicted[j] | t).sum()
        used.add(j)
    union += sum(p.sum() for j, p in enumerate(predicted) if j not in used)
    return intersection / union


def test_a_merged_pair_a_missed_entity_and_a_spurious_one_are_known() -> None:
    truth = EntityMap(np.array([[1, 1, 2, 0, 3, 3, 0, 0]]))
    prediction = EntityMap(np.array([[1, 1, 1, 0, 0, 0, 0, 2]]))
    metric = AggregatedJaccard()
    metric.update(prediction, [truth])
    assert metric.compute() == pytest.approx((2 + 1) / (3 + 3 + 2 + 1))  # prediction 1 serves truths 1 and 2


def test_it_equals_the_paper_s_algorithm_averaged_over_images(draw) -> None:
    metric, expected = AggregatedJaccard(), []
    for seed in range(20):
        prediction, truth = draw(seed)
        metric.update(prediction, [truth])
        in_reading_order = EntityMap.from_ids(first_pixel_ids(prediction.ids))  # decides ties
        expected.append(algorithm_one(in_reading_order, truth))
    assert metric.compute() == pytest.approx(np.mean(expected), abs=1e-12)


def first_pixel_ids(ids: np.ndarray) -> np.ndarray:
    result = np.zeros_like(ids)
    for i in np.unique(ids[ids > 0]):
        result[ids == i] = 1 + np.flatnonzero(ids.ravel() == i)[0]
    return result
