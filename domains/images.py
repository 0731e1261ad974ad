"""Pixels from files: any common picture becomes (H, W, 3) uint8 RGB, any label picture an integer or boolean map.

A file is read by its content, not by its suffix. Its header is held against `MAX_PIXELS` before memory is taken.
Whatever a damaged file makes a decoder do ends here as one `InputError` that names the file.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from domains.entities import UNLABELLED, renumber
from domains.errors import InputError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})
MAX_PIXELS = 175_000_000  # just under the 178,956,970 at which Pillow refuses by itself: one limit for every format
MAX_VALUES = 4 * MAX_PIXELS  # pixels x channels of a TIFF, which may claim 65,535 channels

_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # named, so that no file can start Pillow's Ghostscript reader
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GDAL_NODATA = 42113
_ORIENTATION = 274
_VOID = 255  # "no truth here" in the palette label maps of PASCAL VOC, DAVIS and YouTube-VOS


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright (EXIF orientation applied).

    Palette and CMYK become RGB, grey three equal channels. Alpha is dropped, not composited: what lies under it is
    what a camera saw. Of several pages the first is taken, of more than three channels the first three.
    8-bit values stay as they are. 16-bit and float values have no fixed white: their 0.1 to 99.9 percentile range
    over all channels becomes 0..255 (`stretch`). Raises InputError.
    """
    picture = _decode(path)
    values = picture.values
    if picture.palette is not None:
        values = picture.palette[values]
    elif picture.inks:
        values = _from_inks(values)
    if values.ndim == 3:
        values = values[..., :3] if values.shape[2] >= 3 else values[..., 0]
    if values.dtype == np.uint8:
        values = values if picture.white == 255 else values * np.uint8(255 // picture.white)
    elif values.dtype == bool:
        values = values * np.uint8(255)
    else:
        try:
            values = stretch(values, picture.nodata)
        except ValueError as error:
            raise InputError(f"{str(path)!r}: {error}; leave the file out or export it again") from error
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    return np.ascontiguousarray(values)


def read_ids(path: Path) -> np.ndarray:
    """(H, W) int32 entity ids of a label picture: 0 none, -1 unlabelled.

    One channel (or equal channels) of whole numbers. Unlabelled are NaN, a declared nodata value other than 0, and
    255 in a palette picture (the void of PASCAL VOC and DAVIS). Ids beyond int32 are renumbered. Raises InputError.
    """
    picture = _decode(path)
    if picture.format == "JPEG":
        raise InputError(
            f"{str(path)!r}: wanted a label map, got a JPEG, whose compression invents ids; save it as PNG or TIFF"
        )
    values = _one_channel(path, picture)
    unlabelled = np.zeros(values.shape, bool)
    if values.dtype.kind == "f":
        unlabelled = np.isnan(values)
        fractional = ~unlabelled & (values != np.round(values))
        if fractional.any() or np.isinf(values).any():
            odd = float(values[fractional | np.isinf(values)][0])
            raise InputError(f"{str(path)!r}: wanted whole numbers as ids, got {odd!r}; threshold or round it first")
    if picture.nodata:
        unlabelled |= values == picture.nodata
    if picture.palette is not None:
        unlabelled |= values == _VOID
    values = np.where(unlabelled, 0, values).astype(np.int64)
    if values.min() < UNLABELLED:
        raise InputError(f"{str(path)!r}: wanted ids of -1 (unlabelled), 0 (none), 1..N; got {int(values.min())}")
    if values.max() > np.iinfo(np.int32).max:
        values = renumber(values)[0]
    return np.where(unlabelled, UNLABELLED, values).astype(np.int32)


def read_mask(path: Path) -> np.ndarray:
    """(H, W) bool from a binary mask: two values of which one is 0, or 0..255 of which more than 127 is foreground.

    Soft or noisy edges are fine (JPEG too) up to a quarter of the pixels; beyond that, and for small ids, it is no
    binary mask and raises InputError.
    """
    values = _one_channel(path, _decode(path))
    highest = values.max()
    if values.dtype == np.uint8 and highest > 1:
        soft = np.count_nonzero((values > 16) & (values < 239))
        if highest > 127 and soft <= values.size / 4:
            return values > 127
    elif np.isin(values, (0, highest)).all():
        return values > 0
    raise InputError(
        f"{str(path)!r}: wanted a binary mask of 0/1 or 0/255, got values up to {highest.item()!r}; "
        "threshold it, or save ids in a folder of label maps"
    )


def stretch(values: np.ndarray, nodata: float | None = None) -> np.ndarray:
    """uint8 of the same shape: the 0.1..99.9 percentile range of the valid values becomes 0..255.

    Valid is finite and not `nodata`; the rest becomes 0. Where the percentiles meet (nearly constant images) the
    full range is taken; a constant image becomes 0. Raises ValueError where nothing is valid.
    """
    valid = np.isfinite(values)
    if nodata is not None:
        valid &= values != nodata
    known = values[valid]
    if not known.size:
        raise ValueError("wanted pixel values, got only NaN, infinity or nodata")
    sample = known[:: 1 + known.size // 2**24]  # an even sample of 16 M values is enough for a percentile
    low, high = (float(value) for value in np.percentile(sample, (0.1, 99.9)))
    if not high > low:
        low, high = float(known.min()), float(known.max())
    scale = 255.0 / (high - low) if high > low else 0.0
    wide = np.where(valid, values, low).astype(np.result_type(values.dtype, np.float32))
    return np.where(valid, np.round(np.clip((wide - low) * scale, 0, 255)), 0).astype(np.uint8)


@dataclass(frozen=True)
class _Picture:
    """What a file holds, upright but not yet interpreted.

    values: (H, W) or (H, W, C). white: the largest value of an 8-bit or smaller channel. palette: (256, 3) uint8.
    """

    values: np.ndarray
    format: str
    white: int = 255
    palette: np.ndarray | None = None
    inks: bool = False
    nodata: float | None = None


def _decode(path: Path) -> _Picture:
    try:
        with _quiet(), open(path, "rb") as file:
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


def _decode_with_pillow(path: Path, file: BinaryIO, deep_png: bool) -> _Picture:
    """deep_png: 16 bits per channel, of which Pillow would keep the high byte only where there is colour."""
    try:
        image = Image.open(file, formats=_PILLOW_FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more") from error
    except Image.UnidentifiedImageError as error:
        raise InputError(
            f"{str(path)!r}: wanted a PNG, JPEG, TIFF, WebP or BMP picture, its content is none of these; convert it"
        ) from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(path, f"{image.width} x {image.height}")
        orientation = image.getexif().get(_ORIENTATION, 1)
        palette = None
        image.load()
        if deep_png:
            file.seek(0)
            values = imagecodecs.png_decode(file.read())
        else:
            if image.mode in ("P", "PA"):
                palette = np.zeros((256, 3), np.uint8)
                colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
                palette[: len(colours)] = colours
            elif image.mode not in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "I", "F"):
                image = image.convert("RGB")
            values = np.asarray(image)
            if image.mode == "PA":
                values = values[..., 0]
    picture = _Picture(values, str(image.format), palette=palette, inks=image.mode == "CMYK")
    return replace(picture, values=_upright(values, orientation))


def _decode_tiff(path: Path, file: BinaryIO) -> _Picture:
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        if page.imagewidth * page.imagelength > MAX_PIXELS or page.size > MAX_VALUES:
            raise _too_large(path, " x ".join(map(str, page.shape)))
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if max(ends, default=0) > tiff.filehandle.size:
            raise InputError(
                f"{str(path)!r}: wanted a whole TIFF of at least {max(ends)} bytes, got {tiff.filehandle.size}: "
                "it is cut off; copy it again"
            )
        values, axes = page.asarray(), page.axes
        orientation = page.tags.valueof(_ORIENTATION, 1)
        nodata = _nodata(page.tags.valueof(_GDAL_NODATA))
    for axis in reversed(range(len(axes))):
        if axes[axis] not in "YXS":
            values, axes = values.take(0, axis), axes[:axis] + axes[axis + 1 :]  # the first plane of a stack
    if axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    white = 2 ** min(page.bitspersample, 8) - 1
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE and values.dtype.kind in "bu":
        values = ~values if values.dtype == bool else (2**page.bitspersample - 1) - values
    palette = None
    if photometric == tifffile.PHOTOMETRIC.PALETTE:
        palette = np.zeros((2**16, 3), np.uint8)
        palette[: page.colormap.shape[1]] = (page.colormap >> 8).T
    elif photometric in (tifffile.PHOTOMETRIC.CIELAB, tifffile.PHOTOMETRIC.ICCLAB, tifffile.PHOTOMETRIC.CFA) or (
        photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression not in (6, 7)  # JPEG pages come as RGB
    ):
        raise InputError(f"{str(path)!r}: wanted grey or RGB, got a TIFF in {photometric.name}; save it as RGB")
    inks = photometric == tifffile.PHOTOMETRIC.SEPARATED
    return _Picture(_upright(values, orientation), "TIFF", white, palette, inks, nodata)


def _nodata(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def _too_large(path: Path, claim: str) -> InputError:
    return InputError(
        f"{str(path)!r}: wanted at most {MAX_PIXELS:,} pixels, its header claims {claim}; cut it into smaller pictures"
    )


def _one_channel(path: Path, picture: _Picture) -> np.ndarray:
    """(H, W): the values of a grey or palette picture, or of a colour one whose channels are equal."""
    values = picture.values
    if values.ndim == 2:
        return values
    if values.shape[2] >= 3:
        first, spread = values[..., :1], 16 if picture.format == "JPEG" else 0
        if picture.inks or (np.abs(values[..., :3].astype(np.float64) - first) > spread).any():
            raise InputError(
                f"{str(path)!r}: wanted one channel of ids or a binary mask, got colours; "
                "save the ids themselves as a grey or palette PNG or as TIFF"
            )
    return values[..., 0]


def _from_inks(values: np.ndarray) -> np.ndarray:
    """CMYK, 255 full ink, to RGB as Pillow does it: (1 - ink) (1 - black)."""
    paper = 255 - values[..., :4].astype(np.uint16)
    return ((paper[..., :3] * paper[..., 3:] + 127) // 255).astype(np.uint8)


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF / TIFF tag 274: how to turn what is stored so that it stands as the camera saw it."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns and tifffile logs about what is raised here as one clear error."""
    logger = logging.getLogger("tifffile")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
