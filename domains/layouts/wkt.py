"""Polygons as well-known text (OGC 06-103r4), as xView2 and SpaceNet's tables write them."""

from __future__ import annotations

import re

from domains.layouts.polygons import Outline, ring

_RING = re.compile(r"\(([^()]*)\)")


def outline_of_wkt(text: object, label: str | None = None) -> Outline | None:
    """POLYGON or MULTIPOLYGON, further coordinates than x and y left out; None for an empty one.

    Raises ValueError saying what is wrong.
    """
    words = text.strip() if isinstance(text, str) else ""
    kind, _, body = words.partition("(")
    name = kind.split()[0].upper() if kind.split() else ""
    if name not in ("POLYGON", "MULTIPOLYGON"):
        raise ValueError(f"is {words[:30]!r}, wanted a POLYGON or MULTIPOLYGON")
    if "EMPTY" in kind.upper():
        return None
    parts = [body] if name == "POLYGON" else re.split(r"\)\s*\)\s*,", body)
    polygons = [[_points(points) for points in _RING.findall(part + "))")] for part in parts]
    if not polygons or not all(polygons):
        raise ValueError(f"is {words[:30]!r}, which has no ring")
    holes = tuple(hole for rings in polygons for hole in rings[1:])
    return Outline(tuple(rings[0] for rings in polygons), holes, label)


def _points(text: str):
    try:
        return ring([[float(value) for value in point.split()] for point in text.split(",")])
    except (ValueError, IndexError) as error:
        raise ValueError(str(error) if "has" in str(error) else "has coordinates that are no numbers") from error
