"""Pixel-exact outlines: polygons along pixel edges, with holes, that rasterise to the very same map.

    0   1   2   3
  0 +---+---+---+     A corner of an outline is a grid point where the outline turns. Around a grid point, seen from
    | a   a   a |     one of its four pixels, the outline of this pixel's component turns
  1 +   +---+   +       outward, where neither neighbour (across, along) is of the component, and
    | a | b | a |       inward, where both are and the pixel opposite is not.
  2 +---+   +---+     Corners of a component that follow each other on a line are, two by two, ends of one edge. So two
        | b |         sorts, by row and by column, link all corners of all entities at once, and a walk over the links
  3     +---+         gives the rings.

Coordinates are (x, y) with the grid point 0, 0 at the outer corner of the first pixel. The component is on the left of
its rings when y is drawn upward: exteriors have positive area (RFC 7946, 3.1.6), holes negative. Components are
4-connected, so pixels that touch by a corner lie in two polygons that touch by a point, and every ring is simple.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np
from skimage.measure import label

Ring = list[list]  # closed: [[x, y], ..., the first again]; whole numbers as they come from here
Polygon = list[Ring]  # the exterior, then the holes


def outlines(ids: np.ndarray) -> Iterator[tuple[int, list[Polygon]]]:
    """(id, polygons) of every entity that has pixels, by id; several polygons where it is disconnected.

    ids: (H, W) integers; below 1 is outside.
    """
    positive = np.maximum(ids, 0) if ids.min(initial=0) < 0 else ids
    components = np.asarray(label(positive, background=0, connectivity=1))
    entity = np.zeros(components.max(initial=0) + 1, np.int64)
    entity[components] = positive
    by_entity = np.argsort(entity, kind="stable")
    renumbered = np.empty(len(entity), np.int32)
    renumbered[by_entity] = np.arange(len(entity))
    entity = entity[by_entity]
    padded = np.pad(renumbered[components], 1)
    del components, positive  # of a whole scene they are large
    rings = _rings(*_corners(padded))  # by entity, then by component
    for i, of_entity in groupby(rings, key=lambda pair: int(entity[pair[0]])):
        yield i, [[ring for _, ring in of_component] for _, of_component in groupby(of_entity, key=itemgetter(0))]


def _corners(padded: np.ndarray) -> tuple[np.ndarray, ...]:
    """(component, x, y, right, lower, tail), each (C,), sorted by component, y and x.

    right, lower: on which side of the grid point its horizontal and its vertical edge lie.
    tail: does the horizontal edge start here, when walked with the component on the left?
    padded: (H + 2, W + 2), 0 outside of components.
    """
    side = (slice(None, -1), slice(1, None))  # of the grid points: upper or left, lower or right
    pixels = [[padded[side[lower], side[right]] for right in (0, 1)] for lower in (0, 1)]  # (H + 1, W + 1) each
    mixed = (pixels[0][0] != pixels[0][1]) | (pixels[0][0] != pixels[1][0]) | (pixels[0][0] != pixels[1][1])
    y, x = (axis.astype(np.int32) for axis in np.divmod(np.flatnonzero(mixed), mixed.shape[1]))  # turns are there alone
    around = [[values[y, x] for values in row] for row in pixels]
    corners = []
    for lower in (0, 1):
        for right in (0, 1):
            quadrant = around[lower][right]
            across = around[lower][1 - right] == quadrant
            along = around[1 - lower][right] == quadrant
            opposite = around[1 - lower][1 - right] == quadrant
            inward = across & along & ~opposite
            outward = ~across & ~along
            turn = np.flatnonzero((quadrant > 0) & (outward | inward))
            touching = opposite[turn]  # itself, by a corner: exchange the edges so that two rings part here
            tail = inward[turn] ^ (lower == right)
            right_of, lower_of = np.full(len(turn), right), touching ^ bool(lower)
            corners.append((quadrant[turn], x[turn], y[turn], right_of, lower_of, tail))
    component, x, y, right, lower, tail = (np.concatenate(values) for values in zip(*corners, strict=True))
    order = np.lexsort((right, x, y, component))
    return tuple(values[order] for values in (component, x, y, right, lower, tail))


def _rings(
    component: np.ndarray, x: np.ndarray, y: np.ndarray, right: np.ndarray, lower: np.ndarray, tail: np.ndarray
) -> Iterator[tuple[int, Ring]]:
    """(component, closed ring) by component; its topmost corner comes first, and that is on the exterior."""
    count = len(component)
    along_row = np.arange(count) ^ 1  # sorted by row: 0 and 1, 2 and 3, ... end one edge
    by_column = np.lexsort((lower, y, x, component))
    along_column = np.empty(count, np.int64)
    along_column[by_column] = by_column[np.arange(count) ^ 1]
    following = np.where(tail, along_row, along_column).tolist()
    points = np.stack([x, y], axis=1)
    seen = bytearray(count)
    for start in range(count):
        if seen[start]:
            continue
        ring, corner = [], start
        while not seen[corner]:
            seen[corner] = 1
            ring.append(corner)
            corner = following[corner]
        yield int(component[start]), points[[*ring, start]].tolist()
