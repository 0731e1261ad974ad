"""What a picture file holds, of any common format, before anyone says whether it is an image or a label map.

A file is read by its content, not by its suffix. Its header is held against `MAX_PIXELS` before memory is taken.
Whatever a damaged file makes a decoder do ends here as one `InputError` that names the file.
"""

from __future__ import annotations

import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from domains.errors import InputError
from domains.scenes.address import Source

MAX_PIXELS = 175_000_000  # just under the 178,956,970 at which Pillow refuses by itself: one limit for every format
MAX_VALUES = 4 * MAX_PIXELS  # pixels x channels of a TIFF, which may claim 65,535 channels

_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # named, so that no file can start Pillow's Ghostscript reader
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GDAL_NODATA = 42113  # the tag GDAL_NODATA, text (https://gdal.org/en/stable/drivers/raster/gtiff.html)
_ORIENTATION = 274  # tag of TIFF 6.0 and EXIF
_STRIP_ROWS = 512  # copied at a time


@dataclass(frozen=True)
class Picture:
    """values: (H, W) or (H, W, C) as stored, turned upright.

    palette: (256 or more, 3) uint8, of which values are indices. inks: CMYK. nodata: the value that GDAL declares to be
    none. alpha: the channel in which a TIFF says where it has data; that of a PNG or WebP says how to show it.
    """

    values: np.ndarray
    format: str
    palette: np.ndarray | None = None
    inks: bool = False
    nodata: float | None = None
    alpha: int | None = None


def decode(path: Path) -> Picture:
    """The first page of a PNG, JPEG, TIFF, WebP or BMP file. Raises InputError."""
    try:
        with quiet(), open(path, "rb") as file:
            head = file.read(26)  # as far as a PNG's bit depth
            file.seek(0)
            if not head:
                raise InputError(f"{str(path)!r}: wanted a picture, got an empty file (0 bytes); copy it again")
            if head[:4] in _TIFF_SIGNATURES:
                picture = _decode_tiff(path, file)
            else:
                picture = _decode_with_pillow(path, file, deep_png=head[:4] == b"\x89PNG" and head[24:25] == b"\x10")
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{str(path)!r}: wanted a picture, there is no such file; check the path") from error
    except Exception as error:  # on damaged bytes decoders raise anything, from struct.error to MemoryError
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"{str(path)!r}: wanted a whole picture, got a damaged or unsupported one ({reason}); copy or save it again"
        ) from error
    if not picture.values.size:
        raise InputError(f"{str(path)!r}: wanted a picture, got one without pixels (cut off?); copy it again")
    return picture


def _decode_with_pillow(path: Path, file: BinaryIO, deep_png: bool) -> Picture:
    """deep_png: 16 bits per channel, of which Pillow would keep the high byte only where there is colour."""
    try:
        image = Image.open(file, formats=_PILLOW_FORMATS)
    except Image.DecompressionBombError as error:
        raise too_large(path, "more") from error
    except Image.UnidentifiedImageError as error:
        raise InputError(
            f"{str(path)!r}: wanted a PNG, JPEG, TIFF, WebP or BMP picture, its content is none of these; convert it"
        ) from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise too_large(path, f"{image.width} x {image.height}")
        if image.format == "PNG":
            _check_png(file)
        orientation = image.getexif().get(_ORIENTATION, 1)
        palette = None
        if deep_png:
            file.seek(0)
            values = imagecodecs.png_decode(file.read())
        else:
            image.load()
            if image.mode in ("P", "PA"):
                palette = np.zeros((256, 3), np.uint8)
                colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
                palette[: len(colours)] = colours
            elif image.mode not in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "I", "F"):
                image = image.convert("RGB")
            values = _values(image)
            if image.mode == "PA":
                values = values[..., 0]
    kind = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with a preview behind it
    return Picture(upright(values, orientation), kind, palette=palette, inks=image.mode == "CMYK")


def _values(image: Image.Image) -> np.ndarray:
    """`np.asarray(image)` by strips: the whole would be copied twice on its way."""
    pixel = np.asarray(image.crop((0, 0, 1, 1)))
    values = np.empty((image.height, image.width, *pixel.shape[2:]), pixel.dtype)
    for y in range(0, image.height, _STRIP_ROWS):
        values[y : y + _STRIP_ROWS] = np.asarray(image.crop((0, y, image.width, min(y + _STRIP_ROWS, image.height))))
    return values


def _check_png(file: BinaryIO) -> None:
    """Holds every chunk against its checksum, which Pillow does not do for pixels. Raises ValueError."""
    position, end = file.tell(), file.seek(0, os.SEEK_END)
    start, kind = 8, b""
    while kind != b"IEND":
        file.seek(start)
        if start + 12 > end:
            raise ValueError("its end is missing")
        length, kind = struct.unpack(">I4s", file.read(8))
        if start + 12 + length > end:
            raise ValueError(f"chunk {kind!r} is cut off")
        checksum = zlib.crc32(file.read(length), zlib.crc32(kind))
        if file.read(4) != checksum.to_bytes(4, "big"):
            raise ValueError(f"chunk {kind!r} does not match its checksum")
        start += length + 12
    file.seek(position)


def _decode_tiff(path: Path, file: BinaryIO) -> Picture:
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        if page.imagewidth * page.imagelength > MAX_PIXELS or page.size > MAX_VALUES:
            raise too_large(path, " x ".join(map(str, page.shape)))
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if max(ends, default=0) > tiff.filehandle.size:
            raise InputError(
                f"{str(path)!r}: wanted a whole TIFF of at least {max(ends)} bytes, got {tiff.filehandle.size}: "
                "it is cut off; copy it again"
            )
        values, axes = page.asarray(), page.axes
        orientation = page.tags.valueof(_ORIENTATION, 1)
        nodata, alpha = nodata_of(page), alpha_of(page)
    for axis in reversed(range(len(axes))):
        if axes[axis] not in "YXS":
            values, axes = values.take(0, axis), axes[:axis] + axes[axis + 1 :]  # the first plane of a stack
    if axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    palette = None
    if page.colormap is not None and photometric == tifffile.PHOTOMETRIC.PALETTE:
        palette = np.zeros((2**16, 3), np.uint8)
        palette[: page.colormap.shape[1]] = (page.colormap >> 8).T
    elif photometric in (tifffile.PHOTOMETRIC.CIELAB, tifffile.PHOTOMETRIC.ICCLAB, tifffile.PHOTOMETRIC.CFA) or (
        photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression not in (6, 7)  # JPEG pages come as RGB
    ):
        raise InputError(f"{str(path)!r}: wanted grey or RGB, got a TIFF in {photometric.name}; save it as RGB")
    inks = photometric == tifffile.PHOTOMETRIC.SEPARATED
    return Picture(upright(values, orientation), "TIFF", palette, inks, nodata, alpha)


def alpha_of(page: Any) -> int | None:
    """The sample of a TIFF page that is alpha (tag 338, 1 associated, 2 not), None where none is."""
    extra = [int(kind) for kind in page.extrasamples]
    alphas = [i for i, kind in enumerate(extra, int(page.samplesperpixel) - len(extra)) if kind in (1, 2)]
    return alphas[0] if alphas else None


def nodata_of(page: Any) -> float | None:
    """The value of a TIFF page that GDAL declares to be no data, None where there is none."""
    try:
        return float(str(page.tags.valueof(_GDAL_NODATA)))
    except ValueError:
        return None


def too_large(path: Source, claim: str) -> InputError:
    """The error for a picture of more than `MAX_PIXELS`. claim: the size that its header states, for people."""
    return InputError(
        f"{str(path)!r}: wanted at most {MAX_PIXELS:,} pixels, its header claims {claim}; cut it into smaller pictures"
    )


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF / TIFF tag 274: how to turn what is stored so that it stands as the camera saw it."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow warns and tifffile logs about what is raised here as one clear error."""
    logger = logging.getLogger("tifffile")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
