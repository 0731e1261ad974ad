from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.entities import EntityMap
from domains.metrics import MetricSet
from domains.metrics.polis import polis


def square(x: float, y: float, side: float) -> list[np.ndarray]:
    return [np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)], float)]


def one_by_one(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Equation 4, a corner and a side at a time."""

    def distance(p, q, r) -> float:
        t = np.dot(p - q, r - q) / np.dot(r - q, r - q)
        return float(np.linalg.norm(p - (q + min(max(t, 0), 1) * (r - q))))

    def way(one, other) -> float:
        corners = [corner for ring in one for corner in ring[:-1]]
        sides = [(ring[i], ring[i + 1]) for ring in other for i in range(len(ring) - 1)]
        return sum(min(distance(corner, *side) for side in sides) for corner in corners) / len(corners)

    return way(a, b) / 2 + way(b, a) / 2


def test_distances_worked_out_by_hand():
    assert polis(square(0, 0, 10), square(0, 0, 10)) == 0
    assert polis(square(0, 0, 10), square(-1, -1, 12)) == pytest.approx((1 + 2**0.5) / 2)  # all within, 1 and root 2
    # shifted by 1 along x: two corners of each lie on a side of the other, two are 1 away
    assert polis(square(0, 0, 10), square(1, 0, 10)) == pytest.approx(0.5)


@given(
    st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=3, max_size=7, unique=True),
    st.integers(2, 9),
)
def test_it_is_the_papers_formula_and_symmetric(points, side):
    ring = [np.array([*points, points[0]], float)]
    other = square(1.5, -2, side)
    assert polis(ring, other) == pytest.approx(one_by_one(ring, other))
    assert polis(ring, other) == pytest.approx(polis(other, ring))


def test_more_corners_than_fit_at_once_give_the_same(monkeypatch):
    whole = polis(square(0, 0, 10), square(3, 1, 10))
    monkeypatch.setattr("domains.metrics.polis.AT_ONCE", 4)
    assert polis(square(0, 0, 10), square(3, 1, 10)) == whole


def test_of_maps_the_pairs_that_match_count_in_pixels_and_in_metres():
    ids = np.zeros((60, 60), np.int32)
    ids[5:25, 5:25], ids[35:55, 35:55] = 1, 2
    moved = np.zeros_like(ids)
    moved[5:25, 6:26], moved[0:4, 50:54] = 1, 2
    metrics = MetricSet(["polis_px", "polis_m"])
    metrics.update(EntityMap(moved), [EntityMap(ids)], "a", pixel_size_m=0.3)
    metrics.update(EntityMap(moved), [EntityMap(ids)], "b")
    assert metrics.compute() == {"polis_px": pytest.approx(0.5), "polis_m": pytest.approx(0.15)}


def test_holes_count_too():
    ids = np.zeros((30, 30), np.int32)
    ids[5:25, 5:25] = 1
    ring = ids.copy()
    ring[10:20, 10:20] = 0
    metrics = MetricSet(["polis_px"])
    metrics.update(EntityMap(ring), [EntityMap(ids)], "a")
    # the hole's four corners are 5 from the square, half of the corners of that side
    assert metrics.compute()["polis_px"] == pytest.approx((4 * 5 / 8 + 0) / 2)
