"""Several maps of one scene, from fine to coarse, as the sets of pixels that are alike in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

MERGED_ROWS = 2**19
"""Rows that are held before equal ones of them are joined."""


class Pieces(NamedTuple):
    """Sets of pixels: what U of them are on K maps, sorted, and their measures.

    ids: (U, K) int64; 0 for none, -1 unlabelled. area, sum_y, sum_x: (U,) float64, pixels and sums of their indices.
    low: (U, 2) int64, the least y and x; high: (U, 2), the greatest of each plus 1.
    """

    ids: np.ndarray
    area: np.ndarray
    sum_y: np.ndarray
    sum_x: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, stack: np.ndarray, corner: tuple[int, int] = (0, 0)) -> Pieces:
        """The pieces of maps (K, h, w) whose first pixel is `corner` of the scene; pixels of none are left out."""
        starts, lengths = runs(stack)
        return cls.of_runs(starts, lengths, stack.reshape(len(stack), -1)[:, starts].T, stack.shape[2], corner)

    @classmethod
    def of_runs(
        cls, starts: np.ndarray, lengths: np.ndarray, ids: np.ndarray, width: int, corner: tuple[int, int] = (0, 0)
    ) -> Pieces:
        """The pieces of runs of pixels (R,) in rows of that width, as `runs` has them, with their ids (R, K)."""
        ids = ids.astype(np.int64)
        held = (ids > 0).any(1)
        y, x = np.divmod(starts[held], width)
        y, x, lengths = y + corner[0], x + corner[1], lengths[held].astype(np.float64)
        sums = lengths * y, lengths * (x + (lengths - 1) / 2)
        low, high = np.stack([y, x], 1), np.stack([y + 1, x + lengths.astype(np.int64)], 1)
        return cls(ids[held], lengths, *sums, low, high).merged()

    @classmethod
    def joined(cls, groups: Iterable[Pieces], levels: int) -> Pieces:
        """The pieces of several windows of K maps; those of equal ids are one."""
        empty = cls.of(np.zeros((levels, 1, 1), np.int64))
        held, rows = [empty], 0
        for pieces in groups:
            held.append(pieces)
            rows += len(pieces.ids)
            if rows > MERGED_ROWS:
                held = [cls._concatenated(held).merged()]
                rows = 0
        return cls._concatenated(held).merged()

    @classmethod
    def _concatenated(cls, groups: Sequence[Pieces]) -> Pieces:
        return cls._make(np.concatenate(columns) for columns in zip(*groups, strict=True))

    def merged(self) -> Pieces:
        """Those of equal ids are one, and all are sorted by their ids."""
        order = np.lexsort(self.ids.T[::-1])
        ids = self.ids[order]
        leads = np.concatenate([np.ones(min(1, len(ids)), bool), (ids[1:] != ids[:-1]).any(1)])
        piece = np.empty(len(ids), np.int64)
        piece[order] = np.cumsum(leads) - 1
        count = int(leads.sum())
        area, y, x = (np.bincount(piece, column, count) for column in (self.area, self.sum_y, self.sum_x))
        low, high = np.full((count, 2), np.iinfo(np.int64).max), np.zeros((count, 2), np.int64)
        np.minimum.at(low, piece, self.low)
        np.maximum.at(high, piece, self.high)
        return Pieces(ids[leads], area, y, x, low, high)


def runs(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(starts, lengths), int64: runs of pixels of a row that are alike on all maps (K, h, w), by flat index."""
    _, height, width = stack.shape
    begins = np.ones((height, width), bool)
    begins[:, 1:] = (stack[:, :, 1:] != stack[:, :, :-1]).any(0)
    starts = np.flatnonzero(begins)
    return starts, np.diff(starts, append=height * width)


class PieceIndex:
    """Finds pieces by their ids."""

    def __init__(self, ids: np.ndarray) -> None:
        """ids: (U, K), no two rows alike."""
        self._keys: list[tuple[int, np.ndarray]] = []
        code = np.zeros(len(ids), np.int64)
        for column in ids.T:
            span = int(column.max(initial=0)) + 2
            keys, code = np.unique(code * span + column + 1, return_inverse=True)
            self._keys.append((span, keys))
        self._row = np.full(len(ids) + 1, -1)
        self._row[code] = np.arange(len(ids))

    def find(self, ids: Sequence[np.ndarray]) -> np.ndarray:
        """(R,) int64: the row of each piece, -1 where there is none; ids: K columns (R,)."""
        code, present = np.zeros(len(ids[0]), np.int64), np.ones(len(ids[0]), bool)
        for (span, keys), column in zip(self._keys, ids, strict=True):
            key = code * span + column + 1
            code = np.searchsorted(keys, key).clip(max=max(0, len(keys) - 1))
            present &= (column + 1 < span) & (keys[code] == key) if len(keys) else False
        return np.where(present, self._row[code], -1)
