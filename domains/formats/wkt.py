"""Polygons as well-known text (OGC 06-103r4), as xView2 and SpaceNet's tables write them."""

from __future__ import annotations

import re

from domains.formats.polygons import Outline, outline_of

_RING = re.compile(r"\(([^()]*)\)")


def outline_of_wkt(text: object, label: str | None = None) -> Outline | None:
    """POLYGON or MULTIPOLYGON, each part with its own holes, further coordinates than x and y left out;
    None for an empty one.

    Raises ValueError saying what is wrong.
    """
    words = text.strip() if isinstance(text, str) else ""
    kind, _, body = words.partition("(")
    name = kind.split()[0].upper() if kind.split() else ""
    if name not in ("POLYGON", "MULTIPOLYGON"):
        raise ValueError(f"is {words[:30]!r}, wanted a POLYGON or MULTIPOLYGON")
    if "EMPTY" in kind.upper():
        return None
    bodies = [body] if name == "POLYGON" else re.split(r"\)\s*\)\s*,", body)
    polygons = [[_points(points) for points in _RING.findall(polygon + "))")] for polygon in bodies]
    if not polygons or not all(polygons):
        raise ValueError(f"is {words[:30]!r}, which has no ring")
    return outline_of(polygons, label)


def _points(text: str) -> list[list[float]]:
    try:
        points = [[float(value) for value in point.split()] for point in text.split(",")]
    except ValueError:
        points = [[]]
    if any(len(point) < 2 for point in points):
        raise ValueError("has coordinates that are no numbers")
    return points
