"""Area, perimeter, eccentricity and solidity of all entities of a map at once: those of scikit-image's `regionprops`.

That measures one entity after the other; here each is its *runs*, the stretches of its pixels along the rows.
Their sums give moments, their ends the convex hull.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

STRIP_PX = 2**20
ACROSS, SLANTED = ((-1, 0), (0, -1), (0, 1), (1, 0)), ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Steps (down, right) to the neighbours of a pixel that share a side with it, and to those that share a corner."""
LENGTHS = np.array([0, 1, np.sqrt(2), (1 + np.sqrt(2)) / 2])
"""Of the kinds of pixels on a rim (Benkrid and Crookes, Design and FPGA Implementation of a Perimeter Estimator)."""
KINDS = np.zeros(50, np.int64)
"""The kind of a pixel by 1 + 2 times its neighbours across + 10 times the slanted ones that lie on the rim too."""
KINDS[[5, 7, 15, 17, 25, 27]], KINDS[[21, 33]], KINDS[[13, 23]] = 1, 2, 3


class Runs(NamedTuple):
    """(R,) int64 each: number of the entity, row, and columns of the pixel that begins and of the one that ends it."""

    entity: np.ndarray
    y: np.ndarray
    left: np.ndarray
    right: np.ndarray


class Shapes(NamedTuple):
    """(N,) each, of the entities that have pixels, by id. areas, perimeters: pixels; the others: 0 to 1."""

    ids: np.ndarray
    areas: np.ndarray
    perimeters: np.ndarray
    eccentricities: np.ndarray
    solidities: np.ndarray


def shapes(ids: np.ndarray) -> Shapes:
    """The shapes of ids (H, W), below 1 for none."""
    runs = runs_of(ids)
    present, entity = np.unique(runs.entity, return_inverse=True)
    top, left = np.full((2, len(present)), np.iinfo(np.int64).max)
    bottom, right = np.full((2, len(present)), -1)
    for reduce, ends, values in ((np.minimum, top, runs.y), (np.minimum, left, runs.left),
                                 (np.maximum, bottom, runs.y), (np.maximum, right, runs.right)):  # fmt: skip
        reduce.at(ends, entity, values)
    runs = Runs(entity, runs.y - top[entity], runs.left - left[entity], runs.right - left[entity])  # in their boxes
    height, width = bottom - top + 1, right - left + 1
    areas = np.bincount(entity, runs.right - runs.left + 1, len(present)).astype(np.int64)
    thin = (np.minimum(height, width) < 2) | (areas < 3)
    solidities = np.where(thin, 1.0, areas / np.maximum(convex_areas(runs, height), 1))  # too thin to have a hull
    return Shapes(present, areas, perimeters(ids)[present], eccentricities(runs, areas), solidities)


def strips(ids: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last row, the latter exclusive, of the strips of a map."""
    rows = max(1, STRIP_PX // ids.shape[1])
    return ((top, min(top + rows, len(ids))) for top in range(0, len(ids), rows))


def runs_of(ids: np.ndarray) -> Runs:
    """The runs of all entities, row by row."""
    columns = [np.zeros((4, 0), np.int64)]
    for top, bottom in strips(ids):
        flat = ids[top:bottom].ravel()
        at = np.flatnonzero(flat > 0)
        number = flat[at]
        starts = np.ones(len(at), bool)
        starts[1:] = (np.diff(at) != 1) | (number[1:] != number[:-1]) | (at[1:] % ids.shape[1] == 0)
        first = np.flatnonzero(starts)
        y, left = np.divmod(at[first], ids.shape[1])
        lengths = np.diff(first, append=len(at))
        columns.append(np.stack([number[first].astype(np.int64), y + top, left, left + lengths - 1]))
    return Runs(*np.concatenate(columns, axis=1))


def eccentricities(runs: Runs, areas: np.ndarray) -> np.ndarray:
    """(N,) of the ellipses with the entities' second moments. runs: in the entities' boxes; areas: (N,) pixels."""
    entity, y, left, right = runs
    length, sum_x = right - left + 1, (left + right) * (right - left + 1) // 2
    squares = right * (right + 1) * (2 * right + 1) // 6 - (left - 1) * left * (2 * left - 1) // 6
    sums = (
        np.bincount(entity, values, len(areas)) for values in (y * length, sum_x, y * y * length, squares, y * sum_x)
    )
    y, x, yy, xx, yx = (values / areas for values in sums)
    inertia = np.stack([xx - x * x, x * y - yx, x * y - yx, yy - y * y], axis=1).reshape(-1, 2, 2)
    shorter, longer = np.linalg.eigvalsh(inertia).clip(min=0).T
    return np.sqrt(1 - np.divide(shorter, longer, out=np.ones(len(areas)), where=longer > 0))


def perimeters(ids: np.ndarray) -> np.ndarray:
    """(max + 1,) length of the line through the pixels on the rim of each number's entity."""
    count, width = int(ids.max(initial=0)) + 1, ids.shape[1] + 4
    across, slanted = ([down * width + right for down, right in steps] for steps in (ACROSS, SLANTED))
    kinds = np.zeros(count * len(LENGTHS), np.int64)
    for top, bottom in strips(ids):
        begin, end = max(0, top - 2), min(bottom + 2, len(ids))  # with neighbours, and with theirs
        framed = np.pad(ids[begin:end], ((begin - top + 2, bottom + 2 - end), (2, 2))).ravel()
        inside = np.flatnonzero(framed > 0)
        inside = inside[(inside >= width) & (inside < len(framed) - width)]
        apart = np.zeros(len(inside), bool)
        for step in across:
            apart |= framed[inside + step] != framed[inside]
        rim, on_rim = inside[apart], np.zeros(len(framed), bool)
        on_rim[rim] = True
        rim = rim[(rim >= 2 * width) & (rim < len(framed) - 2 * width)]
        number, code = framed[rim], np.ones(len(rim), np.int64)
        for weight, steps in ((2, across), (10, slanted)):
            for step in steps:
                code += weight * (on_rim[rim + step] & (framed[rim + step] == number))
        kinds += np.bincount(number * len(LENGTHS) + KINDS[code], minlength=len(kinds))
    return kinds.reshape(count, len(LENGTHS)) @ LENGTHS


def convex_areas(runs: Runs, heights: np.ndarray) -> np.ndarray:
    """(N,) pixels whose centres lie in the convex hull of an entity, or on its border; the hull is that of the middles
    of all sides of its pixels. runs: in the entities' boxes; heights: (N,) of these.
    """
    begins = hull_begins(runs.entity, runs.y, runs.left, heights)
    ends = -hull_begins(runs.entity, runs.y, -runs.right, heights)
    return np.bincount(np.repeat(np.arange(len(heights)), heights), ends - begins + 1, len(heights)).astype(np.int64)


def hull_begins(entity: np.ndarray, y: np.ndarray, x: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """(sum of heights,) the first column in the hull, of every row of every entity.

    entity, y, x: (P,) pixels, among them the first of each row that has any. Whole numbers throughout, at twice the
    size: the middles of a pixel's sides are (2 y - 1, 2 x), (2 y, 2 x - 1), (2 y + 1, 2 x) and one that isn't first.
    """
    span = 2 * int(heights.max(initial=0)) + 1
    lines = np.concatenate([entity * span + 2 * y + shift for shift in (0, 1, 2)])  # a number for each entity's 2 y + 1
    order = np.lexsort((points := np.concatenate([2 * x, 2 * x - 1, 2 * x]), lines))
    lines, points = lines[order], points[order]
    leads = np.diff(lines, prepend=-1) > 0  # the first of each line
    lines, points = convex(lines[leads], points[leads], span)
    rows = np.repeat(np.arange(len(heights)) * span - 2 * (np.cumsum(heights) - heights), heights)
    rows += 2 * np.arange(len(rows)) + 1
    above = np.searchsorted(lines, rows, side="right") - 1
    length = lines[above + 1] - lines[above]
    chord = points[above] * length + (rows - lines[above]) * (points[above + 1] - points[above])
    return -(-chord // (2 * length))


def convex(lines: np.ndarray, points: np.ndarray, span: int) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the hulls, seen from before their entities. lines: (P,) ascending, `span` for each entity; points:
    (P,) the column of the first point on a line.
    """
    while len(lines) > 2:
        before, after = lines[1:-1] - lines[:-2], lines[2:] - lines[1:-1]
        behind = before * (points[2:] - points[1:-1]) <= after * (points[1:-1] - points[:-2])  # the chord, or on it
        behind &= lines[:-2] // span == lines[2:] // span
        if not behind.any():
            break
        kept = np.r_[True, ~behind, True]
        lines, points = lines[kept], points[kept]
    return lines, points
