"""Pixels from files: any common picture becomes (H, W, 3) uint8 RGB, any label picture an integer or boolean map.

What is no picture, or not the kind that was asked for, ends as one `InputError` that names the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from domains.decode import MAX_PIXELS, Picture, decode, too_large
from domains.entities import UNLABELLED, renumber
from domains.errors import InputError
from domains.scenes import Viewed, open_scene, plain_view
from domains.scenes.scene import read_whole

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})
_VOID = 255  # "no truth here" in the palette label maps of PASCAL VOC, DAVIS and YouTube-VOS


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright: the whole of what `predict` shows the network of the file, by the same way.

    What that is, say `open_scene` (which image of a file, which plane of a stack, palettes and inks as colours, EXIF
    orientation), `plain_view` (which channels, 8-bit values as they are, others stretched) and `Viewed` (0 where there
    are no data). Alpha of a PNG is dropped, not composited: what lies under it is what a camera saw. Raises InputError,
    also for more than `decode.MAX_PIXELS`.
    """
    scene = open_scene(path)
    try:
        height, width = scene.shape
        if height * width > MAX_PIXELS:
            raise too_large(path, f"{width} x {height}")
        return np.ascontiguousarray(read_whole(Viewed(scene, plain_view(scene))))
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{str(path)!r}: {error}") from error
    finally:
        scene.close()


def as_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) to be looked at of (H, W, C): the first three channels, of two the second twice."""
    return np.ascontiguousarray(image[..., :3] if image.shape[2] > 2 else image[..., [0, 1, 1]])


def read_ids(path: Path) -> np.ndarray:
    """(H, W) int32 entity ids of a label picture: 0 none, -1 unlabelled.

    One channel (or equal channels) of whole numbers. Unlabelled are NaN, a declared nodata value other than 0, and
    255 in a palette PNG (the void of PASCAL VOC and DAVIS). Ids beyond int32 are renumbered. Raises InputError.
    """
    picture = decode(path)
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
    if picture.palette is not None and picture.format == "PNG":
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
    values = _one_channel(path, decode(path))
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


def _one_channel(path: Path, picture: Picture) -> np.ndarray:
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
