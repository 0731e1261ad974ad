from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from scipy import ndimage

from domains.entities.outlines import outlines


def rasterised(polygons, shape) -> np.ndarray:
    """(H, W) number of polygons around each pixel's centre, holes taken out."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1)
    covered = np.zeros(len(centres), int)
    for exterior, *holes in polygons:
        inside = Outline(exterior).contains_points(centres)
        for hole in holes:
            inside &= ~Outline(hole).contains_points(centres)
        covered += inside
    return covered.reshape(shape)


def signed_area(ring) -> float:
    x, y = np.array(ring, float).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_outlines_rasterise_to_the_very_map_and_are_valid_rings(height, width, entities, seed):
    ids = np.random.default_rng(seed).integers(-1, entities + 1, (height, width))
    found = dict(outlines(ids))
    assert list(found) == sorted(set(ids[ids > 0].tolist()))
    for i, polygons in found.items():
        assert np.array_equal(rasterised(polygons, ids.shape), ids == i)
        assert len(polygons) == ndimage.label(ids == i)[1]  # 4-connected: polygons touch by points only
        area = 0.0
        for exterior, *holes in polygons:
            assert signed_area(exterior) > 0 and all(signed_area(hole) < 0 for hole in holes)
            area += sum(signed_area(ring) for ring in (exterior, *holes))
            for ring in (exterior, *holes):
                assert ring[0] == ring[-1] and len({tuple(point) for point in ring}) == len(ring) - 1
                turns = np.diff(np.diff(np.array([*ring, ring[1]]), axis=0) != 0, axis=0)
                assert turns.any(axis=1).all()  # corners only, no point on a straight line
        assert area == np.sum(ids == i)


def test_a_pixel_is_a_unit_square_that_goes_round_with_positive_area():
    ids = np.zeros((3, 4), np.int32)
    ids[1, 2] = 7
    assert list(outlines(ids)) == [(7, [[[[2, 1], [3, 1], [3, 2], [2, 2], [2, 1]]]])]


def test_a_ring_has_a_hole_and_the_entity_within_is_its_own():
    ids = np.ones((5, 5), np.int32)
    ids[1:4, 1:4] = 0
    ids[2, 2] = 2
    (_, ring), (_, centre) = outlines(ids)
    assert len(ring) == 1 and len(ring[0]) == 2 and len(centre[0]) == 1
    assert sorted(map(tuple, ring[0][1][:-1])) == [(1, 1), (1, 4), (4, 1), (4, 4)]


def test_pixels_that_touch_by_a_corner_are_two_polygons():
    assert [len(polygons) for _, polygons in outlines(np.eye(2, dtype=int))] == [2]


def test_holes_that_touch_by_a_corner_are_two_rings():
    ids = np.ones((4, 4), np.int32)
    ids[1, 1] = ids[2, 2] = 0
    ((_, polygons),) = outlines(ids)
    assert [len(rings) for rings in polygons] == [3]


@pytest.mark.parametrize("ids", [np.zeros((4, 4), np.int32), np.full((4, 4), -1)])
def test_no_entity_has_no_outline(ids):
    assert list(outlines(ids)) == []
