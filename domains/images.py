"""Pixels from files: any common picture becomes (H, W, 3) uint8 RGB (label pictures: `domains.label_pictures`).

What is no picture, or not the kind that was asked for, ends as one `InputError` that names the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from domains.decode import decode
from domains.errors import InputError
from domains.label_pictures import read_ids as read_ids  # where label pictures were read before
from domains.label_pictures import read_mask as read_mask
from domains.validity import Validity

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright (EXIF orientation applied).

    Palette and CMYK become RGB, grey three equal channels. Alpha is dropped, not composited: what lies under it is
    what a camera saw. Of several pages the first is taken, of more than three channels the first three.
    8-bit values stay as they are. 16-bit and float values have no fixed white: their 0.1 to 99.9 percentile range
    over all channels becomes 0..255 (`stretch`). What a TIFF declares to hold no data, by value or by alpha, is 0
    (`Validity.blanked`). Raises InputError.
    """
    picture = decode(path)
    values = stored = picture.values if picture.values.ndim == 3 else picture.values[..., None]
    # of 8 bits without a place on the ground it is what a slide does not store, as `scenes.tiff` has it
    nodata = picture.nodata if values.dtype != np.uint8 or picture.placed else None
    validity = Validity(nodata, picture.alpha, values.dtype.kind == "f")
    if picture.palette is not None:
        values = picture.palette[values[..., 0]]
    elif picture.inks:
        values = _from_inks(values)
    values = values[..., :3] if values.shape[2] >= 3 and picture.alpha in (None, 3) else values[..., :1]
    if values.dtype == np.uint8:
        values = values if picture.white == 255 else values * np.uint8(255 // picture.white)
    elif values.dtype == bool:
        values = values * np.uint8(255)
    else:
        try:
            seen = validity.pixels(stored) if picture.alpha is not None else None
            values = stretch(values, nodata, seen)
        except ValueError as error:
            raise InputError(f"{str(path)!r}: {error}; leave the file out or export it again") from error
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return np.ascontiguousarray(validity.blanked(values, stored))


def as_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) to be looked at of (H, W, C): the first three channels, of two the second twice."""
    return np.ascontiguousarray(image[..., :3] if image.shape[2] > 2 else image[..., [0, 1, 1]])


def stretch(values: np.ndarray, nodata: float | None = None, seen: np.ndarray | None = None) -> np.ndarray:
    """uint8 of the same shape: the 0.1..99.9 percentile range of the valid values becomes 0..255.

    Valid is finite and not `nodata`; the rest becomes 0. seen: of the pixels, those that the range is of. Raises
    ValueError where nothing is valid.
    """
    return apply_stretch(values, *stretch_limits(values if seen is None else values[seen], nodata), nodata)


def stretch_limits(values: np.ndarray, nodata: float | None = None) -> tuple[float, float]:
    """(low, high) for `apply_stretch`: the 0.1 and 99.9 percentile of the valid values.

    Where these meet (nearly constant images) the full range is taken; low equals high for a constant image.
    """
    known = values[Validity(nodata).values(values)]
    if not known.size:
        raise ValueError("wanted pixel values, got only NaN, infinity or nodata")
    sample = known[:: 1 + known.size // 2**24]  # an even sample of 16 M values is enough for a percentile
    low, high = (float(value) for value in np.percentile(sample, (0.1, 99.9)))
    return (low, high) if high > low else (float(known.min()), float(known.max()))


def apply_stretch(values: np.ndarray, low: float, high: float, nodata: float | None = None) -> np.ndarray:
    """uint8 of the same shape: low..high to 0..255, what lies beyond clipped, what is not valid 0."""
    valid = Validity(nodata).values(values)
    scale = 255.0 / (high - low) if high > low else 0.0
    wide = np.where(valid, values, low).astype(np.result_type(values.dtype, np.float32))
    return np.where(valid, np.round(np.clip((wide - low) * scale, 0, 255)), 0).astype(np.uint8)


def _from_inks(values: np.ndarray) -> np.ndarray:
    """CMYK, 255 full ink, to RGB as Pillow does it: (1 - ink) (1 - black)."""
    paper = 255 - values[..., :4].astype(np.uint16)
    return ((paper[..., :3] * paper[..., 3:] + 127) // 255).astype(np.uint8)
