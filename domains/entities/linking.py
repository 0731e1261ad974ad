"""Which entities of two maps are the same, and what follows when links form chains: shared by tiles and by time.

A stitcher links what overlapping tiles show of a scene, a tracker what following frames show of a clip. Both count the
pixels that entities of two maps share, decide which pairs belong together, and take what is linked, over any number of
links, for one (union-find).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

MOST_CELLS_A_PIXEL = 4
"""Pairs of numbers that there may be for a shared pixel, for the table of all of them to be counted."""


class Overlaps(NamedTuple):
    """The P pairs of entities of maps a and b that share pixels, by a's number and then b's.

    a, b: (P,) numbers, from 1; pixels: (P,) that they share; areas_a, areas_b: pixels of every number, of 0 none.
    """

    a: np.ndarray
    b: np.ndarray
    pixels: np.ndarray
    areas_a: np.ndarray
    areas_b: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """(P,) intersection over union, in (0, 1]."""
        return self.pixels / (self.areas_a[self.a] + self.areas_b[self.b] - self.pixels)


def overlaps(a: np.ndarray, b: np.ndarray) -> Overlaps:
    """What entities of two maps (H, W) of numbers share; what is 0 or below is no entity."""
    in_a, in_b = a > 0, b > 0
    covered = in_a & in_b
    areas_a, areas_b = np.bincount(a[in_a], minlength=1), np.bincount(b[in_b], minlength=1)
    codes, span = a[covered] * np.int64(len(areas_b)) + b[covered], len(areas_a) * len(areas_b)
    if span <= MOST_CELLS_A_PIXEL * len(codes):  # counting takes less time than sorting
        pixels = np.bincount(codes, minlength=1)
        pairs = np.flatnonzero(pixels)
        pixels = pixels[pairs]
    else:
        pairs, pixels = np.unique(codes, return_counts=True)
    rows, columns = np.divmod(pairs, len(areas_b))
    return Overlaps(rows, columns, pixels, areas_a, areas_b)


def linked(a: np.ndarray, b: np.ndarray, threshold: float) -> np.ndarray:
    """(M, 2) ids of maps a and b (h, w) of the same pixels that are the same entity.

    Compared are the connected pieces that each entity shows. Two of them match when each is the one that covers most
    of the other and they share `threshold` of the smaller. Pieces, because both arms of a U are one entity in the tile
    below and two in the tile above; best of each, because two touching entities are never joined by a tile that saw
    them as one.
    """
    covered = (a > 0) & (b > 0)
    if not covered.any():
        return np.zeros((0, 2), np.int64)
    pieces_a, pieces_b = _pieces(a), _pieces(b)
    shared = overlaps(pieces_a, pieces_b)
    p, q, pixels = shared.a, shared.b, shared.pixels
    smaller = np.minimum(shared.areas_a[p], shared.areas_b[q])
    best = best_of(p, pixels) & best_of(q, pixels) & (pixels >= threshold * smaller)
    id_of_a, id_of_b = np.zeros(len(shared.areas_a), np.int64), np.zeros(len(shared.areas_b), np.int64)
    id_of_a[pieces_a[covered]], id_of_b[pieces_b[covered]] = a[covered], b[covered]
    return np.stack([id_of_a[p[best]], id_of_b[q[best]]], axis=1)


def components(count: int, links: np.ndarray) -> np.ndarray:
    """(count,) int32 group of each of so many nodes, from 0, in the order of their first nodes: what is linked, over
    any number of links, is in one. links: (M, 2) nodes from 0.
    """
    if not count:
        return np.zeros(0, np.int32)
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def assigned(pairs: np.ndarray, costs: np.ndarray, ceiling: float) -> np.ndarray:
    """(K,) int64 indices of the pairs that are taken: each node of either side at most once, at the least sum of
    costs, where a node that stays alone costs half of `ceiling` (Kuhn, Naval Research Logistics 1955; scipy's solver is
    Crouse's, IEEE TAES 2016). Pairs that cost `ceiling` or more are never taken.

    pairs: (P, 2) numbers of both sides, each pair once; costs: (P,). What no chain of pairs joins is solved apart, so
    that a thousand cells are a thousand small problems.
    """
    possible = np.flatnonzero(costs < ceiling)
    if not len(possible):
        return possible
    sides = [np.unique(pairs[possible, side], return_inverse=True) for side in (0, 1)]
    (owners, rows), (partners, columns) = sides
    group = components(len(owners) + len(partners), np.stack([rows, columns + len(owners)], 1))[rows]
    choices = []
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(members) == 1:
            choices.append(members)
            continue
        _, row = np.unique(rows[members], return_inverse=True)
        _, column = np.unique(columns[members], return_inverse=True)
        gains = np.zeros((row.max() + 1, column.max() + 1))
        gains[row, column] = ceiling - costs[possible[members]]
        number = np.full(gains.shape, -1, np.int64)
        number[row, column] = members
        chosen = number[linear_sum_assignment(gains, maximize=True)]
        choices.append(chosen[chosen >= 0])
    return np.sort(possible[np.concatenate(choices)])


def best_of(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(P,) bool: has the pair the largest value of its group? One of equals is taken, so that ties join nothing."""
    order = np.lexsort((-value, group))
    leads = np.r_[True, np.diff(group[order]) > 0]
    best = np.zeros(len(group), bool)
    best[order[leads[: len(order)]]] = True
    return best


def _pieces(ids: np.ndarray) -> np.ndarray:
    """(h, w) connected parts of entities, numbered from 1; pixels that touch by a corner are connected."""
    return np.asarray(label(np.maximum(ids, 0), background=0, connectivity=2))
