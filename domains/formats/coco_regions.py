"""A COCO `segmentation` (polygons, or RLE compressed or not) to the pixels that it covers, every fault named.

The rasteriser is pycocotools' own, so that areas agree with other tools. It trusts its input: it reads 4 coordinates
as a box, walks along any distance, and takes any run length; hence the checks here.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

CORNERS = 64  # of the polygon that stands for an ellipse
FARTHEST = 1e18  # of a number that a float64 and an int64 hold


class FlawedRegion(ValueError):
    """Why a segmentation cannot be drawn, to follow `annotation 7`."""


def region(segmentation: Any, shape: tuple[int, int]) -> np.ndarray:
    """Flat indices into an image of `shape` (H, W), at least one. Raises FlawedRegion."""
    segmentation = written(segmentation)
    if isinstance(segmentation, list) and segmentation and all(isinstance(rle, dict) for rle in segmentation):
        return np.unique(np.concatenate([region(rle, shape) for rle in segmentation]))  # an RLE per part
    if isinstance(segmentation, dict):
        counts = _checked_counts(segmentation, shape)
    elif isinstance(segmentation, list) and segmentation:
        counts = _draw(polygons(segmentation), shape)
    else:
        raise FlawedRegion("has no segmentation")
    pixels = _pixels(np.array(counts), shape)
    if not pixels.size:
        raise FlawedRegion("covers no pixel of its image")
    return pixels


def pixels_at(mask: np.ndarray, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Flat indices into an image of `shape` (H, W) of a mask (h, w) whose first pixel lies at `corner` (y, x).

    Raises FlawedRegion for a mask of nothing.
    """
    y, x = np.nonzero(mask)
    if not y.size:
        raise FlawedRegion("covers no pixel of its image")
    return (y + corner[0]) * shape[1] + x + corner[1]


def ellipse(middle: tuple[float, float], radii: tuple[float, float], turn: float) -> list[float]:
    """The polygon [x, y, x, y, ...] that stands for an ellipse. middle: (x, y); radii: along x and y before it is
    turned by `turn`, in radians, from x to y."""
    around = np.arange(CORNERS) * 2 * np.pi / CORNERS
    across, down = radii[0] * np.cos(around), radii[1] * np.sin(around)
    x = middle[0] + across * np.cos(turn) - down * np.sin(turn)
    y = middle[1] + across * np.sin(turn) + down * np.cos(turn)
    return np.stack([x, y], axis=1).ravel().tolist()


def written(segmentation: Any) -> Any:
    """A segmentation that a table keeps as text, out of that text. Raises FlawedRegion."""
    if not isinstance(segmentation, str):
        return segmentation
    try:
        return json.loads(segmentation)
    except (ValueError, RecursionError) as error:
        raise FlawedRegion(f"has the text {segmentation[:40]!r} as segmentation, wanted polygons or an RLE") from error


def polygons(segmentation: list) -> list[list[float]]:
    """The polygons [x, y, x, y, ...] of the forms in use: a list of them, one of them alone, and either in pairs x, y.

    Raises FlawedRegion.
    """
    if all(map(_is_number, segmentation)) or len(segmentation) > 1 and all(map(_is_pair, segmentation)):
        segmentation = [segmentation]
    flat = [
        [value for pair in polygon for value in pair]
        if isinstance(polygon, list) and polygon and all(map(_is_pair, polygon))
        else polygon
        for polygon in segmentation
    ]
    for polygon in flat:
        if isinstance(polygon, list) and any(isinstance(value, list | dict) for value in polygon):
            raise FlawedRegion("has polygons nested deeper than a list of lists of pairs")
        if not isinstance(polygon, list) or not all(map(_is_number, polygon)):
            raise FlawedRegion("has coordinates that are no finite numbers")
        if len(polygon) % 2:
            raise FlawedRegion(f"has an odd count of coordinates ({len(polygon)})")
    return flat


def rectangle(segmentation: Any) -> list[float] | None:
    """[x, y, x, y, ...] of a segmentation that is a single polygon, or runs that fill their box; None for others."""
    try:
        segmentation = written(segmentation)
        if isinstance(segmentation, list) and segmentation:
            outlines = polygons(segmentation)
            return outlines[0] if len(outlines) == 1 else None
        if not isinstance(segmentation, dict):
            return None
        height, runs = segmentation["size"][0], np.array(_runs(segmentation), np.int64)
    except (FlawedRegion, LookupError, TypeError, OverflowError):
        return None
    starts, lengths = (np.cumsum(runs) - runs)[1::2], runs[1::2]
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    if not _is_number(height) or height < 1 or not len(starts) or len({*lengths.tolist()}) > 1:
        return None
    columns, rows = np.divmod(starts, height)
    if len({*rows.tolist()}) > 1 or (np.diff(columns) != 1).any():
        return None
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[0] + lengths[0]
    return [float(at) for at in (left, top, right, top, right, bottom, left, bottom)]


def _pixels(counts: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Flat row-major indices of the foreground of run lengths, which go down the columns, background first."""
    starts, lengths = (np.cumsum(counts) - counts)[1::2], counts[1::2]
    before = np.cumsum(lengths) - lengths
    x, y = np.divmod(np.repeat(starts - before, lengths) + np.arange(lengths.sum()), shape[0])
    return y * shape[1] + x


def _draw(polygons: list[list[float]], shape: tuple[int, int]) -> list[int]:
    """Run lengths. Parts of one or two points cover nothing and are left out, as long as another part remains."""
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
    rle: Any = coco_mask.merge(coco_mask.frPyObjects(polygons, *shape))
    return _decompress(rle["counts"].decode())


def _checked_counts(rle: dict, shape: tuple[int, int]) -> list[int]:
    """The run lengths of an RLE, compressed or not."""
    if rle.get("size") != list(shape):
        raise FlawedRegion(f"has an RLE of size {rle.get('size')!r:.40}, its image is {list(shape)} (height, width)")
    counts = _runs(rle)
    if sum(counts) != shape[0] * shape[1]:
        raise FlawedRegion(f"has an RLE of {sum(counts)} pixels, its image has {shape[0] * shape[1]}")
    return counts


def _runs(rle: dict) -> list[int]:
    """The run lengths of an RLE, compressed or not, whole numbers from 0."""
    counts = rle.get("counts")
    if isinstance(counts, str):
        counts = _decompress(counts)
    if not isinstance(counts, list) or not all(_is_number(run) and run == int(run) >= 0 for run in counts):
        raise FlawedRegion("has RLE counts that are no run lengths")
    return [int(run) for run in counts]


def _decompress(text: str) -> list[int]:
    """COCO's compressed counts: 6 bits per sign from chr(48), 5 of value and 1 of continuation, differences to the
    run before last from the fourth run on (`rleFrString` in pycocotools)."""
    counts: list[int] = []
    value = shift = 0
    for sign in text.encode("utf-8", "surrogatepass"):
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


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -FARTHEST < value < FARTHEST
