"""Entities drawn as polygons, and the pixels that they cover, in any window of a picture of any size.

Coordinates are (x, y) with 0, 0 at the outer corner of the first pixel, y downward, as QuPath and ImageScope have them.
The rasteriser is that of pycocotools (`coco_regions`), so that areas agree with other tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.layouts.coco_regions import filled
from domains.layouts.drawing import paint
from domains.tiling import Window

FARTHEST_PX = 10_000_000  # no slide is wider; the rasteriser walks along any distance


@dataclass(frozen=True, eq=False)
class Outline:
    """One annotated thing. exteriors, holes: rings, each (K, 2) float64 of x, y with K >= 3, closed or not.

    label: its class, None without one.
    """

    exteriors: tuple[np.ndarray, ...]
    holes: tuple[np.ndarray, ...] = ()
    label: str | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outline) or self.label != other.label:
            return False
        pairs = (self.exteriors, other.exteriors), (self.holes, other.holes)
        return all(len(mine) == len(theirs) and all(map(np.array_equal, mine, theirs)) for mine, theirs in pairs)

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """(y0, x0, y1, x1) of the pixels that it can touch, ends exclusive."""
        points = np.concatenate(self.exteriors)
        (x0, y0), (x1, y1) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
        return int(y0), int(x0), int(y1), int(x1)

    @cached_property
    def is_box(self) -> bool:
        """Four corners, two x and two y: what a bounding-box tool leaves."""
        if len(self.exteriors) != 1 or self.holes:
            return False
        corners = np.unique(self.exteriors[0], axis=0)
        return len(corners) == 4 and all(len(np.unique(axis)) == 2 for axis in corners.T)


def ring(points: Sequence[Any]) -> np.ndarray:
    """(K, 2) float64 from pairs x, y (more values per point are left out). Raises ValueError saying what is wrong."""
    values = np.array([tuple(point)[:2] for point in points], np.float64).reshape(-1, 2)
    if not np.isfinite(values).all() or (np.abs(values) > FARTHEST_PX).any():
        raise ValueError("has coordinates that are no finite numbers, or lie beyond any slide")
    if len(np.unique(values, axis=0)) < 3:
        raise ValueError(f"has {len(np.unique(values, axis=0))} different points, wanted an outline of 3 or more")
    return values


def pixels(outline: Outline, window: Window) -> np.ndarray:
    """Flat row-major indices into the window of the pixels that the outline covers there; may be none."""
    y0, x0, y1, x1 = outline.box
    part = window.shared(Window(y0, x0, y1 - y0, x1 - x0))
    if part.height <= 0 or part.width <= 0:
        return np.zeros(0, np.int64)
    covered = _filled(outline.exteriors, part)
    if outline.holes:
        covered &= ~_filled(outline.holes, part)
    y, x = np.nonzero(covered)
    return (y + part.y - window.y) * window.width + x + part.x - window.x


def draw(outlines: Sequence[Outline], window: Window, vocabulary: tuple[str, ...] = ()) -> EntityMap:
    """The outlines in a window, the smaller of two that overlap on top.

    vocabulary: classes, in which the label of every outline is, for labels; without it there are none.
    """
    regions = [pixels(outline, window) for outline in outlines]
    seen = [i for i, region in enumerate(regions) if region.size]
    ids, kept = paint([regions[i] for i in seen], (window.height, window.width))
    if not vocabulary:
        return EntityMap(ids)
    index = {name: i for i, name in enumerate(vocabulary)}
    labels = np.array([index[outlines[seen[i]].label or ""] for i in kept], np.int32)
    return EntityMap(ids, labels=labels, vocabulary=vocabulary)


def refuse_boxes(path: Path, outlines: Sequence[Outline]) -> None:
    """Raises InputError where all that was drawn are bounding boxes, which say nothing of a shape."""
    if outlines and all(outline.is_box for outline in outlines):
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {len(outlines)} bounding boxes; draw polygons, or "
            "let a model turn the boxes into outlines and correct those"
        )


def _filled(rings: Sequence[np.ndarray], window: Window) -> np.ndarray:
    """(height, width) bool: pixels in any of the rings."""
    corner = np.array([window.x, window.y])
    inside = np.zeros((window.height, window.width), bool)
    inside.flat[filled([(one - corner).ravel().tolist() for one in rings], inside.shape)] = True
    return inside
