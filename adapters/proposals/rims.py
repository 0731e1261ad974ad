"""Basins of the dense decoder's core merged by the mean boundary along the rims that they share, the faintest first.

A saddle is one pixel, and one leak joins two regions of a photograph; a rim is all that parts them. The order of the
merges is an ultrametric, so the regions at all strengths of a rim are nested (Arbelaez et al., Contour Detection and
Hierarchical Image Segmentation, TPAMI 33(5), 2011, https://doi.org/10.1109/TPAMI.2010.161, section 4.2). Departs from
that in what is merged: basins of a learnt distance to the boundary, not of the contours' watershed.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from adapters.proposals.basins import basins, join_roots, saddles, touching
from adapters.proposals.watershed import DIGITS, LEVELS, Nested, Watershed, nested_roots

STRENGTHS = (0.1, 0.3, 0.5, 0.6, 0.65, 0.7, 0.725, 0.75, 0.775, 0.8, 0.825, 0.85, 0.875, 0.9, 0.95)
"""Mean boundaries at which nested regions are cut: densest where people draw outlines."""
USUAL = 0.7
"""The strength of the flat map until calibration has set another."""
TRIED = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7)
"""Granularities that calibration tries."""
NOISE = 0.03
"""Basins that rise by less are merged before all others: their rims are of few pixels."""


@dataclass(frozen=True)
class RimMerging(Watershed):
    """Regions that rims stronger than 1 less the granularity part; scores are those of the watershed."""

    DEPTHS: ClassVar[tuple[float, ...]] = STRENGTHS

    @property
    def depth(self) -> float:
        """The mean boundary of a rim that parts two regions of the flat map."""
        granularity = self.options.granularity
        return USUAL if granularity is None else round(1 - granularity, DIGITS)

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """The options of the watershed, with granularities of rims."""
        return {**super().tuned(), "granularity": TRIED}

    def merged(
        self, level: np.ndarray, mask: np.ndarray, boundary: np.ndarray, heights: Sequence[float]
    ) -> tuple[np.ndarray, Nested]:
        """(leaves, nodes) as of the watershed, by the mean boundary along shared rims; boundary: (H, W) in [0, 1]."""
        ids, peaks = basins(level, mask)
        basin_of = join_roots(peaks, saddles(ids, level), round(NOISE * LEVELS))
        merges = faintest_first(Rims.of(basin_of[ids], boundary, len(peaks)), heights[-1])
        leaf_of, nodes = nested_roots(peaks, heights, roots_at(heights, merges, basin_of, peaks))
        return leaf_of[ids], nodes


@dataclass(frozen=True)
class Rims:
    """What parts basins that share sides of pixels: (E,) each.

    lower, upper: numbers of the two; sides: how many they share; strength: the sum over these of the mean boundary of
    the pixels on both.
    """

    lower: np.ndarray
    upper: np.ndarray
    sides: np.ndarray
    strength: np.ndarray

    @classmethod
    def of(cls, ids: np.ndarray, boundary: np.ndarray, count: int) -> Rims:
        """The rims between basins 1..count - 1 of ids (H, W), 0 the ground; boundary: (H, W) in [0, 1]."""
        inside, ids_flat, boundary_flat = np.flatnonzero(ids > 0), ids.ravel(), boundary.ravel().astype(np.float64)
        pixel, neighbour = (
            np.concatenate(ends)
            for ends in zip(*(touching(ids, inside, *step) for step in ((0, 1), (1, 0))), strict=True)
        )
        is_basin = ids_flat[neighbour] > 0
        pixel, neighbour = pixel[is_basin], neighbour[is_basin]
        a, b = ids_flat[pixel].astype(np.int64), ids_flat[neighbour].astype(np.int64)
        pairs, pair = np.unique(np.minimum(a, b) * count + np.maximum(a, b), return_inverse=True)
        strength = np.bincount(pair, (boundary_flat[pixel] + boundary_flat[neighbour]) / 2, len(pairs))
        return cls(*np.divmod(pairs, count), np.bincount(pair, minlength=len(pairs)), strength)


def faintest_first(rims: Rims, strongest: float) -> list[tuple[float, int, int]]:
    """(strength, kept, joined) of the merges of basins in their order, until rims are stronger than `strongest`.

    A strength is no less than those before. What is joined is named by a basin that is in it. Equal ones go by number.
    """
    beside: dict[int, dict[int, tuple[int, float]]] = {}
    for a, b, sides, strength in zip(*(column.tolist() for column in vars(rims).values()), strict=True):
        beside.setdefault(a, {})[b] = beside.setdefault(b, {})[a] = sides, strength
    queue = [(strength / sides, a, b) for a in beside for b, (sides, strength) in beside[a].items() if a < b]
    heapq.heapify(queue)
    merges, reached = [], 0.0
    while queue and queue[0][0] <= strongest:
        mean, a, b = heapq.heappop(queue)
        rim = beside.get(a, {}).get(b)
        if rim is None or rim[1] / rim[0] != mean:
            continue  # one of the two was joined, or their rim has grown since
        reached = max(reached, mean)
        kept, joined = (a, b) if len(beside[a]) >= len(beside[b]) else (b, a)
        merges.append((reached, kept, joined))
        for basin, (sides, strength) in beside.pop(joined).items():
            del beside[basin][joined]
            if basin != kept:
                was_sides, was_strength = beside[kept].get(basin, (0, 0.0))
                rim = was_sides + sides, was_strength + strength
                beside[kept][basin] = beside[basin][kept] = rim
                heapq.heappush(queue, (rim[1] / rim[0], min(kept, basin), max(kept, basin)))
    return merges


def roots_at(
    heights: Sequence[float], merges: Sequence[tuple[float, int, int]], basin_of: np.ndarray, peaks: np.ndarray
) -> list[np.ndarray]:
    """(N + 1,) for each height: the basin of the highest peak of those that each is one with; 0 for the ground.

    basin_of: (N + 1,), what each has joined before any of the merges; peaks: (N + 1,).
    """
    into, done, roots = np.arange(len(peaks)), 0, []
    rank = np.empty(len(peaks), np.int64)
    rank[np.lexsort((np.arange(len(peaks)), -peaks))] = np.arange(len(peaks))
    by_rank = np.argsort(rank)
    for height in heights:
        while done < len(merges) and merges[done][0] <= height:
            into[merges[done][2]] = merges[done][1]
            done += 1
        while not np.array_equal(above := into[into], into):
            into = above
        highest = np.full(len(peaks), len(peaks))
        np.minimum.at(highest, into[basin_of], rank)
        roots.append(np.where(basin_of == 0, 0, by_rank[np.minimum(highest, len(peaks) - 1)][into[basin_of]]))
    return roots
