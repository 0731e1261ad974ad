from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from domains.entities import EntityMap
from domains.metrics.aggregated_jaccard import AggregatedJaccard, AggregatedJaccardPlus


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


def test_of_a_merged_pair_only_one_is_served_by_aji_plus() -> None:
    truth = EntityMap(np.array([[1, 1, 2, 0, 3, 3, 0, 0]]))
    prediction = EntityMap(np.array([[1, 1, 1, 0, 0, 0, 0, 2]]))
    metric = AggregatedJaccardPlus()
    metric.update(prediction, [truth])
    assert metric.compute() == pytest.approx(2 / (3 + 1 + 2 + 1))  # the pair, then truths 2 and 3, then prediction 2


def test_aji_plus_gives_up_the_best_pair_where_two_others_are_worth_more() -> None:
    truth = EntityMap(np.array([[1] * 8 + [2] * 6 + [0] * 3]))
    prediction = EntityMap(np.array([[1] * 5 + [2] * 12]))  # IoU 5/8 with 1; 2 has 3/17 with 1 and 6/12 with 2
    metric = AggregatedJaccardPlus()
    metric.update(prediction, [truth])
    assert metric.compute() == pytest.approx((5 + 6) / (8 + 12))
    crossed = EntityMap(np.array([[1] * 10 + [2] * 4])), EntityMap(np.array([[1] * 3 + [2] * 6 + [3] * 5]))
    metric = AggregatedJaccardPlus()  # 1-1 3/10, 1-2 6/10, 1-3 1/14, 2-3 4/5: the pairs 1-2 and 2-3
    metric.update(*(crossed[0], [crossed[1]]))
    assert metric.compute() == pytest.approx((6 + 4) / (10 + 5 + 3))


def test_aji_plus_equals_one_assignment_over_all_masks(draw) -> None:
    metric, expected = AggregatedJaccardPlus(), []
    for seed in range(20):
        prediction, truth = draw(seed)
        metric.update(prediction, [truth])
        predicted, true = prediction.masks().reshape(prediction.count, -1), truth.masks().reshape(truth.count, -1)
        shared = predicted.astype(int) @ true.T.astype(int)
        union = predicted.sum(1)[:, None] + true.sum(1) - shared
        rows, columns = linear_sum_assignment(shared / union, maximize=True)
        pairs = [(i, j) for i, j in zip(rows, columns, strict=True) if shared[i, j]]
        over = sum(shared[pair] for pair in pairs)
        under = sum(union[pair] for pair in pairs)
        under += sum(predicted[i].sum() for i in range(len(predicted)) if i not in {i for i, _ in pairs})
        under += sum(true[j].sum() for j in range(len(true)) if j not in {j for _, j in pairs})
        expected.append(over / under)
    assert metric.compute() == pytest.approx(np.mean(expected), abs=1e-12)
