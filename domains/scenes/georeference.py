"""Where a raster lies on the ground."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Georeference(NamedTuple):
    """crs: "EPSG:32633", or WKT where it has no such code. transform: a, b, c, d, e, f of level 0, with
    x = a * column + b * row + c and y = d * column + e * row + f at the outer corner of a pixel (rasterio's order).
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]

    def to_map(self, points: np.ndarray) -> np.ndarray:
        """(K, 2) x, y in pixels, 0, 0 at the outer corner of the first one, to (K, 2) x, y of the CRS."""
        a, b, c, d, e, f = self.transform
        return np.asarray(points, float) @ np.array([[a, d], [b, e]]) + (c, f)

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Points of the map to pixels, the inverse of `to_map`."""
        a, b, c, d, e, f = self.transform
        return (np.asarray(points, float) - (c, f)) @ np.linalg.inv(np.array([[a, d], [b, e]]))
