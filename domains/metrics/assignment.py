"""The heaviest one-to-one choice among sparse pairs, solved apart for every group of pairs that hang together."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

DENSE = 64**2
"""Cells of a table below which it costs less to solve it whole than to take it apart."""


def heaviest(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(M,) indices of pairs, ascending: no two share a row or column, and their weights add up to the most.

    rows, columns: (K,) ints from 0, each pair once; weights: (K,) floats, those of 0 and below are never chosen.
    """
    pairs = np.flatnonzero(weights > 0)
    if not len(pairs):
        return pairs
    rows, columns, weights = rows[pairs], columns[pairs], weights[pairs]
    height, width = int(rows.max()) + 1, int(columns.max()) + 1
    if height * width <= DENSE:
        return pairs[solved(rows, columns, weights)]
    graph = coo_array((np.ones(len(rows)), (rows, height + columns)), shape=(height + width, height + width))
    groups = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    chosen = [group[solved(rows[group], columns[group], weights[group])] for group in np.split(order, starts[1:])]
    return np.sort(pairs[np.concatenate(chosen)])


def solved(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(M,) indices of pairs, ascending, by a dense table of those rows and columns that have any."""
    if len(rows) == 1:
        return np.zeros(1, int)
    row_names, row_places = np.unique(rows, return_inverse=True)
    column_names, column_places = np.unique(columns, return_inverse=True)
    table, index = np.zeros((len(row_names), len(column_names))), np.full((len(row_names), len(column_names)), -1)
    table[row_places, column_places], index[row_places, column_places] = weights, np.arange(len(rows))
    matched = index[linear_sum_assignment(-table)]
    return np.sort(matched[matched >= 0])
