"""TIFF scenes through tifffile: SVS, OME-TIFF, QPTIFF, NDPI, BigTIFF, COG, generic; tiled or striped.

The first series is the scene; its lower resolutions (sub-IFDs, or pages that follow) are the levels. Of stacks the
first time and the first plane in depth are taken; channels and samples become channels.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile

from domains.bands import RGB
from domains.decode import alpha_of, nodata_of, quiet
from domains.errors import InputError
from domains.scenes.blocks import MAX_BLOCK_BYTES, BlockReader, Level, array_level, check_block, damaged
from domains.scenes.geotags import georeference, ground_size
from domains.scenes.pixel_size import from_aperio, from_imagej, from_ome_xml, from_resolution
from domains.scenes.scene import Photograph, Scene
from domains.validity import ALPHA, held

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_CHANNELS = 64
ORIENTATION = 274
JPEGS = (6, 7, 33003, 33004, 33005, 34712)  # their YCbCr comes as RGB
JPEG_2000 = (33003, 33004, 33005, 34712)
APERIO_YCBCR = 33003  # JPEG 2000 of Y, Cb and Cr whatever the tags say (https://openslide.org/formats/aperio/)


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
        self.file = tifffile.TiffFile(path, _multifile=False)  # no file that another one names
        self._file = os.open(path, os.O_RDONLY)
        try:
            self._open(pixel_size_m)
        except BaseException:
            self.close()
            raise

    def _open(self, pixel_size_m: float | None) -> None:
        series = self.file.series[0]
        page: Any = series.keyframe
        self.is_plain = is_plain(page, self.file.is_ome)
        self.dtype = np.dtype(series.dtype)
        fill = held(nodata_of(page), self.dtype)
        self.georeference = georeference(page)
        # of 8 bits without a place on the ground, a slide, it is the glass of tiles that are not stored
        self.nodata = fill if self.dtype != np.uint8 or self.georeference else None
        sizes = dict(zip(series.axes, series.shape, strict=True))
        count = sizes.get("C", 1) * sizes.get("S", 1)
        if count > MAX_CHANNELS or not {"Y", "X"} <= sizes.keys() or self.dtype.kind not in "uifb":
            raise InputError(
                f"{str(self.path)!r}: wanted an image of numbers with up to {MAX_CHANNELS} channels, got "
                f"{series.shape} in {series.axes} of {series.dtype}; export it again"
            )
        self.channels = channel_names(self.file, count)
        self._levels = [self._level(series.levels[i]) for i in pyramid(series)] if self.is_plain else []
        self.shape: tuple[int, int] = sizes["Y"], sizes["X"]
        self.reader = BlockReader(self._levels, count, self.dtype, fill or 0)
        self.pixel_size_m = pixel_size_m or tiff_pixel_size(self.file, page, self.shape)

    def _level(self, series: tifffile.TiffPageSeries) -> Level:
        page: Any = series.keyframe
        strips = np.prod(page.chunks, dtype=np.int64) * self.dtype.itemsize
        if page.is_memmappable and strips > MAX_BLOCK_BYTES and len(series) == 1:
            values = tifffile.memmap(self.path, page=page.index, mode="r")  # one strip as it is: nothing to decode
            return array_level(str(self.path), values, series.axes, block=(512, 512))
        check_cut_off(self.path, self.file, page)
        return tiff_level(self.path, series, self._file)

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        return tuple(level.shape for level in self._levels)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """Raises InputError where a block cannot be decoded."""
        return self.reader.read(y, x, height, width, level)

    def close(self) -> None:
        self.file.close()
        os.close(self._file)


def tiff_level(path: Path, series: tifffile.TiffPageSeries, file: int) -> Level:
    """Blocks decoded by tifffile, one call each: through its zarr store a block of 240 x 240 px in JPEG takes 1.5 ms of
    processor time in place of 0.4, and two changes of thread.

    file: a descriptor for reads that share no position.
    """
    page: Any = series.keyframe
    sizes = dict(zip(series.axes, series.shape, strict=True))
    height, width, planes = sizes["Y"], sizes["X"], sizes.get("C", 1)
    tall, wide = (int(length) for length in (page.tilelength or page.rowsperstrip, page.tilewidth or page.imagewidth))
    tall, wide = min(tall, height), (wide if page.is_tiled else width)
    samples = int(page.samplesperpixel)
    separate = samples > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    count = planes * samples
    check_block(str(path), (tall, wide), count, np.dtype(series.dtype))
    rows, columns = -(-height // tall), -(-width // wide)
    pages = [page_of(path, series, plane) for plane in first_planes(series)]
    nodata = held(nodata_of(page), np.dtype(series.dtype)) or 0

    def strile(plane: int, index: int) -> np.ndarray | None:
        """(h, w, S) of one stored strip or tile; None where nothing was stored."""
        holder, shift = pages[plane]
        if index >= len(holder.dataoffsets) or not holder.databytecounts[index] or not holder.dataoffsets[index]:
            return None
        content = os.pread(file, holder.databytecounts[index], holder.dataoffsets[index] + shift)
        if page.compression in JPEG_2000:
            check_block(str(path), codestream_size(content), samples, np.dtype(series.dtype))
        if page.compression == APERIO_YCBCR and samples == 3:
            return rgb_of(imagecodecs.jpeg2k_decode(content))
        tables = {"jpegtables": holder.jpegtables} if holder.jpegtables is not None else {}
        header = {"jpegheader": page.jpegheader} if page.jpegheader is not None else {}
        values = page.decode(content, index, **tables, **header)[0]
        return None if values is None else values[0]

    def fetch(row: int, column: int) -> np.ndarray:
        shape = min(tall, height - row * tall), min(wide, width - column * wide)
        result = np.full((*shape, count), nodata, series.dtype)
        try:
            for plane in range(planes):
                for sample in range(samples if separate else 1):
                    values = strile(plane, (sample * rows + row) * columns + column)
                    if values is not None:
                        first = plane * samples + sample
                        result[..., first : first + (1 if separate else samples)] = values[: shape[0], : shape[1]]
        except Exception as error:  # damaged blocks make decoders raise anything
            raise damaged(str(path), row * tall, column * wide, error) from error
        return result

    return Level((height, width), (tall, wide), fetch)


def codestream_size(content: bytes) -> tuple[int, int]:
    """(height, width) that a JPEG 2000 codestream says of itself, whatever the tags say; (0, 0) where it has no header.

    The SIZ marker follows the start of the codestream (ISO/IEC 15444-1, A.5.1); a decoder takes memory by it.
    """
    start = content.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(content) < start + 16:
        return 0, 0
    width, height = (int.from_bytes(content[start + at : start + at + 4], "big") for at in (8, 12))
    return height, width


def rgb_of(ycbcr: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 of Y, Cb, Cr, full range as in JFIF, to RGB."""
    return cv2.cvtColor(np.ascontiguousarray(ycbcr[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)


def first_planes(series: tifffile.TiffPageSeries) -> list[int]:
    """Indices of the pages that hold the channels of the first time and depth."""
    leading = [(axis, length) for axis, length in zip(series.axes, series.shape, strict=True) if axis not in "YXS"]
    numbers = np.arange(int(np.prod([length for _, length in leading], dtype=np.int64)))
    index = tuple(slice(None) if axis == "C" else 0 for axis, _ in leading)
    return np.atleast_1d(numbers.reshape([length for _, length in leading])[index]).tolist()


def page_of(path: Path, series: tifffile.TiffPageSeries, index: int) -> tuple[Any, int]:
    """The page with the offsets of a plane, and what to add to them: ImageJ and others list only the first page."""
    page: Any = series[0] if series.dataoffset is not None else series[index]
    if page is None:
        raise InputError(
            f"{str(path)!r}: a channel of it is missing, or lies in another file; join them in one OME-TIFF"
        )
    return page, index * int(page.nbytes) if series.dataoffset is not None else 0


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
        and page.imagedepth == 1
    )


class CutOff(InputError):
    """The file ends before its last block."""


def check_cut_off(path: Path, file: tifffile.TiffFile, page: Any) -> None:
    ends = np.asarray(page.dataoffsets, np.int64) + np.asarray(page.databytecounts, np.int64)[: len(page.dataoffsets)]
    if ends.max(initial=0) > file.filehandle.size:
        raise CutOff(
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
    """Colours and alpha as the tags have them; "" for all else."""
    page: Any = file.series[0].keyframe
    names = [""] * count
    if count == int(page.samplesperpixel):
        if count >= 3 and tifffile.PHOTOMETRIC(page.photometric).name in ("RGB", "YCBCR"):
            names[:3] = RGB
        alpha = alpha_of(page)
        if alpha is not None:
            names[alpha] = ALPHA
    return tuple(names)
