"""What was drawn on a slide, parted: entities, areas that somebody looked at, areas that must not count.

An area is no entity: it bounds what is labelled, or says that nothing is. Areas are called so (`REGIONS`, `Ignore*`),
are rectangles around outlines, or are the objects that hold detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from domains.errors import InputError
from domains.formats.layout import Assumption, Fault
from domains.formats.polygons import Outline

REGIONS = ("region", "roi", "annotated", "annotated area", "annotation area")  # QuPath's own class is `Region*`
IGNORED = ("ignore", "ignored")  # QuPath's own class is `Ignore*`
NESTED = (
    "some outlines lie wholly in others: read as entities on top of entities; an outline that only says which area was "
    "annotated wants the class Region*"
)
LARGER = 4  # times the only outline that it holds: what is smaller was drawn around an object, not around an area
_CHUNK = 2**22  # points times corners that are looked at together


class Drawing(NamedTuple):
    """regions: areas that somebody looked at. ignored: areas of which nothing is known, whatever lies in them."""

    entities: list[Outline]
    regions: list[Outline]
    ignored: list[Outline]


def area_kind(label: str | None) -> Literal["region", "ignored"] | None:
    """What a class says of an area; None for the class of an entity.

    A class that ends in `*` is none to QuPath (`PathClassTools.isIgnoredClass`): its areas are ignored, but `Region*`.
    """
    name = (label or "").lower().strip()
    if name.rstrip("* ") in REGIONS:
        return "region"
    return "ignored" if name.endswith("*") or name in IGNORED else None


class Held:
    """Which outlines lie in an area, by their boxes and middles."""

    def __init__(self, outlines: Sequence[Outline]):
        self.outlines = outlines
        boxes = np.array([outline.box for outline in outlines], np.int64).reshape(-1, 4)
        self.order = np.argsort(boxes[:, 1], kind="stable")
        self.boxes = boxes[self.order]  # by their left side
        self.lefts = np.ascontiguousarray(self.boxes[:, 1])
        self.middles = (self.boxes[:, [1, 0]] + self.boxes[:, [3, 2]]) / 2

    def by(self, area: Outline, limit: int | None = None, boxed: bool = True) -> np.ndarray:
        """Indices of outlines in the area, up to `limit` of them; boxed: their boxes lie in its box too."""
        y0, x0, y1, x1 = area.box
        begin, end = np.searchsorted(self.lefts, [x0 if boxed else self.lefts[0], x1]) if len(self.lefts) else (0, 0)
        v0, u0, v1, u1 = self.boxes[begin:end].T
        if boxed:
            near = (v0 >= y0) & (v1 <= y1) & (u1 <= x1) & ((v1 - v0 < y1 - y0) | (u1 - u0 < x1 - x0))
        else:
            near = (v0 < y1) & (v1 > y0) & (u1 > x0)
        candidates = begin + np.flatnonzero(near)
        chosen: list[int] = []
        if not len(candidates):
            return np.array(chosen, np.int64)
        step = min(
            max(_CHUNK // sum(len(ring) for polygon in area.parts for ring in polygon.rings), 1), 64 if limit else 2**16
        )
        for start in range(0, len(candidates), step):
            chunk = candidates[start : start + step]
            chosen += self.order[chunk[contains(area, self.middles[chunk])]].tolist()
            if limit is not None and len(chosen) >= limit:
                break
        return np.array(chosen, np.int64)

    def bounded_by(self, area: Outline) -> bool:
        """Whether the area holds two outlines, or one that is much smaller."""
        inner = self.by(area, limit=2)
        return len(inner) > 1 or any(area.area > LARGER * self.outlines[int(i)].area for i in inner)


def contains(outline: Outline, points: np.ndarray) -> np.ndarray:
    """(P,) bool: which points (P, 2) of x, y lie in the outline."""
    within = np.zeros(len(points), bool)
    for polygon in outline.parts:
        flips = [_in_ring(ring, points) for ring in polygon.rings]
        within |= flips[0] & ~np.any(flips[1:], axis=0) if polygon.holes else flips[0]
    return within


def parted(path: Path, drawing: Drawing, failed: Sequence[Fault]) -> Drawing:
    """The drawing with entities that lie in ignored areas given to these.

    failed: faults of what should have been entities. Raises InputError where they are all that there is: such a slide
    would be learnt as one without entities.
    """
    if failed and not drawing.entities:
        raise InputError(
            f"{str(path)!r}: wanted the outlines of entities, none of {len(failed)} can be drawn (the first "
            f"{failed[0].reason}); draw polygons, or export them again"
        )
    if not drawing.ignored or not drawing.entities:
        return drawing
    held = Held(drawing.entities)
    lost = np.zeros(len(drawing.entities), bool)
    for area in drawing.ignored:
        lost[held.by(area, boxed=False)] = True
    kept = [entity for entity, is_lost in zip(drawing.entities, lost, strict=True) if not is_lost]
    ignored = [entity for entity, is_lost in zip(drawing.entities, lost, strict=True) if is_lost]
    return Drawing(kept, drawing.regions, [*drawing.ignored, *ignored])


def tell_nested(path: Path, outlines: Sequence[Outline], faults: list[Fault]) -> None:
    """Appends an assumption where an outline holds two others or more, which both an entity and an area may do."""
    held = Held(outlines)
    if any(len(held.by(outline, limit=2)) >= 2 for outline in outlines):
        faults.append(Assumption(path, NESTED))


def _in_ring(ring: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(P,) bool by the even-odd rule."""
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    x, y = points[:, :1], points[:, 1:]
    spans = (y0 > y) != (y1 > y)  # (P, K)
    with np.errstate(divide="ignore", invalid="ignore"):
        leftward = x < (x1 - x0) * (y - y0) / (y1 - y0) + x0
    return np.count_nonzero(spans & leftward, axis=1) % 2 == 1
