from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from domains.errors import InputError
from domains.scenes.georeference import Georeference
from domains.scenes.ground import Ground, ground_of, is_geographic, moved, require

UTM = Georeference("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5e6))
DEGREES = Georeference("EPSG:4326", (1e-4, 0.0, 12.0, 0.0, -1e-4, 60.0))
SHEARED = Georeference("EPSG:32633", (3.0, 1.0, 400_000.0, 2.0, -4.0, 6e6))


@pytest.mark.parametrize("here", [UTM, DEGREES, SHEARED], ids=["utm", "degrees", "sheared"])
def test_pixels_go_to_the_map_and_back(here):
    points = np.array([[0, 0], [3.5, 7], [-2, 100]])
    assert np.allclose(here.to_pixels(here.to_map(points)), points)
    assert np.allclose(here.to_map(np.zeros((1, 2))), [[here.transform[2], here.transform[5]]])


def test_rasterio_agrees_on_where_a_pixel_lies():
    affine = pytest.importorskip("affine")
    assert np.allclose(SHEARED.to_map(np.array([[3, 5]]))[0], affine.Affine(*SHEARED.transform) * (3, 5))


@pytest.mark.parametrize("here", [UTM, DEGREES, SHEARED], ids=["utm", "degrees", "sheared"])
def test_areas_are_those_of_the_geodesic_polygon(here):
    pyproj = pytest.importorskip("pyproj")
    ground = Ground(here)
    corners = ground.lonlat(np.array([[0, 0], [200, 0], [200, 100], [0, 100]]))
    wanted = abs(pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*corners.T)[0])
    assert 200 * 100 * ground.pixel_area_m2(np.array([[100, 50]]))[0] == pytest.approx(wanted, rel=1e-5)


def test_a_mercator_pixel_of_ten_metres_at_sixty_degrees_covers_a_quarter_of_its_square():
    pytest.importorskip("pyproj")
    ground = Ground(Georeference("EPSG:3857", (10.0, 0.0, 0.0, 0.0, -10.0, 8_399_737.9)))
    assert ground.pixel_area_m2(np.zeros((1, 2)))[0] == pytest.approx(25.0, rel=0.01)


def test_areas_do_not_break_at_the_antimeridian():
    pytest.importorskip("pyproj")
    ground = Ground(Georeference("EPSG:4326", (0.1, 0.0, 179.95, 0.0, -0.1, 0.0)))
    here, there = ground.pixel_area_m2(np.array([[0.5, 0.5], [-5, 0.5]]))
    assert here == pytest.approx(there)


def test_a_crs_without_a_place_on_the_earth_is_refused_in_one_line():
    pytest.importorskip("pyproj")
    for crs in ("EPSG:999999", 'LOCAL_CS["bench",UNIT["metre",1]]'):
        with pytest.raises(InputError) as error:
            Ground(Georeference(crs, UTM.transform))
        assert "\n" not in str(error.value)
        assert ground_of(Georeference(crs, UTM.transform)) is None
    assert ground_of(None) is None


def test_what_is_not_installed_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyproj", None)
    with pytest.raises(InputError, match=r"wants pyproj; pip install .*\[geo\]"):
        require("pyproj", subject="this")


def test_points_without_an_image_in_a_crs_are_refused():
    transform = SimpleNamespace(transform=lambda x, y: (x * np.inf, y))
    with pytest.raises(InputError, match="coordinates lie outside of what their CRS covers; assign the right one"):
        moved(transform, np.ones((2, 2)))


def test_a_crs_that_is_unknown_is_not_taken_for_degrees(monkeypatch):
    pytest.importorskip("pyproj")
    is_fresh = is_geographic.__wrapped__
    assert is_fresh("EPSG:4258") and not is_fresh("EPSG:32633") and not is_fresh("EPSG:999999")
    monkeypatch.setattr("domains.scenes.ground.find_spec", lambda name: None)
    assert is_fresh("EPSG:4326") and not is_fresh("EPSG:4258")
