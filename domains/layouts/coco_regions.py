"""A COCO `segmentation` (polygons, or RLE compressed or not) to the pixels that it covers, every fault named.

The rasteriser is pycocotools' own, so that areas agree with other tools. It trusts its input: it reads 4 coordinates
as a box, walks along any distance, and takes any run length; hence the checks here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


class FlawedRegion(ValueError):
    """Why a segmentation cannot be drawn, to follow `annotation 7`."""


def region(segmentation: Any, shape: tuple[int, int]) -> np.ndarray:
    """Flat indices into an image of `shape` (H, W), at least one. Raises FlawedRegion."""
    if isinstance(segmentation, dict):
        counts = _checked_counts(segmentation, shape)
    elif isinstance(segmentation, list) and segmentation:
        counts = _draw(segmentation, shape)
    else:
        raise FlawedRegion("has no segmentation")
    pixels = _pixels(np.array(counts), shape)
    if not pixels.size:
        raise FlawedRegion("covers no pixel of its image")
    return pixels


def _pixels(counts: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Flat row-major indices of the foreground of run lengths, which go down the columns, background first."""
    starts, lengths = (np.cumsum(counts) - counts)[1::2], counts[1::2]
    before = np.cumsum(lengths) - lengths
    x, y = np.divmod(np.repeat(starts - before, lengths) + np.arange(lengths.sum()), shape[0])
    return y * shape[1] + x


def _draw(polygons: list, shape: tuple[int, int]) -> list[int]:
    """Run lengths. Parts of one or two points cover nothing and are left out, as long as another part remains."""
    for polygon in polygons:
        if not isinstance(polygon, list) or not all(_is_number(value) for value in polygon):
            raise FlawedRegion("has coordinates that are no finite numbers")
        if len(polygon) % 2:
            raise FlawedRegion(f"has an odd count of coordinates ({len(polygon)})")
    polygons = [polygon for polygon in polygons if len(polygon) >= 6]
    if not polygons:
        raise FlawedRegion("has a polygon of fewer than 3 points")
    height, width = shape
    reach = max(height, width)  # a polygon may stick out, but not by more than its image measures
    for polygon in polygons:
        outside = max(max(polygon[0::2]) - width, max(polygon[1::2]) - height, -min(polygon))
        if outside > reach:
            raise FlawedRegion(f"lies outside its image of {width} x {height}")
    return _counts(polygons, shape)


def _counts(polygons: list, shape: tuple[int, int]) -> list[int]:
    rle: Any = coco_mask.merge(coco_mask.frPyObjects(polygons, *shape))  # type: ignore[arg-type]
    return _decompress(rle["counts"].decode())


def _checked_counts(rle: dict, shape: tuple[int, int]) -> list[int]:
    """The run lengths of an RLE, compressed or not."""
    if rle.get("size") != list(shape):
        raise FlawedRegion(f"has an RLE of size {rle.get('size')!r:.40}, its image is {list(shape)} (height, width)")
    counts = rle.get("counts")
    if isinstance(counts, str):
        counts = _decompress(counts)
    if not isinstance(counts, list) or not all(isinstance(run, int) and run >= 0 for run in counts):
        raise FlawedRegion("has RLE counts that are no run lengths")
    if sum(counts) != shape[0] * shape[1]:
        raise FlawedRegion(f"has an RLE of {sum(counts)} pixels, its image has {shape[0] * shape[1]}")
    return counts


def _decompress(text: str) -> list[int]:
    """COCO's compressed counts: 6 bits per sign from chr(48), 5 of value and 1 of continuation, differences to the
    run before last from the fourth run on (`rleFrString` in pycocotools)."""
    counts: list[int] = []
    value = shift = 0
    for sign in text.encode("utf-8"):
        bits = sign - 48
        if not 0 <= bits < 64:
            raise FlawedRegion("has compressed RLE counts with signs that do not belong there")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise FlawedRegion("has compressed RLE counts that are cut off")
    return counts


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
