"""Which of the images in a TIFF is the picture: the full-size one, wherever it stands.

A slide comes with a label, a macro picture and a thumbnail, and with smaller copies of itself. TIFF 6.0 marks a copy by
bit 0 of tag 254 (NewSubfileType) and a mask by bit 2; OME-XML, Leica's SCN and Aperio's descriptions name what is
attached. Of what is left the largest is taken, of several of one size the first.
"""

from __future__ import annotations

import re
from struct import unpack
from typing import Any

import numpy as np
import tifffile

from domains.errors import InputError

REDUCED, MASK = 1, 4  # bits 0 and 2 of NewSubfileType, tag 254
ATTACHED = re.compile(r"label|macro|overview|thumbnail|preview|barcode|\bmap\b", re.IGNORECASE)
Series = tifffile.TiffPageSeries
STACKS = {"T": "points in time", "Z": "planes in depth", "I": "pages", "Q": "pages", "R": "pages", "P": "positions"}


def main_image(file: tifffile.TiffFile) -> Series:
    """The series of the picture. Raises InputError where a file holds none that has rows and columns, or is damaged."""
    check_pages(file)
    every = [*file.series, *inner_images(file)]
    pictures = [series for series in every if {"Y", "X"} <= {*series.axes} and not kind_of(series) & MASK]
    if not pictures:
        raise InputError(f"{file.filehandle.path!r}: wanted an image of rows and columns, got a TIFF without one")
    full = [series for series in pictures if not kind_of(series) & REDUCED] or pictures
    unnamed = [series for series in full if not ATTACHED.search(series.name or "")] or full
    return max(unnamed, key=area)  # of equal ones the first


def check_pages(file: tifffile.TiffFile) -> None:
    """Raises InputError where the directories of the pages take more bytes than the file has, so that some lie over
    others: through such a chain a file of 10 kB led tifffile for minutes.
    """
    tiff, handle = file.tiff, file.filehandle
    if tiff.is_ndpi:  # another form, whose chain tifffile reads by rules of its own
        return
    handle.seek(8 if tiff.is_bigtiff else 4)
    directory_bytes = 0
    while len(raw := handle.read(tiff.offsetsize)) == tiff.offsetsize and (start := unpack(tiff.offsetformat, raw)[0]):
        if start + tiff.tagnosize > handle.size:
            return  # cut off: tifffile says so, or stops there
        handle.seek(start)
        tags = unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))[0]
        directory_bytes += tiff.tagnosize + tags * tiff.tagsize + tiff.offsetsize
        if directory_bytes > handle.size:
            raise InputError(
                f"{handle.path!r}: wanted a whole TIFF, got one whose pages lie over each other; copy it again"
            )
        handle.seek(start + tiff.tagnosize + tags * tiff.tagsize)


def inner_images(file: tifffile.TiffFile) -> list[Series]:
    """The full-size images in the sub-IFDs of a first page that is a preview of them, as raw photographs have it."""
    preview: Any = file.pages.first
    if not int(preview.subfiletype or 0) & REDUCED or not preview.subifds:
        return []
    pages: Any = preview.pages
    images = [page.aspage() for page in pages]
    return [Series([page], page.shape, page.dtype, page.axes, parent=file) for page in images if page.dtype is not None]


def levels_of(file: tifffile.TiffFile, picture: Series) -> list[Series]:
    """The picture and its smaller copies, each smaller than the one before, in whatever order they are stored."""
    copies = [level for level in picture.levels[1:] if is_copy(level, picture)]
    candidates = [series for series in file.series if series is not picture and not ATTACHED.search(series.name or "")]
    copies += [
        level
        for series in candidates
        for level in series.levels
        if (kind_of(level) & REDUCED or is_tiled(level))
        and is_tiled(level) == is_tiled(picture)
        and is_copy(level, picture)
        and same_shape(level, picture)
    ]
    ordered = [picture]
    for level in sorted(copies, key=area, reverse=True):
        if area(level) < area(ordered[-1]):
            ordered.append(level)
    return ordered


def remarks_of(file: tifffile.TiffFile, picture: Series) -> tuple[str, ...]:
    """What else the file holds, and that it is not read."""
    remarks = []
    for axis, length in zip(picture.axes, picture.shape, strict=True):
        if length > 1 and axis not in "CSYX":
            remarks.append(f"of several {STACKS.get(axis, 'images')} the first is read")
    equals = [series for series in file.series if series is not picture and series.shape == picture.shape]
    if any(not kind_of(series) & (REDUCED | MASK) for series in equals):
        remarks.append("of several images of one size the first is read")
    return tuple(remarks)


def is_copy(level: Series, picture: Series) -> bool:
    """Whether a series has the channels and the type of the picture, and is no larger."""
    sizes, full_sizes = (dict(zip(series.axes, series.shape, strict=True)) for series in (level, picture))
    same_axes = [axis for axis in sizes if axis not in "YX"] == [axis for axis in full_sizes if axis not in "YX"]
    counts = all(sizes[axis] == full_sizes[axis] for axis in "CS" if axis in full_sizes and axis in sizes)
    no_larger = all(sizes[axis] <= full_sizes[axis] for axis in "YX")
    return same_axes and counts and no_larger and level.dtype == picture.dtype


def same_shape(level: Series, picture: Series) -> bool:
    """Whether a series may be the picture at another size: as many times smaller down as across, to a pixel."""
    (height, width), (tall, wide) = plane(level), plane(picture)
    return abs(height * wide - width * tall) <= max(tall, wide) * 1.5 and area(level) < area(picture)


def plane(series: Series) -> tuple[int, int]:
    """(height, width) of a series in pixels, whatever the order of its axes."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return sizes["Y"], sizes["X"]


def area(series: Series) -> int:
    """Pixels of a plane of a series."""
    height, width = plane(series)
    return height * width


def kind_of(series: Series) -> int:
    """Bits of NewSubfileType (tag 254) of the first page of a series, 0 without the tag: `REDUCED`, `MASK`."""
    page: Any = series.keyframe
    return int(page.subfiletype or 0)


def is_tiled(series: Series) -> bool:
    """Whether a series is stored in tiles, and not in strips."""
    page: Any = series.keyframe
    return bool(page.is_tiled)


def first_planes(series: Series) -> list[int]:
    """Indices of the pages that hold the channels of the first time and depth."""
    leading = [(axis, length) for axis, length in zip(series.axes, series.shape, strict=True) if axis not in "YXS"]
    numbers = np.arange(int(np.prod([length for _, length in leading], dtype=np.int64)))
    index = tuple(slice(None) if axis == "C" else 0 for axis, _ in leading)
    return np.atleast_1d(numbers.reshape([length for _, length in leading])[index]).tolist()
