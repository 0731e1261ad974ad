"""Entities drawn as polygons, and the pixels that they cover, in any window of a picture of any size.

Coordinates are (x, y) with 0, 0 at the outer corner of the first pixel, y downward, as QuPath and ImageScope have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from domains.entities import NO_CLASS, EntityMap
from domains.errors import InputError
from domains.formats.filling import inside
from domains.tiling.grid import Window

FARTHEST_PX = 10_000_000  # no slide is wider


class Degenerate(ValueError):
    """A ring of fewer than three different points, which covers nothing."""


class Part(NamedTuple):
    """A polygon with the holes of its own: rings, each (K, 2) float64 of x, y with K >= 3, closed or not."""

    exterior: np.ndarray
    holes: tuple[np.ndarray, ...] = ()

    @property
    def rings(self) -> tuple[np.ndarray, ...]:
        """The exterior and the holes, each (K, 2) x and y."""
        return self.exterior, *self.holes


@dataclass(frozen=True, eq=False)
class Outline:
    """One annotated thing: the union of its parts, of which there is at least one. A hole is cut out of its own part
    alone, so an island that lies in a hole, or a part that covers it, belongs to the thing (RFC 7946, 3.1.6 and 3.1.7).

    parts: a bare ring stands for a part without holes. label: its class, None without one.
    """

    parts: tuple[Part, ...]
    label: str | None = None

    def __post_init__(self) -> None:
        polygons = tuple(Part(polygon) if isinstance(polygon, np.ndarray) else polygon for polygon in self.parts)
        object.__setattr__(self, "parts", polygons)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outline) or self.label != other.label or len(self.parts) != len(other.parts):
            return False
        return all(
            len(mine.rings) == len(theirs.rings) and all(map(np.array_equal, mine.rings, theirs.rings))
            for mine, theirs in zip(self.parts, other.parts, strict=True)
        )

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """(y0, x0, y1, x1) of the pixels that it can touch, ends exclusive."""
        points = np.concatenate([polygon.exterior for polygon in self.parts])
        (x0, y0), (x1, y1) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
        return int(y0), int(x0), int(y1), int(x1)

    @cached_property
    def area(self) -> float:
        """In square pixels, holes not counted, parts that overlap counted twice."""
        return sum(_area(polygon.exterior) - sum(map(_area, polygon.holes)) for polygon in self.parts)

    @cached_property
    def is_box(self) -> bool:
        """Four corners, two x and two y: what a bounding-box tool leaves."""
        if len(self.parts) != 1 or self.parts[0].holes:
            return False
        points = self.parts[0].exterior.tolist()
        return len({*map(tuple, points)}) == 4 and all(len({*axis}) == 2 for axis in zip(*points, strict=True))


def ring(points: Sequence[Any]) -> np.ndarray:
    """(K, 2) float64 from pairs x, y (more values per point are left out). Raises ValueError saying what is wrong."""
    values = np.array([tuple(point)[:2] for point in points], np.float64).reshape(-1, 2)
    if not np.isfinite(values).all() or (np.abs(values) > FARTHEST_PX).any():
        raise ValueError("has coordinates that are no finite numbers, or lie beyond any slide")
    different = len({*map(tuple, values.tolist())})
    if different < 3:
        raise Degenerate(f"has {different} different points, wanted an outline of 3 or more")
    return values


def outline_of(polygons: Iterable[Sequence[Sequence[Any]]], label: str | None = None) -> Outline:
    """The thing that polygons draw, each an exterior and its holes as `ring` takes them.

    Parts and holes that cover nothing are left out. Raises ValueError where no part is left, or a ring is no ring.
    """
    drawn: list[Part] = []
    flaw = Degenerate("has no ring")
    for rings in polygons:
        if len(rings) == 0:
            continue
        try:
            exterior = ring(rings[0])
        except Degenerate as error:
            flaw = error
            continue
        drawn.append(Part(exterior, tuple(_holes(rings[1:]))))
    if not drawn:
        raise flaw
    return Outline(tuple(drawn), label)


def _holes(rings: Iterable[Sequence[Any]]) -> Iterator[np.ndarray]:
    for points in rings:
        with suppress(Degenerate):
            yield ring(points)


def pixels(outline: Outline, window: Window) -> np.ndarray:
    """Flat row-major indices into the window of the pixels that the outline covers there; may be none."""
    y0, x0, y1, x1 = outline.box
    shared = window.shared(Window(y0, x0, y1 - y0, x1 - x0))
    if shared.height <= 0 or shared.width <= 0:
        return np.zeros(0, np.int64)
    covered = np.zeros((shared.height, shared.width), bool)
    for polygon in outline.parts:
        around, filled = filled_in(polygon.exterior, shared)
        for hole in polygon.holes:
            within, empty = filled_in(hole, around)
            filled[within.within(around).slices] &= ~empty
        covered[around.within(shared).slices] |= filled
    y, x = np.nonzero(covered)
    return (y + shared.y - window.y) * window.width + x + shared.x - window.x


def filled_in(points: np.ndarray, window: Window) -> tuple[Window, np.ndarray]:
    """The part of a window that a ring (K, 2) of x, y can touch, maybe empty, and (h, w) bool: what lies in it."""
    (x0, y0), (x1, y1) = np.floor(points.min(axis=0)).astype(int) - 1, np.ceil(points.max(axis=0)).astype(int) + 1
    around = window.shared(Window(int(y0), int(x0), int(y1 - y0), int(x1 - x0)))
    if around.height <= 0 or around.width <= 0:
        return Window(window.y, window.x, 0, 0), np.zeros((0, 0), bool)
    return around, inside(points, around)


def draw(outlines: Sequence[Outline], window: Window, vocabulary: tuple[str, ...] = ()) -> EntityMap:
    """The outlines in a window, the smaller of two that overlap on top, whatever the window shows of them.

    vocabulary: classes, for labels; an outline of none of them has no class. Without it there are no labels.
    """
    ids = np.zeros((window.height, window.width), np.int32)
    for i in sorted(range(len(outlines)), key=lambda i: -outlines[i].area):
        ids.flat[pixels(outlines[i], window)] = i + 1
    drawn = EntityMap.from_ids(ids)
    if not vocabulary:
        return drawn
    index: dict[str | None, int] = {name: i for i, name in enumerate(vocabulary)}
    labels = np.array([index.get(outlines[i - 1].label, NO_CLASS) for i in np.unique(ids[ids > 0])], np.int32)
    return EntityMap(drawn.ids, labels=labels, vocabulary=vocabulary)


def refuse_boxes(path: Path, outlines: Sequence[Outline]) -> None:
    """Raises InputError where all that was drawn are bounding boxes, which say nothing of a shape."""
    if outlines and all(outline.is_box for outline in outlines):
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, got {len(outlines)} bounding boxes; draw polygons, or "
            "let a model turn the boxes into outlines and correct those"
        )


def _area(ring: np.ndarray) -> float:
    x, y = (ring - ring[0]).T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
