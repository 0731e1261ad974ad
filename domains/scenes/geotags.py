"""The geo-transform and the CRS in the tags of a GeoTIFF, read without GDAL (OGC 19-008r4).

Only what needs no database of projections: the pixel scale and tie point, an EPSG code, and whether units are metres
or degrees. rasterio, where it is installed, knows the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from domains.scenes.georeference import Georeference
from domains.scenes.pixel_size import mean_size, of_degrees

USER_DEFINED = 32767  # value of a key for a CRS without EPSG code
WEB_MERCATOR = 3857  # EPSG code
SPHERE_M = 6378137.0  # radius of the sphere of Web Mercator, the semi-major axis of WGS 84
METRES = 9001  # EPSG code of the unit
PROJECTED, GEOGRAPHIC = 1, 2  # values of GTModelTypeGeoKey


def georeference(page: Any) -> Georeference | None:
    """None where a page has no geo-transform or no EPSG code."""
    keys = _keys(page)
    transform = _transform(keys)
    code = _code(keys)
    return None if transform is None or code is None else Georeference(f"EPSG:{code}", transform)


def ground_size(page: Any, shape: tuple[int, int]) -> float | None:
    """Metres of a pixel on the map, or at the raster's centre where the CRS is in degrees."""
    keys = _keys(page)
    transform = _transform(keys)
    if transform is None:
        return None
    model = int(keys.get("GTModelTypeGeoKey", 0))
    units = int(keys.get("ProjLinearUnitsGeoKey", METRES))
    metre = mercator_metre(transform, shape) if _code(keys) == WEB_MERCATOR else 1.0
    return size_of_transform(transform, shape, model == GEOGRAPHIC, metre if units == METRES else None)


def size_of_transform(
    transform: tuple[float, ...], shape: tuple[int, int], degrees: bool, unit_m: float | None
) -> float | None:
    """Metres of a pixel; unit_m: of the CRS's unit, None where it is not known."""
    a, b, _, d, e, f = transform
    across, down = float(np.hypot(a, d)), float(np.hypot(b, e))
    if degrees:
        latitude = f + d * shape[1] / 2 + e * shape[0] / 2
        return of_degrees(down, across, latitude) if abs(latitude) < 90 else None
    return None if unit_m is None else mean_size(down * unit_m, across * unit_m)


def mercator_metre(transform: tuple[float, ...], shape: tuple[int, int]) -> float:
    """Metres on the ground that one of Web Mercator's covers at the middle of a raster: the cosine of the latitude."""
    *_, d, e, f = transform
    return 1 / float(np.cosh((f + d * shape[1] / 2 + e * shape[0] / 2) / SPHERE_M))


def _keys(page: Any) -> dict[str, Any]:
    try:
        return page.geotiff_tags or {}
    except Exception:  # damaged keys must not keep the pixels from being read
        return {}


def _transform(keys: dict[str, Any]) -> tuple[float, float, float, float, float, float] | None:
    if "ModelTransformation" in keys:
        (a, b, _, c), (d, e, _, f) = np.asarray(keys["ModelTransformation"], float).reshape(4, 4)[:2].tolist()
        return a, b, c, d, e, f
    scale, tie = keys.get("ModelPixelScale"), keys.get("ModelTiepoint")
    if scale is None or tie is None or len(tie) < 6:
        return None
    wide, tall = float(scale[0]), float(scale[1])
    half = 0.5 if int(keys.get("GTRasterTypeGeoKey", 1)) == 2 else 0.0  # PixelIsPoint: ties are of pixel centres
    return wide, 0.0, tie[3] - (tie[0] + half) * wide, 0.0, -tall, tie[4] + (tie[1] + half) * tall


def _code(keys: dict[str, Any]) -> int | None:
    projected = int(keys.get("GTModelTypeGeoKey", 0)) == PROJECTED
    code = int(keys.get("ProjectedCSTypeGeoKey" if projected else "GeographicTypeGeoKey", 0))
    return code if 0 < code < USER_DEFINED else None
