"""What a label picture stores, read as it was meant: ids as (H, W) int32, or a mask as (H, W) bool.

`stored_labels` undoes what a file does to its numbers (inverted tables, paint on transparent layers, grey palettes,
equal channels); `read_ids` and `read_mask` are for files of which it is stated what their numbers are. Where nothing is
stated, `domains.formats.label_meanings` decides for a whole folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import maximum_filter, minimum_filter

from domains.entities import UNLABELLED, renumber
from domains.errors import InputError
from domains.scenes.decode import Picture, decode, quiet

VOID = 255  # "no truth here" in the palette label maps of PASCAL VOC, DAVIS and YouTube-VOS
INVERTED = (
    "is stored white-is-zero (ImageJ's inverting LUT, boolean arrays of tifffile): the stored numbers are taken, not "
    "the shown ones; save it black-is-zero if the shown ones are meant"
)
PLANES = (
    "has several planes: the first is taken for the labels of its image; save one plane, or ids in one picture if each "
    "plane is an entity"
)
TRANSPARENT = (
    "has labels below transparent pixels: they are taken for erased, so nothing is there; save it without alpha if "
    "they are meant"
)
GREYS = (
    "has a palette of greys that do not rise with its numbers: the greys are taken, not the numbers; save it as grey "
    "if the numbers are meant"
)


@dataclass(frozen=True)
class StoredLabels:
    """values: (H, W) numbers of any type; of colours R + 256 G + 65536 B, as COCO's panoptic maps have their ids.

    unlabelled: (H, W) bool, where the file itself says so. full: the number that white has, 255 or 65535. lossy: a
    JPEG. notes: what was assumed, the same text for all files of a kind.
    """

    values: np.ndarray
    unlabelled: np.ndarray
    full: int = 255
    lossy: bool = False
    coloured: bool = False
    notes: tuple[str, ...] = ()


def stored_labels(path: Path) -> StoredLabels:
    """The numbers of a label picture. Raises InputError for what is no picture, inks, and colours of 16 bits.

    Of a TIFF that is white-is-zero the stored numbers count; a layer of one paint with alpha is its alpha; channels
    that are equal, or of which all others are 0, are one. Unlabelled are NaN, a declared nodata value other than 0, and
    255 in a palette PNG.
    """
    picture = decode(path)
    notes: list[str] = []
    values = picture.values
    if picture.format == "TIFF" and _has_planes(path):
        notes.append(PLANES)
    if picture.format == "TIFF" and values.dtype.kind in "bu" and is_white_is_zero(path):
        notes += [INVERTED] if values.any() else []
    if picture.palette is not None:
        values, unlabelled = _of_palette(values.reshape(values.shape[:2]), picture, notes)
        return StoredLabels(values, unlabelled, notes=tuple(notes))
    coloured = False
    if values.ndim == 3:
        values, coloured = _one_channel(path, values, picture, notes)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    unlabelled = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    if picture.nodata and not coloured:
        unlabelled |= values == picture.nodata
    full = 65535 if values.dtype == np.uint16 and values.max() > 255 else 255
    return StoredLabels(values, unlabelled, full, picture.format == "JPEG", coloured, tuple(notes))


def read_ids(path: Path) -> np.ndarray:
    """(H, W) int32 entity ids of a label picture: 0 none, -1 unlabelled.

    Whole numbers, unlabelled as in `stored_labels`; ids beyond int32 are renumbered. Raises InputError, for colours and
    for a JPEG too.
    """
    labels = stored_labels(path)
    if labels.lossy:
        raise of_jpeg(path)
    return as_ids(path, without_colours(path, labels))


def read_mask(path: Path) -> np.ndarray:
    """(H, W) bool from a binary mask: two values of which one is 0, or 0..255 of which more than 127 is foreground.

    Soft or noisy edges are fine (JPEG too) up to a quarter of the pixels; beyond that, for small ids, and for numbers
    that lie flat instead of along edges (`looks_soft`), it is no binary mask and raises InputError.
    """
    labels = without_colours(path, stored_labels(path))
    values, half = labels.values, labels.full // 2
    highest = values.max()
    if np.isin(values, (0, highest)).all() and (values.dtype != np.uint8 or highest > half or highest <= 1):
        return values > 0
    if values.dtype.kind == "u" and highest > half and looks_soft(labels):
        return values > half
    raise InputError(
        f"{str(path)!r}: wanted a binary mask of 0/1 or 0/255, got values up to {highest.item()!r} that are no soft "
        "edges; threshold it, or save ids in a folder of label maps"
    )


def hold_masks(paths: Sequence[Path], numbers: int = 1) -> bool:
    """Whether label pictures, as far as three of them tell, are masks: the mark of a published set that has masks.

    numbers: as many besides 0 are a mask too. What cannot be read, or is empty, does not tell.
    """
    telling = 0
    for path in paths:
        try:
            labels = stored_labels(path)
            if not labels.values.any():
                continue
            if len(np.unique(labels.values[labels.values > 0])) > numbers:
                read_mask(path)
        except InputError as error:
            if "wanted a binary mask" in str(error) or "wanted one channel" in str(error):
                return False
            continue
        telling += 1
        if telling == 3:
            break
    return True


def as_ids(path: Path, labels: StoredLabels) -> np.ndarray:
    """(H, W) int32 of whole numbers from -1 on. Raises InputError."""
    values, unlabelled = labels.values, labels.unlabelled
    if values.dtype.kind == "f":
        odd = ~unlabelled & ((values != np.round(values)) | np.isinf(values))
        if odd.any():
            raise InputError(
                f"{str(path)!r}: wanted whole numbers as ids, got {float(values[odd][0])!r}; "
                "threshold or round it first"
            )
    values = np.where(unlabelled, 0, values).astype(np.int64)
    if values.min() < UNLABELLED:
        raise InputError(f"{str(path)!r}: wanted ids of -1 (unlabelled), 0 (none), 1..N; got {int(values.min())}")
    if values.max() > np.iinfo(np.int32).max:
        values = renumber(values)[0]
    return np.where(unlabelled, UNLABELLED, values).astype(np.int32)


def of_jpeg(path: Path) -> InputError:
    """The error of a label picture that was saved as JPEG."""
    return InputError(
        f"{str(path)!r}: wanted a label map, got a JPEG, whose compression invents ids; save it as PNG or TIFF, or set "
        "domain.labels=mask if it is black and white"
    )


def without_colours(path: Path, labels: StoredLabels) -> StoredLabels:
    """The labels themselves. Raises InputError where their numbers are colours."""
    if labels.coloured:
        raise InputError(
            f"{str(path)!r}: wanted one channel of ids or a binary mask, got colours; save the ids themselves as a "
            "grey or palette PNG or as TIFF, or, in a folder of label maps, set domain.labels=ids (a colour is an "
            "entity, as in COCO's panoptic maps) or domain.labels=classes (a colour is a class)"
        )
    return labels


def looks_soft(labels: StoredLabels) -> bool:
    """Whether numbers between black and white are the edges of a mask, or its noise, rather than areas of their own.

    Edges are thin: hardly a pixel of them lies among its equals, and they lie at pixels of other numbers. Ids and
    classes lie flat, or by themselves on the ground. At most a quarter of the pixels may lie between a sixteenth of the
    range and the rest.
    """
    values, full = labels.values, labels.full
    margin = full // 16
    between = (values > margin) & (values < full - margin)
    if np.count_nonzero(between) > values.size / 4:
        return False
    if not labels.lossy:
        faint = (values > 0) & (values <= margin)
        flat = is_flat(values)
        if 5 * np.count_nonzero(flat & faint) > np.count_nonzero(
            faint
        ):  # small numbers with areas, beside a void of 255
            return False
        if 5 * np.count_nonzero(flat & between) > np.count_nonzero(between):
            return False
        return bool(2 * np.count_nonzero(between & ~at_others(values)) <= np.count_nonzero(between))
    return True


def is_flat(values: np.ndarray) -> np.ndarray:
    """(H, W) bool: whether a pixel lies among eight of its own number."""
    return minimum_filter(values, 3, mode="nearest") == maximum_filter(values, 3, mode="nearest")


def at_others(values: np.ndarray) -> np.ndarray:
    """(H, W) bool: whether a pixel has a neighbour (of eight) that is neither 0 nor its own number."""
    highest = maximum_filter(values, 3, mode="nearest")
    ground = np.where(values == 0, np.iinfo(values.dtype).max, values)
    return (highest > values) | (minimum_filter(ground, 3, mode="nearest") < values)


def is_white_is_zero(path: Path) -> bool:
    """Whether a TIFF stores white as 0, so that what is shown is the negative of its numbers."""
    try:
        with quiet(), tifffile.TiffFile(path, _multifile=False) as tiff:
            return tiff.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    except (tifffile.TiffFileError, OSError):
        return False


def _has_planes(path: Path) -> bool:
    """Whether a TIFF has a second page like the first, which is no reduced copy of it."""
    try:
        with quiet(), tifffile.TiffFile(path, _multifile=False) as tiff:
            if len(tiff.pages) < 2:
                return False
            page, following = tiff.pages.first, tiff.pages[1].aspage()
            return following.shape == page.shape and not following.is_reduced
    except Exception:  # tifffile raises anything on a second page that is damaged; the first was read
        return False


def _of_palette(values: np.ndarray, picture: Picture, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(numbers, unlabelled): the indices, or greys that stand in another order, as where a grey picture was reduced."""
    assert picture.palette is not None
    used = np.flatnonzero(np.bincount(values.ravel()))
    colours = picture.palette[used].astype(int)
    greys = (colours == colours[:, :1]).all()
    if greys and len(used) > 1 and (np.diff(colours[:, 0]) < 0).any() and colours.min() == 0:
        notes.append(GREYS)
        return picture.palette[values][..., 0], np.zeros(values.shape, bool)
    unlabelled = values == VOID if picture.format == "PNG" else np.zeros(values.shape, bool)
    return values, unlabelled


def _one_channel(path: Path, values: np.ndarray, picture: Picture, notes: list[str]) -> tuple[np.ndarray, bool]:
    """((H, W) numbers, whether they are colours) of (H, W, C)."""
    channels = values.shape[2]
    if picture.inks:
        raise InputError(f"{str(path)!r}: wanted one channel of ids or a binary mask, got colours in inks; save as PNG")
    last_channel = channels - 1
    alpha = picture.alpha if picture.format == "TIFF" else last_channel if channels in (2, 4) else None
    paint = values[..., :3] if channels >= 3 else values[..., :1]
    if alpha == last_channel and channels in (2, 4):
        layer = values[..., alpha]
        opaque = layer > np.iinfo(layer.dtype).max // 2 if layer.dtype.kind == "u" else layer > 0
        if layer.min() != layer.max():
            if _one_paint(paint[layer > 0]):
                return layer, False
            notes += [TRANSPARENT] if paint[~opaque].any() else []
            paint = np.where(opaque[..., None], paint, 0)
        elif not layer.any() and _one_paint(paint):
            return layer, False  # nothing was painted
    if paint.shape[2] == 1:
        return paint[..., 0], False
    red, spread = paint[..., :1].astype(np.float64), 16 if picture.format == "JPEG" else 0
    if (np.abs(paint - red) <= spread).all():
        return paint[..., 0], False
    lit = [paint[..., i] for i in range(3) if paint[..., i].any()]
    if all(np.array_equal(channel, lit[0]) for channel in lit) and _is_paint(lit[0]):  # red on black
        return lit[0], False
    if picture.format == "JPEG":
        return paint[..., 0], True  # whatever is asked for, it is not that
    if paint.dtype != np.uint8:
        raise InputError(
            f"{str(path)!r}: wanted one channel of ids or a binary mask, got colours; save the ids themselves as a "
            "grey or palette PNG or as TIFF"
        )
    return (paint.astype(np.uint32) << np.array([0, 8, 16], np.uint32)).sum(axis=2, dtype=np.uint32), True


def _is_paint(channel: np.ndarray) -> bool:
    """Whether a channel has one strength, or soft edges of it."""
    return bool(np.isin(channel, (0, channel.max())).all()) or (
        channel.max() > 127 and looks_soft(StoredLabels(channel, channel < 0))
    )


def _one_paint(colours: np.ndarray) -> bool:
    flat = colours.reshape(-1, colours.shape[-1])
    return bool((flat == flat[:1]).all())


def with_void(labels: StoredLabels, void: int | None) -> StoredLabels:
    """The labels, unlabelled where they are `void` too."""
    return labels if void is None else replace(labels, unlabelled=labels.unlabelled | (labels.values == void))
