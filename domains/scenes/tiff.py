"""TIFF scenes through tifffile and zarr: SVS, OME-TIFF, QPTIFF, NDPI, BigTIFF, COG, generic; tiled or striped.

The first series is the scene; its lower resolutions (sub-IFDs, or pages that follow) are the levels. Of stacks the
first time and the first plane in depth are taken; channels and samples become channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from domains.decode import quiet
from domains.errors import InputError
from domains.scenes.blocks import MAX_BLOCK_BYTES, BlockReader, Level, array_level
from domains.scenes.geotags import georeference, ground_size
from domains.scenes.pixel_size import from_aperio, from_imagej, from_ome_xml, from_resolution
from domains.scenes.scene import Photograph, Scene

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_CHANNELS = 64
GDAL_NODATA = 42113
ORIENTATION = 274
JPEGS = (6, 7, 33003, 33004, 33005, 34712)  # their YCbCr comes as RGB
DECODERS = 4  # threads that decode the blocks of one window


def open_tiff(path: Path, pixel_size_m: float | None = None) -> Scene:
    """A `TiffScene`, or a picture in memory for what is stored in palettes, inks, single bits or turned.

    Raises InputError for what is damaged, cut off or too large to be held so.
    """
    with quiet():
        scene = TiffScene(path, pixel_size_m)
        if not scene.is_plain:
            size = scene.pixel_size_m
            scene.close()
            return Photograph.open(path, size)
    return scene


class TiffScene:
    """A series of a TIFF file, read by windows."""

    def __init__(self, path: Path, pixel_size_m: float | None = None) -> None:
        self.path = path
        self.file = tifffile.TiffFile(path)
        try:
            self._open(pixel_size_m)
        except BaseException:
            self.file.close()
            raise

    def _open(self, pixel_size_m: float | None) -> None:
        series = self.file.series[0]
        page: Any = series.keyframe
        self.is_plain = is_plain(page, self.file.is_ome)
        self.dtype = np.dtype(series.dtype)
        self.nodata = number(page.tags.valueof(GDAL_NODATA))
        self.georeference = georeference(page)
        sizes = dict(zip(series.axes, series.shape, strict=True))
        count = sizes.get("C", 1) * sizes.get("S", 1)
        if count > MAX_CHANNELS or not {"Y", "X"} <= sizes.keys() or self.dtype.kind not in "uifb":
            raise InputError(
                f"{str(self.path)!r}: wanted an image of numbers with up to {MAX_CHANNELS} channels, got "
                f"{series.shape} in {series.axes} of {series.dtype}; export it again"
            )
        self.channels = channel_names(self.file, count)
        self._levels = [self._level(series, i) for i in pyramid(series)] if self.is_plain else []
        self.shape: tuple[int, int] = sizes["Y"], sizes["X"]
        self.reader = BlockReader(self._levels, count, self.dtype, self.nodata or 0)
        self.pixel_size_m = pixel_size_m or tiff_pixel_size(self.file, page, self.shape)

    def _level(self, series: tifffile.TiffPageSeries, i: int) -> Level:
        level = series.levels[i]
        page: Any = level.keyframe
        if page.is_memmappable and np.prod(page.chunks) * self.dtype.itemsize > MAX_BLOCK_BYTES and len(level) == 1:
            values = tifffile.memmap(self.path, page=page.index, mode="r")  # one strip, as it is: nothing to decode
            return array_level(str(self.path), values, level.axes, block=(512, 512))
        check_cut_off(self.path, self.file, page)
        array = zarr.open_array(series.aszarr(level=i, maxworkers=DECODERS), mode="r")
        return array_level(str(self.path), array, level.axes)

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        return tuple(level.shape for level in self._levels)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """Raises InputError where a block cannot be decoded."""
        return self.reader.read(y, x, height, width, level)

    def close(self) -> None:
        self.file.close()


def pyramid(series: tifffile.TiffPageSeries) -> list[int]:
    """Indices of the levels of the same channels, each smaller than the one before."""
    kept = [0]
    size = {axis: length for axis, length in zip(series.axes, series.shape, strict=True)}
    for i, level in enumerate(series.levels[1:], 1):
        here = {axis: length for axis, length in zip(level.axes, level.shape, strict=True)}
        same = [axis for axis in here if axis not in "YX"] == [axis for axis in size if axis not in "YX"]
        if same and level.dtype == series.dtype and here["Y"] <= size["Y"] and here["X"] <= size["X"]:
            kept.append(i)
    return kept


def is_plain(page: Any, ome: bool) -> bool:
    """Are the stored values the scene's, upright and as numbers? Of OME-TIFF the palettes are only a way to show."""
    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    return (
        (
            photometric in ("MINISBLACK", "RGB")
            or (photometric == "YCBCR" and page.compression in JPEGS)
            or (ome and photometric == "PALETTE")
        )
        and page.tags.valueof(ORIENTATION, 1) == 1
        and page.bitspersample in (8, 16, 32, 64)
    )


def check_cut_off(path: Path, file: tifffile.TiffFile, page: Any) -> None:
    ends = np.asarray(page.dataoffsets, np.int64) + np.asarray(page.databytecounts, np.int64)[: len(page.dataoffsets)]
    if ends.max(initial=0) > file.filehandle.size:
        raise InputError(
            f"{str(path)!r}: wanted a whole TIFF of at least {ends.max()} bytes, got {file.filehandle.size}: it is cut "
            "off; copy it again"
        )


def tiff_pixel_size(file: tifffile.TiffFile, page: Any, shape: tuple[int, int]) -> float | None:
    """What is meant for it, from the surest to the least sure."""
    ground = ground_size(page, shape)
    if ground is not None:
        return ground
    if file.is_svs:
        return from_aperio(page.description)
    if file.is_ome:
        size = from_ome_xml(file.ome_metadata or "")
        if size is not None:
            return size
    x, y = page.resolution if 282 in page.tags and 283 in page.tags else (0.0, 0.0)
    if file.is_imagej:
        return from_imagej(file.imagej_metadata, x, y)
    return from_resolution(x, y, int(page.resolutionunit))


def channel_names(file: tifffile.TiffFile, count: int) -> tuple[str, ...]:
    if count in (3, 4) and tifffile.PHOTOMETRIC(file.series[0].keyframe.photometric).name in ("RGB", "YCBCR"):
        return ("red", "green", "blue", "alpha")[:count]
    return ("",) * count


def number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None
