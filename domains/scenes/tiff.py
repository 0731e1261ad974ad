"""TIFF scenes through tifffile: SVS, OME-TIFF, QPTIFF, NDPI, BigTIFF, COG, generic; tiled or striped.

The picture is the largest image of a file, its smaller copies are the levels (`main_image`). Of stacks the first time
and the first plane in depth are taken; channels and samples become channels. Palettes, inks, white that is 0 and few
bits come as what they mean (`meaning`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import IO, Any, cast

import cv2
import imagecodecs
import numpy as np
import tifffile

from domains.bands import RGB, as_colours
from domains.errors import InputError
from domains.scenes.address import Source
from domains.scenes.blocks import MAX_BLOCK_BYTES, BlockReader, Level, array_level, check_block, damaged
from domains.scenes.decode import MAX_PIXELS, MAX_VALUES, alpha_of, nodata_of, quiet, too_large, upright
from domains.scenes.geotags import georeference, ground_size
from domains.scenes.main_image import first_planes, levels_of, main_image, remarks_of
from domains.scenes.meaning import PLAIN, Meaning, of_grey
from domains.scenes.pixel_size import from_aperio, from_imagej, from_ome_xml, from_resolution, ome_channels
from domains.scenes.ranges import Cursor, Ranges, Unreachable
from domains.scenes.scene import Photograph, Scene, clipped
from domains.scenes.validity import ALPHA, held

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_CHANNELS = 4096  # hyperspectral sensors have some hundreds
ORIENTATION = 274  # tag of TIFF 6.0
JPEGS = (6, 7, 33003, 33004, 33005, 34712)  # their YCbCr comes as RGB
JPEG_2000 = (33003, 33004, 33005, 34712)  # compression numbers, as tifffile.COMPRESSION names them
APERIO_YCBCR = 33003  # JPEG 2000 of Y, Cb and Cr whatever the tags say (https://openslide.org/formats/aperio/)


Pread = Callable[[int, int], bytes]
"""(how many bytes, from which offset on) to bytes; of a file that has no position which threads would share."""


def open_tiff(
    path: Source, pixel_size_m: float | None = None, stored: bool = False, content: Ranges | None = None
) -> Scene:
    """A `TiffScene`, or a picture in memory for what is stored turned or in depth.

    stored: as in `open_scene`. content: of an address, in place of the file. Raises InputError for what is damaged, cut
    off or too large to be held so.
    """
    with quiet():
        scene = TiffScene(path, pixel_size_m, stored, content)
        if scene.is_upright:
            return scene
        try:
            return scene.turned()
        finally:
            scene.close()


def tiff_file(path: Source, content: Ranges | None = None) -> tifffile.TiffFile:
    """tifffile's view of a file, or of the content of an address; of no file that another one names."""
    if content is None:
        return tifffile.TiffFile(str(path), _multifile=False)
    return tifffile.TiffFile(cast(IO[bytes], Cursor(content, str(path))), name=str(path), _multifile=False)


class TiffScene:
    """The picture of a TIFF file, read by windows. stored: values as they are stored, whatever they mean.

    content: of an address, in place of the file.
    """

    def __init__(
        self, path: Source, pixel_size_m: float | None = None, stored: bool = False, content: Ranges | None = None
    ) -> None:
        self.path = path
        self._open_files = ExitStack()
        self.file = self._open_files.enter_context(tiff_file(path, content))
        self._pread: Pread
        if content is None:
            self._memmappable = True
            descriptor = os.open(str(path), os.O_RDONLY)
            self._open_files.callback(os.close, descriptor)
            self._pread = partial(os.pread, descriptor)
        else:
            self._memmappable, self._pread = False, content.pread
        try:
            self._open(pixel_size_m, stored)
        except BaseException:
            self.close()
            raise

    def _open(self, pixel_size_m: float | None, stored: bool) -> None:
        series = main_image(self.file)
        page: Any = series.keyframe
        sizes = dict(zip(series.axes, series.shape, strict=True))
        count = sizes.get("C", 1) * sizes.get("S", 1)
        if series.dtype is None or np.dtype(series.dtype).kind not in "uifb" or count > MAX_CHANNELS:
            raise InputError(
                f"{str(self.path)!r}: wanted an image of numbers with up to {MAX_CHANNELS} channels, got "
                f"{series.shape} in {series.axes} of {series.dtype}; export it again"
            )
        self._series = series
        self._stored = np.dtype(series.dtype)
        self.descriptions = ome_channels(self.file.ome_metadata or "", series.name) if self.file.is_ome else ()
        self._names = channel_names(page, count, self.descriptions)
        self.meaning = PLAIN if stored else meaning_of(self.path, page, self.file.is_ome)
        self.is_upright = page.tags.valueof(ORIENTATION, 1) == 1 and page.imagedepth == 1
        self.shape: tuple[int, int] = sizes["Y"], sizes["X"]
        self.dtype = self.meaning.dtype(self._stored)
        self.channels = self.meaning.channels(self._names)
        self.georeference = georeference(page)
        fill = held(nodata_of(page), self._stored)
        # of 8 bits without a place on the ground, a slide, it is the glass of tiles that are not stored
        declared = fill if self._stored != np.uint8 or self.georeference else None
        if self.meaning.palette is not None and declared is not None:
            self.meaning = Meaning(self.meaning.palette, transparent=(int(declared),))
            self.channels = self.meaning.channels(self._names)
        self.nodata = self.meaning.nodata(declared)
        kept = levels_of(self.file, series) if self.is_upright else []
        self._levels = [self._level(level) for level in kept]
        self.reader = BlockReader(self._levels, count, self._stored, fill or 0)
        self.pixel_size_m, doubts = tiff_pixel_size(self.file, series, self.shape)
        self.pixel_size_m, doubts = (pixel_size_m, ()) if pixel_size_m else (self.pixel_size_m, doubts)
        self.remarks = (*remarks_of(self.file, series), *doubts)
        self.format = kind_of_file(self.file)

    def turned(self) -> Photograph:
        """The picture in memory, upright. Raises InputError where it is too large for that, or cut off."""
        page: Any = self._series.keyframe
        if page.imagewidth * page.imagelength > MAX_PIXELS or page.size > MAX_VALUES:
            raise too_large(self.path, " x ".join(map(str, page.shape)))
        check_cut_off(self.path, self.file, page)
        values, axes = page.asarray(), page.axes
        for axis in reversed(range(len(axes))):
            if axes[axis] not in "YXS":
                values, axes = values.take(0, axis), axes[:axis] + axes[axis + 1 :]  # the first plane in depth
        values = np.moveaxis(values, 0, -1) if axes == "SYX" else values if axes == "YXS" else values[..., None]
        values = np.ascontiguousarray(upright(self.meaning(values, self._names), page.tags.valueof(ORIENTATION, 1)))
        picture = Photograph(values, self.pixel_size_m, self.channels, self.nodata, format=self.format)
        picture.remarks = self.remarks
        return picture

    def _level(self, series: tifffile.TiffPageSeries) -> Level:
        page: Any = series.keyframe
        strips = np.prod(page.chunks, dtype=np.int64) * self.dtype.itemsize
        if self._memmappable and page.is_memmappable and strips > MAX_BLOCK_BYTES and len(series) == 1:
            check_length(self.path, self.file, page)
            values = tifffile.memmap(str(self.path), page=page.index, mode="r")  # one strip as it is: nothing to decode
            return array_level(str(self.path), values, series.axes, block=(512, 512))
        check_cut_off(self.path, self.file, page)
        return tiff_level(self.path, series, self._pread)

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of the picture and its smaller copies, the finest first; () for one that must be turned."""
        return tuple(level.shape for level in self._levels)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """As `Scene.read`. Raises InputError where a block cannot be decoded."""
        if self.meaning.is_plain:
            return self.reader.read(y, x, height, width, level)
        inside, (rows, columns) = clipped(y, x, height, width, self.levels[level])
        result = np.full((height, width, len(self.channels)), self.nodata or 0, self.dtype)
        if rows.start < rows.stop:
            tall, wide = rows.stop - rows.start, columns.stop - columns.start
            stored = self.reader.read(rows.start, columns.start, tall, wide, level)
            result[inside] = self.meaning(stored, self._names)
        return result

    def close(self) -> None:
        """Closes the file and the descriptor that blocks are read through."""
        self._open_files.close()


def tiff_level(path: Source, series: tifffile.TiffPageSeries, pread: Pread) -> Level:
    """Blocks decoded by tifffile, one call each: through its zarr store a block of 240 x 240 px in JPEG takes 1.5 ms of
    processor time in place of 0.4, and two changes of thread.

    pread: bytes of the file.
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
        content = pread(holder.databytecounts[index], holder.dataoffsets[index] + shift)
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
                        channel = plane * samples + sample
                        result[..., channel : channel + (1 if separate else samples)] = values[: shape[0], : shape[1]]
        except Unreachable:
            raise
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


def page_of(path: Source, series: tifffile.TiffPageSeries, index: int) -> tuple[Any, int]:
    """The page with the offsets of a plane, and what to add to them: ImageJ and others list only the first page."""
    page: Any = series[0] if series.dataoffset is not None else series[index]
    if page is None:
        raise InputError(
            f"{str(path)!r}: a channel of it is missing, or lies in another file; join them in one OME-TIFF"
        )
    return page, index * int(page.nbytes) if series.dataoffset is not None else 0


def meaning_of(path: Source, page: Any, ome: bool) -> Meaning:
    """What the stored values of a page mean. Of OME-TIFF the palettes are only a way to show. Raises InputError."""
    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    dtype = np.dtype(page.dtype)
    if photometric == "PALETTE" and not ome and page.colormap is not None and dtype.kind == "u":
        if page.colormap.ndim != 2 or len(page.colormap) != 3:
            raise InputError(
                f"{str(path)!r}: wanted a palette of red, green and blue, got a damaged one; copy it again"
            )
        return Meaning((page.colormap >> 8).T.astype(np.uint8))
    if photometric == "SEPARATED" and page.samplesperpixel >= 4 and dtype in (np.uint8, np.uint16):
        return Meaning(inks=True)
    if photometric in ("MINISBLACK", "MINISWHITE", "PALETTE", "MASK"):
        return of_grey(int(page.bitspersample), dtype, photometric == "MINISWHITE")
    if photometric == "RGB" or (photometric == "YCBCR" and page.compression in JPEGS):
        return of_grey(int(page.bitspersample), dtype)
    raise InputError(f"{str(path)!r}: wanted grey or RGB, got a TIFF in {photometric}; save it as RGB")


class CutOff(InputError):
    """The file ends before its last block."""


def check_cut_off(path: Source, file: tifffile.TiffFile, page: Any) -> None:
    """Raises CutOff where a strip or tile of a page would end behind the end of the file."""
    ends = np.asarray(page.dataoffsets, np.int64) + np.asarray(page.databytecounts, np.int64)[: len(page.dataoffsets)]
    _check_end(path, file, int(ends.max(initial=0)))


def check_length(path: Source, file: tifffile.TiffFile, page: Any) -> None:
    """Raises CutOff for a strip without compression that ends early; its bytes are its pixels, whatever tags say."""
    _check_end(path, file, int(page.dataoffsets[0]) + int(page.nbytes))


def _check_end(path: Source, file: tifffile.TiffFile, end: int) -> None:
    if end > file.filehandle.size:
        raise CutOff(
            f"{str(path)!r}: wanted a whole TIFF of at least {end} bytes, got {file.filehandle.size}: it is cut off; "
            "copy it again"
        )


def tiff_pixel_size(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, shape: tuple[int, int]
) -> tuple[float | None, tuple[str, ...]]:
    """(what is meant for it, from the surest to the least sure; what was not believed)."""
    page: Any = series.keyframe
    ground = ground_size(page, shape)
    if ground is not None:
        return ground, ()
    if file.is_svs:
        return from_aperio(page.description), ()
    if file.is_ome:
        size, doubts = from_ome_xml(file.ome_metadata or "", series.name)
        if size is not None or doubts:
            return size, doubts
    x, y = page.resolution if 282 in page.tags and 283 in page.tags else (0.0, 0.0)
    if file.is_imagej:
        return from_imagej(file.imagej_metadata, x, y)
    return from_resolution(x, y, int(page.resolutionunit))


def channel_names(page: Any, count: int, descriptions: Sequence[str] = ()) -> tuple[str, ...]:
    """Colours and alpha as the tags have them, else red, green and blue as OME-XML calls them; "" for all else."""
    names = [""] * count
    if count == int(page.samplesperpixel):
        if count >= 3 and tifffile.PHOTOMETRIC(page.photometric).name in ("RGB", "YCBCR"):
            names[:3] = RGB
        alpha = alpha_of(page)
        if alpha is not None:
            names[alpha] = ALPHA
    if not any(names) and len(descriptions) == count:
        called = as_colours(descriptions)
        names = [name if {*RGB} <= {*called} and name in RGB else "" for name in called]
    return tuple(names)


def kind_of_file(file: tifffile.TiffFile) -> str:
    """What wrote a TIFF, for people."""
    kinds = {"svs": "SVS", "ome": "OME-TIFF", "imagej": "ImageJ TIFF", "ndpi": "NDPI", "scn": "SCN", "qpi": "QPTIFF"}
    return next((name for mark, name in kinds.items() if getattr(file, f"is_{mark}")), "TIFF")
