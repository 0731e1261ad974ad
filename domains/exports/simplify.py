"""Outlines along pixel edges made smooth within a tolerance, and squared for buildings. Through shapely, an extra.

The corners of a staircase of pixels lie up to 0.7 px from the line that it stands for, the middles of its pixel edges
half a pixel at most. So an outline is drawn through these middles, and thinned from there by Douglas and Peucker's rule
with the topology kept (GEOS): no middle is farther from the polygon than the tolerance. `squared` may go farther.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from domains.entities.outlines import Polygon, Ring
from domains.scenes.ground import require

THINNINGS = (0.98, 0.6, 0.3)  # of the tolerance, at all of which a pixel's centre would lie on the line
SIDES_PX = 1.5  # within which a building has straight sides
SHORTEST_SIDE_PX = 2.0  # of a squared building; what is shorter is a jog of the pixels
LEAST_SHARED = 0.8  # IoU of a squared outline with what it was, below which it stays as it was


def simplified(
    polygons: list[Polygon], tolerance_px: float = 0.5, step: int = 1, square: bool = False
) -> list[Polygon]:
    """The polygons of one entity, within `tolerance_px` (times `step`) of the middles of its pixel edges.

    step: of the pixel edges, see `Prediction.outlined`. tolerance_px: 0 leaves the corners of the pixels. square: as
    `squared`, where that is possible. Rings and polygons do not cross. Raises InputError where shapely is missing.
    """
    require("shapely", subject="simplified outlines")
    shape = as_shape(polygons)
    if tolerance_px > 0:
        shape = _thinned(as_shape([[middles(ring, step) for ring in rings] for rings in polygons]), tolerance_px * step)
    if square:
        shape = _squared_all(shape, step)
    return as_polygons(shape)


def _thinned(fine: Any, tolerance: float) -> Any:
    """GEOS looks at the end of a ring by itself, and can pass over a point that was near it: hence the check."""
    import shapely

    points = shapely.points(shapely.get_coordinates(fine))
    for share in THINNINGS:
        thin = shapely.simplify(fine, share * tolerance, preserve_topology=True)
        edge = thin.boundary
        shapely.prepare(edge)
        if thin.is_valid and shapely.dwithin(edge, points, tolerance).all():
            return thin
    return fine


def middles(ring: Ring, step: int = 1) -> list[list[float]]:
    """The ring through the middles of the first and the last pixel edge of each of its sides; closed."""
    corners = np.asarray(ring, float)
    sides = np.diff(corners, axis=0)
    half = sides / np.abs(sides).sum(axis=1, keepdims=True) * (step / 2)
    points = np.stack([corners[:-1] + half, corners[1:] - half], axis=1).reshape(-1, 2)
    kept = points[np.r_[True, np.abs(np.diff(points, axis=0)).sum(axis=1) > 1e-9]].tolist()
    return [*kept, kept[0]]


def _squared_all(shape: Any, step: int) -> Any:
    """Every building of a shape squared by itself; the shape as it was where squared ones would cross."""
    import shapely

    buildings = []
    for building in shapely.get_parts(shape):
        straight = shapely.simplify(building, SIDES_PX * step, preserve_topology=True)
        upright = squared(straight, SHORTEST_SIDE_PX * step)
        buildings.append(building if upright is straight else upright)
    result = shapely.MultiPolygon(buildings)
    return result if result.is_valid else shape


def squared(polygon: Any, shortest: float = SHORTEST_SIDE_PX) -> Any:
    """A shapely Polygon with all sides along or across its main direction; itself where that would not fit it.

    The main direction is that of its sides modulo a right angle, weighted by their squared length. Sides of one
    direction that follow each other become one, at their mean place by length; those below `shortest` are left out.
    """
    import shapely
    from shapely.affinity import rotate

    sides = np.diff(shapely.get_coordinates(polygon.exterior), axis=0)
    turns = (sides[:, 0] + 1j * sides[:, 1]) ** 4
    weights = np.abs(turns) ** 0.5  # squared lengths
    angle = float(np.angle((turns / np.maximum(np.abs(turns), 1e-12) * weights).sum()) / 4)
    centre = shapely.Point(0, 0)
    upright = rotate(polygon, -angle, centre, use_radians=True)
    rings = [_rectangular(shapely.get_coordinates(ring), shortest) for ring in (upright.exterior, *upright.interiors)]
    if rings[0] is None:
        return polygon
    result = shapely.Polygon(rings[0], [ring for ring in rings[1:] if ring is not None])
    if not result.is_valid:
        return polygon
    result = rotate(result, angle, centre, use_radians=True)
    shared = polygon.intersection(result).area / polygon.union(result).area
    return result if shared >= LEAST_SHARED else polygon


def _rectangular(ring: np.ndarray, shortest: float) -> np.ndarray | None:
    """(K, 2) closed ring of an upright outline with horizontal and vertical sides only; None where fewer than four
    are left."""
    sides = np.diff(ring, axis=0)
    level = np.abs(sides[:, 0]) >= np.abs(sides[:, 1])  # horizontal
    length = np.abs(sides).max(axis=1)
    place = np.where(level, (ring[:-1, 1] + ring[1:, 1]) / 2, (ring[:-1, 0] + ring[1:, 0]) / 2)
    along = np.where(level, sides[:, 0], sides[:, 1])
    runs = _merged(
        [[bool(a), float(b), float(c), float(d)] for a, b, c, d in zip(level, place, length, along, strict=True)]
    )
    while len(runs) >= 4:
        least = min(range(len(runs)), key=lambda i: abs(runs[i][3]))
        if abs(runs[least][3]) >= shortest:
            break
        runs = _merged(runs[:least] + runs[least + 1 :])
    if len(runs) < 4:
        return None
    corners = []
    for run, following in zip(runs, [*runs[1:], runs[0]], strict=True):
        corners.append((following[1], run[1]) if run[0] else (run[1], following[1]))
    return np.array([*corners, corners[0]])


def _merged(runs: list[list]) -> list[list]:
    """Runs (horizontal?, place, weight, signed length) with neighbours of one direction made one, the ends too."""
    merged: list[list] = []
    for level, place, weight, along in runs:
        if merged and merged[-1][0] == level:
            end = merged[-1]
            end[1] = (end[1] * end[2] + place * weight) / max(end[2] + weight, 1e-12)
            end[2], end[3] = end[2] + weight, end[3] + along
        else:
            merged.append([level, place, weight, along])
    if len(merged) > 1 and merged[0][0] == merged[-1][0]:
        end, start = merged.pop(), merged[0]
        start[1] = (start[1] * start[2] + end[1] * end[2]) / max(start[2] + end[2], 1e-12)
        start[2], start[3] = start[2] + end[2], start[3] + end[3]
    return merged


def as_shape(polygons: list[Polygon]) -> Any:
    """A shapely MultiPolygon."""
    import shapely

    return shapely.MultiPolygon([(rings[0], rings[1:]) for rings in polygons])


def as_polygons(shape: Any) -> list[Polygon]:
    """The polygons of a shapely shape."""
    import shapely

    return [
        [shapely.get_coordinates(ring).tolist() for ring in (polygon.exterior, *polygon.interiors)]
        for polygon in shapely.get_parts(shape)
    ]
