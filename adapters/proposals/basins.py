"""Entities from a height field: a basin for every peak, and shallow neighbours merged.

Merging the basins of all peaks across their saddles, the highest saddle first, gives the same regions as flooding from
the h-maxima of the field (Najman and Schmitt, Geodesic saliency of watershed contours, PAMI 1996), for any height from
one watershed, at a fraction of the cost of a morphological reconstruction.
"""

from __future__ import annotations

import numpy as np
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

NEIGHBOURS = (
    (np.s_[1:], np.s_[:-1]),
    (np.s_[:, 1:], np.s_[:, :-1]),
    (np.s_[1:, 1:], np.s_[:-1, :-1]),
    (np.s_[1:, :-1], np.s_[:-1, 1:]),
)


def basins(level: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ids, peaks): (H, W) int32, every pixel of the mask in the basin of the peak it climbs to, 1..N, and 0 elsewhere;
    (N + 1,) the height of each peak, 0 for the ground.

    level: (H, W) integers; the pixels of a plateau belong to one peak. A pixel that two floods reach at once goes to
    the peak that was queued first, so that a mirrored field may give another seam, of such pixels alone.
    """
    level, mask = (
        np.ascontiguousarray(level),
        np.ascontiguousarray(mask),
    )  # skimage gives bare markers back for Fortran's
    tops = np.asarray(label(local_maxima(np.where(mask, level, -1)) & mask, connectivity=2), np.int32)
    peaks = np.zeros(int(tops.max(initial=0)) + 1, np.int64)
    top = tops > 0
    peaks[tops[top]] = level[top]
    return watershed(-level, tops, mask=mask).astype(np.int32), peaks


def merge_shallow(ids: np.ndarray, peaks: np.ndarray, level: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Basins, of which those whose peak rises by at most `height` above a saddle have joined the higher neighbour.

    ids, peaks: of `basins`; level: (H, W) integers, 0 or more. The ground lies at 0: what rises no higher than
    `height` joins it. Returns ids and peaks again, numbered 0..M.
    """
    node, tops = join_shallow(peaks, *saddles(ids, level), height)
    return node[ids], tops


def join_shallow(
    peaks: np.ndarray, lower: np.ndarray, upper: np.ndarray, saddle: np.ndarray, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same by basin: (N + 1,) int32, what each has become, 0..M, and (M + 1,) the peaks; saddles: of `saddles`."""
    kept, dense = np.unique(join_roots(peaks, lower, upper, saddle, height), return_inverse=True)
    return dense.astype(np.int32), peaks[kept]


def join_roots(peaks: np.ndarray, lower: np.ndarray, upper: np.ndarray, saddle: np.ndarray, height: int) -> np.ndarray:
    """(N + 1,) the basin of the highest peak that each has joined; 0 for what joins the ground, which is its own."""
    tops, parent = peaks.tolist(), list(range(len(peaks)))

    def root(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    order = np.argsort(-saddle, kind="stable")
    for a, b, across in zip(lower[order].tolist(), upper[order].tolist(), saddle[order].tolist(), strict=True):
        a, b = root(a), root(b)
        if a != b and min(tops[a], tops[b]) - across <= height:
            low, high = (a, b) if tops[a] < tops[b] else (b, a)
            parent[low] = high
    return np.array([0 if tops[root(basin)] <= height else root(basin) for basin in range(len(tops))])


def saddles(ids: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first, second, height), (E,) each: pairs of basins that touch, corners included, and the highest pass."""
    sides = []
    for pixel, neighbour in NEIGHBOURS:
        a, b = ids[pixel], ids[neighbour]
        touch = np.nonzero((a != b) & (a > 0) & (b > 0))
        a, b = a[touch], b[touch]
        across = np.minimum(level[pixel][touch], level[neighbour][touch])
        sides.append(np.stack([np.minimum(a, b), np.maximum(a, b), across]))
    lower, upper, height = np.concatenate(sides, 1).astype(np.int64)
    order = np.lexsort((-height, upper, lower))
    lower, upper, height = lower[order], upper[order], height[order]
    new = np.ones(len(lower), bool)
    new[1:] = (lower[1:] != lower[:-1]) | (upper[1:] != upper[:-1])
    return lower[new], upper[new], height[new]
