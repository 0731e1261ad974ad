"""From pixels of a georeferenced scene to longitude, latitude and square metres, through pyproj, an optional extra."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from domains.errors import InputError
from domains.scenes.georeference import Georeference

INSTALL = 'pip install "entity-adapters[geo]"'
WGS84 = "OGC:CRS84"  # longitude first, as RFC 7946 has it
SEMI_MAJOR_M, FLATTENING = 6378137.0, 1 / 298.257223563  # of the ellipsoid of WGS 84


def require(*packages: str, subject: str) -> None:
    """Raises InputError naming what to install where one of the packages is missing. subject: what wants them."""
    for package in packages:
        if find_spec(package) is None:
            raise InputError(f"{subject} wants {package}; {INSTALL}")


class Ground:
    """The ground under a scene. Raises InputError for a CRS that PROJ does not know or cannot bring to WGS 84."""

    def __init__(self, georeference: Georeference) -> None:
        require("pyproj", subject="a result in longitude and latitude")
        self.georeference = georeference
        self._to_lonlat = transformer(georeference.crs, WGS84)

    def lonlat(self, points: np.ndarray) -> np.ndarray:
        """(K, 2) x, y in pixels to (K, 2) longitude, latitude in degrees."""
        return moved(self._to_lonlat, self.georeference.to_map(points))

    def pixel_area_m2(self, points: np.ndarray) -> np.ndarray:
        """(K,) square metres of the pixel around each point (K, 2), on the ellipsoid of WGS 84.

        The Jacobian of pixels to degrees times the element of area M(lat) N(lat) cos(lat). GeographicLib's polygons,
        whose areas are good to about 0.1 m2 per corner, would be too coarse for pixels of some centimetres.
        """
        points = np.asarray(points, float).reshape(-1, 2)
        (east, west), (south, north) = (
            (self.lonlat(points + step), self.lonlat(points - step))
            for step in (np.array([0.5, 0]), np.array([0, 0.5]))
        )
        (lon_x, lat_x), (lon_y, lat_y) = np.deg2rad(_shortest(east - west)).T, np.deg2rad(_shortest(south - north)).T
        latitude = np.deg2rad(self.lonlat(points)[:, 1])
        e2 = FLATTENING * (2 - FLATTENING)
        root = np.sqrt(1 - e2 * np.sin(latitude) ** 2)
        element = SEMI_MAJOR_M**2 * (1 - e2) / root**4 * np.cos(latitude)
        return np.abs(lon_x * lat_y - lat_x * lon_y) * element


@lru_cache(maxsize=64)
def ground_of(georeference: Georeference | None) -> Ground | None:
    """None without georeference, without pyproj, and for a CRS that has no place on the Earth."""
    if georeference is None or find_spec("pyproj") is None:
        return None
    try:
        return Ground(georeference)
    except InputError:
        return None


@lru_cache(maxsize=64)
def transformer(source: str, target: str) -> Any:
    """pyproj's, x (east, longitude) first on both sides. Raises InputError."""
    require("pyproj", subject=f"another CRS than {source[:40]}")
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"a CRS {source[:80]!r} cannot be brought to {target[:80]!r} ({reason}); assign the right one"
        ) from error


def moved(transform: Any, points: np.ndarray) -> np.ndarray:
    """(K, 2) through pyproj's transformer. Raises InputError for points that have no image there."""
    x, y = transform.transform(points[:, 0], points[:, 1])
    result = np.stack([x, y], axis=1)
    if not np.isfinite(result).all():
        raise InputError("coordinates lie outside of what their CRS covers; assign the right one")
    return result


def same_crs(crs: str, reference: str) -> bool:
    """Whether two CRS are the same but for the order of their axes."""
    if crs == reference:
        return True
    require("pyproj", subject="comparing two CRS")
    from pyproj import CRS
    from pyproj.exceptions import ProjError

    try:
        return CRS.from_user_input(crs).equals(CRS.from_user_input(reference), ignore_axis_order=True)
    except ProjError as error:
        raise InputError(f"a CRS is not known: {' '.join(str(error).split())[:200]}; assign the right one") from error


@lru_cache(maxsize=64)
def is_geographic(crs: str) -> bool:
    """Whether coordinates of a CRS are longitude and latitude; of one that pyproj does not know, False."""
    if crs in (WGS84, "EPSG:4326"):
        return True
    if find_spec("pyproj") is None:
        return False
    from pyproj import CRS
    from pyproj.exceptions import ProjError

    try:
        return bool(CRS.from_user_input(crs).is_geographic)
    except ProjError:
        return False


def _shortest(degrees: np.ndarray) -> np.ndarray:
    """Differences of longitude and latitude, across the antimeridian the short way."""
    return (degrees + 180) % 360 - 180
