from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, polygon

from domains.entities.outlines import outlines
from domains.exports.simplify import middles, simplified, squared

shapely = pytest.importorskip("shapely")


def turned_house(angle_deg: float, size: int = 120) -> np.ndarray:
    """An L-shaped building of 60 x 40 px, turned about the centre."""
    corners = np.array([(-30, -20), (30, -20), (30, 5), (0, 5), (0, 20), (-30, 20)], float)
    angle = np.deg2rad(angle_deg)
    x, y = (corners @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]).T + size / 2
    ids = np.zeros((size, size), np.int32)
    ids[polygon(y, x)] = 1
    return ids


def shapes() -> list[np.ndarray]:
    ring = np.zeros((60, 60), np.int32)
    ring[disk((30, 30), 25)] = 1
    ring[disk((30, 30), 12)] = 0
    noise = (ndimage.gaussian_filter(np.random.default_rng(3).random((60, 60)), 2) > 0.5).astype(np.int32)
    thin = np.zeros((20, 20), np.int32)
    thin[5, 2:18] = thin[5:15, 8] = thin[14, 8:12] = thin[15, 12] = 1  # a line of one pixel, and one by a corner
    dot = np.zeros((3, 3), np.int32)
    dot[1, 1] = 1
    return [ring, noise, thin, dot, turned_house(30), turned_house(0)]


def drawn(polygons, shape) -> np.ndarray:
    """Pixels whose centre is inside."""
    area = shapely.MultiPolygon([(rings[0], rings[1:]) for rings in polygons])
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(area, x, y)


@pytest.mark.parametrize("ids", shapes(), ids=["ring", "noise", "thin", "dot", "turned", "upright"])
@pytest.mark.parametrize("tolerance", [0.2, 0.5, 1.0])
def test_simplified_polygons_stay_within_the_tolerance_are_valid_and_have_fewer_corners(ids, tolerance):
    ((_, exact),) = outlines(ids)
    result = simplified(exact, tolerance)
    before, after = (
        shapely.MultiPolygon([(rings[0], rings[1:]) for rings in polygons]) for polygons in (exact, result)
    )
    assert after.is_valid and len(after.geoms) == len(before.geoms)
    assert [len(part.interiors) for part in after.geoms] == [len(part.interiors) for part in before.geoms]
    edges = shapely.MultiPoint([point for rings in exact for ring in rings for point in middles(ring)])
    assert max(shapely.distance(after.boundary, point) for point in edges.geoms) <= tolerance + 1e-9
    if ids.sum() > 100 and tolerance >= 0.5:
        assert shapely.get_num_coordinates(after) < 0.9 * shapely.get_num_coordinates(before) or len(exact[0][0]) < 10


def test_a_staircase_becomes_one_side_and_its_pixels_stay():
    ids = np.triu(np.ones((40, 40), np.int32))
    ((_, exact),) = outlines(ids)
    ((ring,),) = simplified(exact, 0.5)
    assert len(ring) <= 7 and len(exact[0][0]) > 70
    assert (drawn([[ring]], ids.shape) != (ids > 0)).sum() <= 2  # at the two sharp corners


@pytest.mark.parametrize("ids", shapes(), ids=["ring", "noise", "thin", "dot", "turned", "upright"])
def test_only_pixels_at_the_outline_change_by_half_a_pixel(ids):
    ((_, exact),) = outlines(ids)
    changed = drawn(simplified(exact, 0.5), ids.shape) != (ids > 0)
    border = ndimage.binary_dilation(ids > 0) & ~ndimage.binary_erosion(ids > 0)
    assert not (changed & ~border).any()


def test_coarse_outlines_are_simplified_by_their_own_pixels():
    ((_, exact),) = outlines(turned_house(30))
    ((_, wide),) = outlines(turned_house(30))
    wide = [[[[4 * x, 4 * y] for x, y in ring] for ring in rings] for rings in wide]
    fine, coarse = simplified(exact, 0.5), simplified(wide, 0.5, step=4)
    assert np.allclose(np.array(coarse[0][0]), 4 * np.array(fine[0][0]))


def test_the_middles_of_a_pixel_are_a_lozenge():
    assert middles([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) == [[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5], [0.5, 0]]


@pytest.mark.parametrize("angle", [0, 7, 30, 45, 80])
def test_a_building_is_squared_at_the_angle_that_it_has(angle):
    ids = turned_house(angle)
    ((_, exact),) = outlines(ids)
    ((ring,),) = simplified(exact, 0.5, square=True)
    sides = np.diff(np.array(ring), axis=0)
    assert len(sides) == 6
    directions = np.rad2deg(np.arctan2(sides[:, 1], sides[:, 0])) % 90
    assert np.allclose((directions - angle + 45) % 90 - 45, 0, atol=1.5)
    assert np.allclose((sides[:-1] * sides[1:]).sum(axis=1), 0, atol=1e-6)
    both = drawn([[ring]], ids.shape)
    assert (both & (ids > 0)).sum() / (both | (ids > 0)).sum() > 0.95


def test_what_has_no_right_angles_is_not_squared():
    y, x = np.mgrid[:41, :41]
    star = (np.abs(y - 20) ** 0.5 + np.abs(x - 20) ** 0.5 < 20**0.5).astype(np.int32)
    ((_, exact),) = outlines(star)
    assert simplified(exact, 0.5, square=True) == simplified(exact, 0.5)


def test_the_courtyard_of_a_building_is_squared_too():
    ids = turned_house(20)
    ids[55:65, 45:55] = 0
    ((_, exact),) = outlines(ids)
    ((outer, inner),) = simplified(exact, 0.5, square=True)
    sides = np.diff(np.array(inner), axis=0)
    assert len(outer) == 7 and np.allclose((sides[:-1] * sides[1:]).sum(axis=1), 0, atol=1e-6)


def test_a_polygon_that_cannot_be_squared_is_left_alone():
    triangle = shapely.Polygon([(0, 0), (10, 0), (0.3, 0.4)])
    assert squared(triangle) is triangle
