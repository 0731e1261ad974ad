"""Overlaps, links, chains of links, and the assignment of the least cost."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from domains.entities import linking
from domains.entities.linking import assigned, best_of, components, linked, overlaps


def test_overlaps_count_shared_pixels_and_iou() -> None:
    a = np.array([[1, 1, 0, -1], [1, 2, 2, 2]])
    b = np.array([[3, 3, 3, 3], [0, 1, 1, -1]])
    shared = overlaps(a, b)
    assert list(zip(shared.a, shared.b, shared.pixels, strict=True)) == [(1, 3, 2), (2, 1, 2)]
    assert shared.iou.tolist() == pytest.approx([2 / 5, 2 / 3])


def test_overlaps_are_the_same_counted_or_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.random.default_rng(0).integers(-1, 6, (2, 9, 11))
    counted = overlaps(a, b)
    monkeypatch.setattr(linking, "MOST_CELLS_A_PIXEL", 0)
    for column, same in zip(counted, overlaps(a, b), strict=True):
        assert np.array_equal(column, same) and column.dtype == same.dtype


def test_linked_joins_both_arms_of_a_u_and_not_what_touches() -> None:
    bottom = np.array([[1, 0, 1], [1, 1, 1]])
    arms = np.array([[4, 0, 6], [0, 0, 0]])
    assert linked(bottom, arms, 0.5).tolist() == [[1, 4]]  # one piece below: the arm that comes first
    assert linked(bottom[:1], arms[:1], 0.5).tolist() == [[1, 4], [1, 6]]
    fused, apart = np.array([[1, 1, 1, 1, 1]]), np.array([[2, 2, 2, 3, 3]])
    assert linked(fused, apart, 0.5).tolist() == [[1, 2]]


def test_components_follow_chains() -> None:
    assert components(6, np.array([[0, 2], [2, 5], [3, 4]])).tolist() == [0, 1, 0, 2, 2, 0]
    assert components(0, np.zeros((0, 2), int)).tolist() == []


def test_assigned_has_the_least_cost_of_all_assignments() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        costs, most = draw.random((4, 5)), 0.6
        pairs = np.argwhere(np.ones_like(costs))
        taken = assigned(pairs, costs.ravel(), most)
        chosen = pairs[taken]
        assert len(set(chosen[:, 0])) == len(set(chosen[:, 1])) == len(chosen)
        gain = sum(most - costs[row, column] for row, column in chosen)
        best = max(
            sum(max(0.0, most - costs[row, column]) for row, column in enumerate(order))
            for order in permutations(range(5), 4)
        )
        assert gain == pytest.approx(best)


def test_assigned_leaves_what_costs_too_much() -> None:
    pairs = np.array([[7, 1], [7, 2], [9, 2]])
    assert assigned(pairs, np.array([0.5, 0.1, 0.2]), 1.0).tolist() == [0, 2]
    assert assigned(pairs, np.array([0.5, 0.1, 0.2]), 0.3).tolist() == [1]
    assert assigned(pairs, np.array([2.0, 2.0, 2.0]), 1.0).tolist() == []


def test_best_of_takes_one_of_equals() -> None:
    assert best_of(np.array([1, 1, 2]), np.array([3, 3, 1])).tolist() == [True, False, True]
