"""Entities from a height field: a basin for every peak, and shallow neighbours merged.

Merging the basins of all peaks across their saddles, the highest saddle first, gives the same regions as flooding from
the h-maxima of the field (Najman and Schmitt, Geodesic saliency of watershed contours, PAMI 1996), for any height from
one watershed, at a fraction of the cost of a morphological reconstruction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

BEFORE = ((0, -1), (-1, -1), (-1, 0), (-1, 1))
"""Steps (down, right) from a pixel to the neighbours before it, corners included: each pair of neighbours once."""


class Saddles(NamedTuple):
    """Pairs of basins that touch, corners included, each once: (E,) int64 columns, the highest saddle first.

    lower, upper: numbers of the two; height: the level of the highest pass between them. Equal ones are in the order of
    the numbers, in which basins merge.
    """

    lower: np.ndarray
    upper: np.ndarray
    height: np.ndarray

    @classmethod
    def highest(cls, basins: np.ndarray, neighbours: np.ndarray, heights: np.ndarray) -> Saddles:
        """The saddles of passes (P,) in any order; numbers of basins and heights are 0 or more."""
        count = int(max(basins.max(initial=0), neighbours.max(initial=0))) + 1
        span = int(heights.max(initial=0)) + 1
        pairs = np.minimum(basins, neighbours).astype(np.int64) * count + np.maximum(basins, neighbours)
        passes = np.sort(pairs * span + (span - 1 - heights))  # a pair's highest comes first
        pairs, depth = np.divmod(passes, span)
        first = np.flatnonzero(np.diff(pairs, prepend=-1))
        first = first[np.argsort(depth[first], kind="stable")]
        return cls(*np.divmod(pairs[first], count), span - 1 - depth[first])

    def merged(self, node: np.ndarray) -> Saddles:
        """Those between merged basins, in the same order; node: (N + 1,) what each has become, 0 for the ground."""
        lower, upper = node[self.lower], node[self.upper]
        apart = np.flatnonzero((lower != upper) & (lower > 0) & (upper > 0))
        lower, upper = lower[apart], upper[apart]
        pairs = np.minimum(lower, upper).astype(np.int64) * len(node) + np.maximum(lower, upper)
        first = np.sort(np.unique(pairs, return_index=True)[1])
        return Saddles(lower[first], upper[first], self.height[apart][first])


def basins(level: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ids, peaks): (H, W) int32, every pixel of the mask in the basin of the peak it climbs to, 1..N, and 0 elsewhere;
    (N + 1,) the height of each peak, 0 for the ground.

    level: (H, W) integers; the pixels of a plateau belong to one peak. A pixel that two floods reach at once goes to
    the peak that was queued first, so that a mirrored field may give another seam, of such pixels alone.
    """
    ids, box = np.zeros(mask.shape, np.int32), surrounding(mask)
    level, mask = (
        np.ascontiguousarray(level[box]),
        np.ascontiguousarray(mask[box]),
    )  # skimage gives bare markers back for Fortran's
    tops = np.asarray(label(local_maxima(np.where(mask, level, -1)) & mask, connectivity=2), np.int32)
    top = np.flatnonzero(tops)
    peaks = np.zeros(int(tops.max(initial=0)) + 1, np.int64)
    peaks[tops.ravel()[top]] = level.ravel()[top]
    ids[box] = watershed(-level, tops, mask=mask)
    return ids, peaks


def surrounding(mask: np.ndarray, margin_px: int = 1) -> tuple[slice, slice]:
    """(rows, columns) of the box of a mask (H, W) and so many pixels around it, as far as they are in the image."""
    sides = []
    for axis in (1, 0):
        filled = np.flatnonzero(mask.any(axis))
        start, stop = (filled[0] - margin_px, filled[-1] + 1 + margin_px) if len(filled) else (0, 0)
        sides.append(slice(max(0, start), stop))
    return sides[0], sides[1]


def merge_shallow(ids: np.ndarray, peaks: np.ndarray, level: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Basins, of which those whose peak rises by at most `height` above a saddle have joined the higher neighbour.

    ids, peaks: of `basins`; level: (H, W) integers, 0 or more. The ground lies at 0: what rises no higher than
    `height` joins it. Returns ids and peaks again, numbered 0..M.
    """
    node, tops = join_shallow(peaks, saddles(ids, level), height)
    return node[ids], tops


def join_shallow(peaks: np.ndarray, saddles: Saddles, height: int) -> tuple[np.ndarray, np.ndarray]:
    """`merge_shallow` by basin: (N + 1,) int32, what each has become, 0..M, and (M + 1,) the peaks."""
    kept, dense = np.unique(join_roots(peaks, saddles, height), return_inverse=True)
    return dense.astype(np.int32), peaks[kept]


def join_roots(peaks: np.ndarray, saddles: Saddles, height: int) -> np.ndarray:
    """(N + 1,) the basin of the highest peak that each has joined; 0 for what joins the ground, which is its own."""
    tops, parent = peaks.tolist(), list(range(len(peaks)))

    def root(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    rise = np.minimum(peaks[saddles.lower], peaks[saddles.upper]) - saddles.height
    shallow = np.flatnonzero(rise <= height)  # no others can merge: the peak of a union is no lower
    for a, b, across in zip(*(column[shallow].tolist() for column in saddles), strict=True):
        a, b = root(a), root(b)
        if a != b and min(tops[a], tops[b]) - across <= height:
            low, high = (a, b) if tops[a] < tops[b] else (b, a)
            parent[low] = high
    roots = np.array(parent)
    while ((above := roots[roots]) != roots).any():
        roots = above
    return np.where(peaks[roots] <= height, 0, roots)


def saddles(ids: np.ndarray, level: np.ndarray) -> Saddles:
    """The saddles of basins. ids: (H, W) of `basins`; level: (H, W) integers, 0 or more."""
    inside, ids_flat, level_flat = np.flatnonzero(ids > 0), ids.ravel(), level.ravel()
    pixel, neighbour = (
        np.concatenate(ends) for ends in zip(*(touching(ids, inside, *step) for step in BEFORE), strict=True)
    )
    basins = ids_flat[neighbour] > 0
    pixel, neighbour = pixel[basins], neighbour[basins]
    return Saddles.highest(ids_flat[pixel], ids_flat[neighbour], np.minimum(level_flat[pixel], level_flat[neighbour]))


def touching(ids: np.ndarray, inside: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, neighbours), flat indices (P,) each: the pixels of `inside` whose neighbour is of another id, in their
    order. A pixel whose neighbour lies beyond the image has none.

    ids: (H, W); inside: flat indices; down, right: -1, 0 or 1, the step to the neighbour.
    """
    (height, width), flat = ids.shape, ids.ravel()
    beside = inside + (down * width + right)
    apart = np.flatnonzero(flat.take(beside, mode="clip") != flat[inside])
    pixels, neighbours = inside[apart], beside[apart]
    y, x = np.divmod(pixels, width)
    y, x = y + down, x + right
    in_image = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return pixels[in_image], neighbours[in_image]
