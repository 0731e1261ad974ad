"""Regions by merging: the most similar neighbours first, and the forest that snapshots of the merging make.

After SOHES (Cao et al., CVPR 2024, https://arxiv.org/abs/2404.12386), self-exploration: cells of a grid have feature
vectors, a region's is the sum of its members', and again and again the two adjacent regions of the greatest cosine
merge; what is there when that falls below a threshold is a snapshot. Snapshots of falling thresholds are nested.

Departure: one heap over all pairs in place of a search for each merge. A merge looks at the neighbours of what it makes
alone, so the whole takes O(E log E) for E pairs of neighbours while regions have few of them, as on a plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np

ROUNDING = 1e-6
"""By which a cosine may differ when it is worked out again."""


@dataclass(frozen=True)
class Merges:
    """All merges of N cells, in their order; the k-th, of 0..M - 1, makes region N + k.

    pairs: (M, 2) int64, the two regions that merged, of which 0..N - 1 are cells. similarities: (M,) float64, the least
    cosine of any merge so far, so never rising: a snapshot at a threshold is the merges that are not below it.
    """

    cells: int
    pairs: np.ndarray
    similarities: np.ndarray

    def regions(self, threshold: float) -> np.ndarray:
        """(N,) int64: of each cell the number of its region in the snapshot at a threshold."""
        count = int(np.searchsorted(-self.similarities, -threshold, side="right"))
        above = np.arange(self.cells + count)
        above[self.pairs[:count].ravel()] = np.repeat(self.cells + np.arange(count), 2)
        while not np.array_equal(higher := above[above], above):
            above = higher
        return above[: self.cells]

    @property
    def sizes(self) -> np.ndarray:
        """(N + M,) int64: cells of each region."""
        sizes = np.ones(self.cells + len(self.pairs), np.int64)
        for number, members in enumerate(self.pairs, self.cells):
            sizes[number] = sizes[members].sum()
        return sizes


def grid_pairs(inside: np.ndarray) -> np.ndarray:
    """(E, 2) int64: pairs of neighbours (sides, no corners) among the cells of a grid, inside: (h, w) bool; numbered
    row by row, the cells inside alone.
    """
    number = np.cumsum(inside).reshape(inside.shape) - 1
    across, down = inside[:, :-1] & inside[:, 1:], inside[:-1] & inside[1:]
    return np.concatenate(
        [
            np.stack([number[:, :-1][across], number[:, 1:][across]], 1),
            np.stack([number[:-1][down], number[1:][down]], 1),
        ]
    )


def unit(features: np.ndarray) -> np.ndarray:
    """Rows (N, D) at length 1, in float32; rows of nothing stay."""
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def merged(features: np.ndarray, pairs: np.ndarray, least: float = -1.0) -> Merges:
    """Merge cells with features (N, D) and pairs (E, 2) of neighbours down to a cosine of `least`.

    Rows count by their direction: a cell is a vector of length 1. Equal pairs go by their numbers.
    """
    regions = Merging(features, pairs)
    made: list[tuple[int, int]] = []
    similarities: list[float] = []
    lowest = 1.0
    while (closest := regions.closest()) is not None and closest.similarity >= least:
        made.append((regions.number[closest.place], regions.number[closest.neighbour]))
        lowest = min(lowest, closest.similarity)
        similarities.append(lowest)
        regions.merge(closest.place, closest.neighbour)
    return Merges(len(features), np.array(made, np.int64).reshape(-1, 2), np.array(similarities))


class Closest(NamedTuple):
    """Two regions, by their places, and their cosine."""

    similarity: float
    place: int
    neighbour: int


class Merging:
    """Regions while they merge, each at the place of one of its cells, with what it lies beside.

    The heap has for every region what its greatest cosine with a neighbour is at most. It is worked out anew when it
    comes to the top, and merges if it is that still. So a region that grew tells its neighbours only where it came
    closer to them: a ground with a thousand specks in it takes no thousand entries for each that it swallows.
    """

    def __init__(self, features: np.ndarray, pairs: np.ndarray) -> None:
        self.sums = unit(features)
        self.norms = np.ones(len(features), np.float32)
        self.number = list(range(len(features)))
        """Of the region at each place, as `Merges` counts."""
        self.made = len(features)
        self.beside: list[set[int]] = [set() for _ in self.number]
        for cell, neighbour in pairs.tolist():
            self.beside[cell].add(neighbour)
            self.beside[neighbour].add(cell)
        cosines = np.einsum("ed,ed->e", self.sums[pairs[:, 0]], self.sums[pairs[:, 1]])
        self.bound = np.full(len(features), -np.inf)
        for ends in pairs.T:
            np.maximum.at(self.bound, ends, cosines)
        self.heap = [(-bound, place) for place, bound in enumerate(self.bound.tolist()) if bound > -np.inf]
        heapify(self.heap)

    def closest(self) -> Closest | None:
        """The two regions of the greatest cosine; None where no region has a neighbour."""
        while self.heap:
            distance, place = heappop(self.heap)
            if -distance != self.bound[place]:
                continue  # said anew since, or gone
            if not self.beside[place]:
                self.bound[place] = -np.inf
                continue
            near, cosines = self.cosines(place)
            best = int(cosines.argmax())
            if cosines[best] >= self.bound[place] - ROUNDING:
                return Closest(float(cosines[best]), place, int(near[best]))
            self._say(place, float(cosines[best]))
        return None

    def cosines(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """(the places of a region's neighbours, ascending, its cosine with each), (K,) each."""
        near = np.sort(np.fromiter(self.beside[place], np.int64, len(self.beside[place])))
        return near, (self.sums[near] @ self.sums[place]) / (self.norms[near] * self.norms[place])

    def merge(self, place: int, partner: int) -> None:
        """Make one region of two neighbours, at the place of that with more neighbours."""
        kept, gone = (place, partner) if len(self.beside[place]) >= len(self.beside[partner]) else (partner, place)
        self.sums[kept] += self.sums[gone]
        self.norms[kept] = max(float(np.linalg.norm(self.sums[kept])), 1e-12)
        self.number[kept] = self.made
        self.made += 1
        for neighbour in self.beside[gone]:
            self.beside[neighbour].discard(gone)
            if neighbour != kept:
                self.beside[neighbour].add(kept)
                self.beside[kept].add(neighbour)
        self.beside[gone] = set()
        self.bound[gone] = np.inf  # which no entry says
        self.bound[kept] = -np.inf
        if self.beside[kept]:
            near, cosines = self.cosines(kept)
            closer = cosines > self.bound[near]
            for neighbour, cosine in zip(near[closer].tolist(), cosines[closer].tolist(), strict=True):
                self._say(neighbour, cosine)
            self._say(kept, float(cosines.max()))

    def _say(self, place: int, bound: float) -> None:
        self.bound[place] = bound
        heappush(self.heap, (-bound, place))


@dataclass(frozen=True)
class Snapshots:
    """Merges seen at falling thresholds: R regions that are there in one of them or more.

    region: (N,) int64 of 0..R - 1, the finest that holds each cell. parents: (R,) int64, the next coarser one, -1 for
    none. begins, ends: (R,) int64, the first and the last threshold at which each is there, by index.
    """

    region: np.ndarray
    parents: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, merges: Merges, thresholds: Sequence[float], least_cells: int = 1) -> Snapshots:
        """The regions of `least_cells` and more at thresholds in falling order; what is smaller belongs to what holds
        it, and to none (-1) where that is as small at every threshold.
        """
        maps = np.stack([merges.regions(threshold) for threshold in thresholds])  # (m, N)
        sizes = merges.sizes
        numbers = np.unique(maps)
        numbers = numbers[sizes[numbers] >= least_cells]
        index = np.full(len(sizes), -1)
        index[numbers] = np.arange(len(numbers))
        at = index[maps]  # (m, N)
        region, parents = np.full(merges.cells, -1), np.full(len(numbers), -1)
        begins, ends = np.full(len(numbers), len(thresholds)), np.full(len(numbers), -1)
        for level, row in enumerate(at):
            present = np.unique(row[row >= 0])
            begins[present] = np.minimum(begins[present], level)
            ends[present] = level
            region = np.where(region < 0, row, region)
        for finer, coarser in zip(at[:-1], at[1:], strict=True):
            changed = (finer >= 0) & (finer != coarser)
            parents[finer[changed]] = coarser[changed]
        return cls(region, parents, begins, ends)
