from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from domains.entities import EntityMap
from domains.errors import InputError
from domains.metrics.matching import compare, compare_all

unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
small_maps = arrays(np.int32, (6, 6), elements=st.integers(-1, 5))


def dense_iou(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(P, T) from the definition, one pair of masks at a time."""
    return np.array(
        [
            [((predicted == p) & (true == t)).sum() / ((predicted == p) | (true == t)).sum() for t in labels(true)]
            for p in labels(predicted)
        ]
    ).reshape(len(labels(predicted)), len(labels(true)))


def labels(ids: np.ndarray) -> range:
    return range(1, int(ids.max(initial=0)) + 1)


@given(small_maps, small_maps)
@unhurried
def test_sparse_iou_equals_masks_compared_one_by_one(predicted: np.ndarray, true: np.ndarray) -> None:
    comparison = compare(EntityMap.from_ids(predicted), EntityMap.from_ids(true))
    dense = np.zeros((len(comparison.predicted_areas), len(comparison.true_areas)))
    dense[comparison.pair_predicted, comparison.pair_true] = comparison.iou
    np.testing.assert_array_equal(dense, dense_iou(comparison.predicted, comparison.true))


@given(small_maps, small_maps, st.sampled_from([0.5, 0.55, 0.75]))
@unhurried
def test_matching_finds_as_many_pairs_as_an_optimal_assignment(
    predicted: np.ndarray, true: np.ndarray, threshold: float
) -> None:
    comparison = compare(EntityMap.from_ids(predicted), EntityMap.from_ids(true))
    good = dense_iou(comparison.predicted, comparison.true) >= threshold
    rows, columns = linear_sum_assignment(-good.astype(float))
    assert (comparison.matched_iou >= threshold).sum() == good[rows, columns].sum()


def test_two_halves_of_an_entity_give_one_match_and_the_better_score_has_it() -> None:
    truth = EntityMap(np.ones((2, 4), np.int32))
    halves = EntityMap(np.array([[1, 1, 2, 2]] * 2), scores=np.array([0.2, 0.9], np.float32))
    comparison = compare(halves, truth)
    assert comparison.pair_predicted[comparison.matches].tolist() == [1]
    assert compare(truth, EntityMap(halves.ids)).matched_iou.tolist() == [0.5]


def test_predictions_are_cut_at_unlabelled_pixels_and_dropped_when_mostly_there() -> None:
    truth = EntityMap(np.array([[1, 1, -1, -1, -1, -1, 0, 0]]))
    prediction = EntityMap(np.array([[1, 1, 1, 2, 2, 2, 2, 3]]), scores=np.array([0.1, 0.2, 0.3], np.float32))
    comparison = compare(prediction, truth)
    assert comparison.predicted.tolist() == [[1, 1, 0, 0, 0, 0, 0, 2]]
    np.testing.assert_array_equal(comparison.scores, np.array([0.1, 0.3], np.float32))
    assert comparison.iou.tolist() == [1.0]


def test_a_prediction_half_in_the_unlabelled_area_is_kept() -> None:
    comparison = compare(EntityMap(np.array([[1, 1, 1, 1]])), EntityMap(np.array([[-1, -1, 0, 1]])))
    assert comparison.predicted_areas.tolist() == [2]


def test_entities_are_numbered_in_reading_order_so_that_ties_do_not_depend_on_ids() -> None:
    comparison = compare(EntityMap(np.array([[0, 3, 1], [2, 2, 1]]), np.arange(3)), EntityMap(np.ones((2, 3))))
    assert comparison.predicted.tolist() == [[0, 1, 2], [3, 3, 2]]
    assert comparison.scores.tolist() == [2, 0, 1]


def test_unlabelled_pixels_of_a_prediction_are_no_entity() -> None:
    comparison = compare(EntityMap(np.array([[-1, 1]])), EntityMap(np.array([[1, 1]])))
    assert comparison.predicted.tolist() == [[0, 1]]


def test_maps_of_other_sizes_are_refused_with_both_sizes() -> None:
    with pytest.raises(InputError, match=r"\(4, 4\).*\(4, 5\)"):
        compare(EntityMap(np.zeros((4, 4))), EntityMap(np.zeros((4, 5))))


def test_an_image_without_truth_is_refused() -> None:
    with pytest.raises(InputError, match="at least one truth"):
        compare_all(EntityMap(np.zeros((4, 4))), [])
