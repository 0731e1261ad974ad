"""Georeferenced rasters through rasterio, an optional extra: GeoTIFF, COG, and whatever else GDAL reads.

Windows come as GDAL reads them, overviews are the levels. A mask that lies beside the bands in the file is a last
channel, alpha. Without rasterio a GeoTIFF is read as a TIFF, with the
geo-transform that its tags spell out (`geotags`).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from domains.bands import RGB
from domains.errors import InputError
from domains.georeference import Georeference
from domains.scenes.geotags import WEB_MERCATOR, mercator_metre, size_of_transform
from domains.scenes.scene import check_level, clipped
from domains.validity import ALPHA, held

INSTALL = 'pip install "entity-adapters[geo]"'
CACHE_MIB = 256  # of GDAL, which would take 5 % of the memory
DRIVERS = (
    "GTiff",
    "COG",
    "JP2OpenJPEG",
    "HFA",
    "ENVI",
    "PNG",
    "JPEG",
)  # none that follows paths or addresses in a file
MAX_CHANNELS = 4096


def has_rasterio() -> bool:
    return find_spec("rasterio") is not None


class GeoScene:
    """A raster that GDAL reads. Raises InputError for what it cannot read, and where rasterio is not installed."""

    def __init__(self, path: Path, pixel_size_m: float | None = None) -> None:
        if not has_rasterio():
            raise InputError(f"{str(path)!r} wants rasterio; {INSTALL}")
        import rasterio  # type: ignore[import-not-found]
        from rasterio.errors import RasterioError  # type: ignore[import-not-found]

        self.path = path
        self._env = {"GDAL_CACHEMAX": CACHE_MIB, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "NUM_THREADS": 1}
        self._lock = Lock()  # GDAL's handles are not for several threads
        try:
            with rasterio.Env(**self._env):
                first = rasterio.open(path, driver=None, sharing=False)
                self._open = [first]
                self._open += [
                    rasterio.open(path, overview_level=i, sharing=False) for i in range(len(first.overviews(1)))
                ]
        except RasterioError as error:
            raise InputError(f"{str(path)!r}: wanted a raster, GDAL says: {error}; copy or export it again") from error
        if first.driver not in DRIVERS or first.count > MAX_CHANNELS or len(set(first.dtypes)) > 1:
            raise InputError(
                f"{str(path)!r}: wanted bands of one type in {', '.join(DRIVERS)}, got {first.count} of "
                f"{sorted(set(first.dtypes))} in {first.driver}; gdal_translate -of COG"
            )
        self.shape: tuple[int, int] = first.height, first.width
        self.dtype = np.dtype(first.dtypes[0])
        self.nodata = held(first.nodata, self.dtype)
        self.channels = tuple(
            name or (colour.name if colour.name in (*RGB, ALPHA, "nir") else "")
            for name, colour in zip(first.descriptions, first.colorinterp, strict=True)
        )
        self._masked = has_mask(first)
        self.channels += (ALPHA,) * self._masked
        transform = tuple(first.transform)[:6]
        placed = first.crs is not None and not first.transform.is_identity
        self.georeference = Georeference(crs_name(first.crs), transform) if placed else None
        self.pixel_size_m = pixel_size_m or (crs_size(first.crs, transform, self.shape) if placed else None)

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        return tuple((one.height, one.width) for one in self._open)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        import rasterio  # type: ignore[import-not-found]
        from rasterio.errors import RasterioError  # type: ignore[import-not-found]
        from rasterio.windows import Window  # type: ignore[import-not-found]

        check_level(level, self.levels)
        inside, (rows, columns) = clipped(y, x, height, width, self.levels[level])
        result = np.full((height, width, len(self.channels)), self.nodata or 0, self.dtype)
        if rows.start == rows.stop:
            return result
        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)  # type: ignore[call-arg]
        try:
            with self._lock, rasterio.Env(**self._env):
                values = self._open[level].read(window=window)  # (C, h, w)
                mask = self._open[level].read_masks(1, window=window) if self._masked else None
        except RasterioError as error:
            raise InputError(
                f"{str(self.path)!r}: the window at y {y}, x {x} cannot be read ({error}); copy it again"
            ) from error
        result[(*inside, slice(len(values)))] = values.transpose(1, 2, 0)
        if mask is not None:
            result[(*inside, -1)] = mask > 0
        return result

    def close(self) -> None:
        for one in self._open:
            one.close()


def has_mask(file: Any) -> bool:
    """Whether a mask lies in a file that is neither a band of it nor the value of no data."""
    flags = {flag.name for flag in file.mask_flag_enums[0]}
    return "per_dataset" in flags and not flags & {"alpha", "nodata"}


def crs_name(crs: Any) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_wkt()


def crs_size(crs: Any, transform: tuple[float, ...], shape: tuple[int, int]) -> float | None:
    """Metres of a pixel; None where the CRS has no unit of length."""
    if crs.is_geographic:
        return size_of_transform(transform, shape, True, None)
    try:
        metre = mercator_metre(transform, shape) if crs.to_epsg() == WEB_MERCATOR else float(crs.linear_units_factor[1])
        return size_of_transform(transform, shape, False, metre)
    except Exception:  # engineering CRS and others without a unit
        return None
