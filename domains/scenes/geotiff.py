"""Georeferenced rasters through rasterio, an optional extra: GeoTIFF, COG, and whatever else GDAL reads.

Windows come as GDAL reads them, overviews are the levels. A mask that lies beside the bands in the file, or beside the
file as `.msk`, is a last channel, alpha. The colour of a band is what the file says by its colour interpretation; what
it is called comes second. Palettes and white that is 0 come as what they mean (`meaning`). Without rasterio a GeoTIFF
is read as a TIFF, with the geo-transform that its tags spell out (`geotags`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from domains.bands import RGB
from domains.errors import InputError
from domains.scenes.address import Source
from domains.scenes.decode import quiet
from domains.scenes.georeference import Georeference
from domains.scenes.geotags import WEB_MERCATOR, mercator_metre, size_of_transform
from domains.scenes.meaning import PLAIN, Meaning, of_grey
from domains.scenes.ranges import Cursor, Ranges, Unreachable
from domains.scenes.scene import check_level, clipped
from domains.scenes.sidecars import Sidecar, beside
from domains.scenes.validity import ALPHA, held

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
ANY_NAME = "scene.tif"  # of the content of an address to GDAL, whose messages it may stand in
MAX_CHANNELS = 4096  # hyperspectral sensors have some hundreds


def has_rasterio() -> bool:
    """Whether rasterio is installed; it is not imported for the answer."""
    return find_spec("rasterio") is not None


class CursorOfGdal(Cursor):
    """A file object whose reads end early in place of raising, which GDAL takes for damage.

    failures: what would have been raised.
    """

    def __init__(self, content: Ranges, name: str, failures: list[Unreachable]) -> None:
        super().__init__(content, name)
        self.failures = failures

    def read(self, size: int | None = -1) -> bytes:
        """As `Cursor.read`, nothing where that raises."""
        try:
            return super().read(size)
        except Unreachable as error:
            self.failures.append(error)
            return b""


COLOURS = (*RGB, ALPHA, "nir")
CONTROL_POINTS = (
    "it says its place by ground control points or RPCs alone, which are not used, so it has none; gdalwarp it"
)
NO_CRS = "it has a place on a map without a CRS, so it has none; add a .prj, or gdal_edit.py -a_srs"
CONTRADICTION = "a band's name says another colour than its colour interpretation, which is believed"


class GeoScene:
    """A raster that GDAL reads. Raises InputError for what it cannot read, and where rasterio is not installed.

    page: of a TIFF, that of the picture. stored: values as they are stored, indices of palettes too. sidecar: what lies
    beside the file; looked for where None. content: of an address, in place of the file.
    """

    def __init__(
        self,
        path: Source,
        pixel_size_m: float | None = None,
        stored: bool = False,
        sidecar: Sidecar | None = None,
        page: int = 0,
        content: Ranges | None = None,
    ) -> None:
        if not has_rasterio():
            raise InputError(f"{str(path)!r} wants rasterio; {INSTALL}")
        import rasterio
        from rasterio.errors import RasterioError

        self.path = path
        self._env = {"GDAL_CACHEMAX": CACHE_MIB, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "NUM_THREADS": 1}
        self._lock = Lock()  # GDAL's handles are not for several threads
        self._open: list[Any] = []
        self._beside: list[Any] = []
        self._failures: list[Unreachable] = []
        if sidecar is None:
            sidecar = beside(path) if isinstance(path, Path) else Sidecar()
        try:
            with quiet(), rasterio.Env(**self._env):
                name = f"GTIFF_DIR:{page + 1}:{path.absolute()}" if page else path
                place: dict[str, Any] = {"fp": name, "sharing": False}
                if content is not None:
                    place |= {"fp": ANY_NAME, "opener": self._opener(content, str(path))}
                raster = rasterio.open(**place)
                self._open.append(raster)
                self._open += [rasterio.open(**place, overview_level=i) for i in range(len(raster.overviews(1)))]
                if sidecar.mask is not None:
                    self._beside.append(rasterio.open(sidecar.mask, driver="GTiff", sharing=False))
            self._describe(raster, sidecar, pixel_size_m, stored)
        except RasterioError as error:
            self.close()
            self._check_failures()
            raise InputError(f"{str(path)!r}: wanted a raster, GDAL says: {error}; copy or export it again") from error
        except BaseException:
            self.close()
            raise

    def _opener(self, content: Ranges, name: str) -> Callable[..., Cursor]:
        """What GDAL reads the content of an address through; nothing else is there for it."""

        def opener(path: str, mode: str = "rb", **options: Any) -> Cursor:
            if path != ANY_NAME:
                raise FileNotFoundError(path)
            return CursorOfGdal(content, name, self._failures)

        return opener

    def _check_failures(self) -> None:
        """Raises what kept GDAL from the content of an address."""
        if self._failures:
            raise self._failures[0]

    def _describe(self, raster: Any, sidecar: Sidecar, pixel_size_m: float | None, stored: bool) -> None:
        if raster.driver not in DRIVERS or raster.count > MAX_CHANNELS or len(set(raster.dtypes)) > 1:
            raise InputError(
                f"{str(self.path)!r}: wanted bands of one type in {', '.join(DRIVERS)}, got {raster.count} of "
                f"{sorted(set(raster.dtypes))} in {raster.driver}; gdal_translate -of COG"
            )
        self.shape: tuple[int, int] = raster.height, raster.width
        if self._beside and (self._beside[0].height, self._beside[0].width) != self.shape:
            raise InputError(
                f"{str(self.path)!r}: wanted a mask beside it of its size, {self.shape[1]} x {self.shape[0]}, got "
                f"{self._beside[0].width} x {self._beside[0].height}; remove or mend the .msk"
            )
        if (kind := raster.dtypes[0]).startswith("complex"):
            raise InputError(
                f"{str(self.path)!r}: wanted real numbers, got {kind}, such as of a radar's single look; save the "
                "amplitude (gdal_calc.py --calc 'abs(A)')"
            )
        self._stored = np.dtype(raster.dtypes[0])
        self.descriptions = tuple(name or "" for name in raster.descriptions) if any(raster.descriptions) else ()
        colours = [colour.name for colour in raster.colorinterp]
        self._names = tuple(map(channel_name, colours, raster.descriptions))
        nodata = held(raster.nodata if raster.nodata is not None else sidecar.nodata, self._stored)
        self.meaning = PLAIN if stored else meaning_of(raster, self._stored, nodata)
        self.dtype = self.meaning.dtype(self._stored)
        self.nodata = self.meaning.nodata(nodata)
        self._fill = nodata or 0
        self._masked = has_mask(raster) or bool(self._beside)
        self.channels = self.meaning.channels(self._names)
        self._masked &= ALPHA not in self.channels
        self.channels += (ALPHA,) * self._masked
        self.georeference = georeference_of(raster, sidecar)
        self.pixel_size_m = pixel_size_m or (
            crs_size(self.georeference, self.shape) if self.georeference is not None else None
        )
        self.remarks = remarks_of(raster, self.georeference, sidecar, self._names)
        self.format = "GeoTIFF" if raster.driver in ("GTiff", "COG") else str(raster.driver)

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of the raster and of its overviews, the finest first."""
        return tuple((raster.height, raster.width) for raster in self._open)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """As `Scene.read`; one thread at a time reads from GDAL. Raises InputError where a block cannot be decoded."""
        import rasterio
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        check_level(level, self.levels)
        inside, (rows, columns) = clipped(y, x, height, width, self.levels[level])
        result = np.full((height, width, len(self.channels)), self.nodata or 0, self.dtype)
        if rows.start == rows.stop:
            return result
        window = Window.from_slices(rows, columns)
        try:
            with self._lock, rasterio.Env(**self._env):
                values = self._open[level].read(window=window)  # (C, h, w)
                mask = self._mask(level, window) if self._masked else None
        except RasterioError as error:
            self._check_failures()
            raise InputError(
                f"{str(self.path)!r}: the window at y {y}, x {x} cannot be read ({error}); copy it again"
            ) from error
        self._check_failures()
        meant = self.meaning(values.transpose(1, 2, 0), self._names)
        result[(*inside, slice(meant.shape[2]))] = meant
        if mask is not None:
            result[(*inside, -1)] = mask > 0
        return result

    def _mask(self, level: int, window: Any) -> np.ndarray:
        """(h, w) above 0 where there are data; of a mask beside the file, at the window's size in that of level 0."""
        if not self._beside:
            return self._open[level].read_masks(1, window=window)
        down, across = (full / reduced for full, reduced in zip(self.shape, self.levels[level], strict=True))
        y, x = window.row_off * down, window.col_off * across
        full_window = type(window)(x, y, window.width * across, window.height * down)
        return self._beside[0].read(1, window=full_window, out_shape=(round(window.height), round(window.width)))

    def close(self) -> None:
        """Closes every level and the mask; reading after it fails."""
        for file in (*self._open, *self._beside):
            file.close()


def channel_name(colour: str, description: str | None) -> str:
    """A band by its colour interpretation; else by what it is called, in small letters where that is a colour."""
    if colour in COLOURS:
        return colour
    name = description or ""
    return name.lower() if name.lower() in COLOURS else name


def meaning_of(file: Any, dtype: np.dtype, nodata: float | None) -> Meaning:
    """What the stored values of a raster mean: colours of a palette, white that is 0, fewer bits than eight."""
    structure = file.tags(ns="IMAGE_STRUCTURE")
    white_is_zero = structure.get("MINISWHITE") == "YES"
    if file.colorinterp[0].name == "palette" and dtype.kind == "u" and not white_is_zero:
        table = file.colormap(1)
        colours = np.zeros((max(table) + 1, 3), np.uint8)
        for index, colour in table.items():
            colours[index] = colour[:3]
        transparent = {index for index, colour in table.items() if colour[3] == 0}
        if nodata is not None:
            transparent.add(int(nodata))
        return Meaning(colours, tuple(sorted(transparent)))
    if file.count == 1 and (white_is_zero or dtype == np.uint8):
        bits = int(file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * dtype.itemsize))
        return of_grey(bits, dtype, white_is_zero)
    return PLAIN


def georeference_of(file: Any, sidecar: Sidecar) -> Georeference | None:
    """The place that a raster says itself, or files beside it do; None without a CRS or a transform."""
    crs = crs_of(file.crs, sidecar.crs)
    transform = None if file.transform.is_identity else tuple(file.transform)[:6]
    transform = transform or sidecar.transform
    return None if crs is None or transform is None else Georeference(crs_name(crs), transform)


def crs_of(crs: Any, beside: str | None) -> Any:
    """rasterio's CRS: the file's own, else what is written beside it; None where neither can be read."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    if crs is not None or beside is None:
        return crs
    try:
        return CRS.from_user_input(beside, morph_from_esri_dialect=beside.lstrip().startswith(("PROJCS", "GEOGCS")))
    except CRSError:
        return None


def placed_by(sidecar: Sidecar) -> Georeference | None:
    """Where a picture lies that says nothing itself, by what lies beside it; None without rasterio too."""
    if sidecar.transform is None or sidecar.crs is None or not has_rasterio():
        return None
    crs = crs_of(None, sidecar.crs)
    return None if crs is None else Georeference(crs_name(crs), sidecar.transform)


def remarks_of(
    file: Any, georeference: Georeference | None, sidecar: Sidecar, names: tuple[str, ...]
) -> tuple[str, ...]:
    """What is assumed or passed over of a raster: a place that is not used, a colour that a band's name denies."""
    remarks = []
    if georeference is None and (file.gcps[0] or file.rpcs or sidecar.points):
        remarks.append(CONTROL_POINTS)
    elif georeference is None and (not file.transform.is_identity or sidecar.transform):
        remarks.append(NO_CRS)
    called = [(name or "").lower() for name in file.descriptions]
    if any(word in COLOURS and word != name for word, name in zip(called, names, strict=True)):
        remarks.append(CONTRADICTION)
    return tuple(remarks)


def has_mask(file: Any) -> bool:
    """Whether a mask lies in a file that is neither a band of it nor the value of no data."""
    flags = {flag.name for flag in file.mask_flag_enums[0]}
    return "per_dataset" in flags and not flags & {"alpha", "nodata"}


def crs_name(crs: Any) -> str:
    """`EPSG:n` where PROJ knows a code for the CRS, else its WKT."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_wkt()


def crs_size(georeference: Georeference, shape: tuple[int, int]) -> float | None:
    """Metres of a pixel; None where the CRS has no unit of length."""
    from rasterio.crs import CRS

    crs = CRS.from_user_input(georeference.crs)
    if crs.is_geographic:
        return size_of_transform(georeference.transform, shape, True, None)
    try:
        mercator = crs.to_epsg() == WEB_MERCATOR
        metre = mercator_metre(georeference.transform, shape) if mercator else float(crs.linear_units_factor[1])
        return size_of_transform(georeference.transform, shape, False, metre)
    except Exception:  # engineering CRS and others without a unit
        return None
