"""Sets of pixels that share most of what they hold: each is a union of leaves, and a leaf's pixels are kept once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Rows of unequal lengths in one array: row i is `values[starts[i] : starts[i + 1]]`.

    values: (P,) int64; starts: (N + 1,) from 0 to P.
    """

    values: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, lengths: np.ndarray) -> Rows:
        """Rows of those lengths (N,), one after the other."""
        return cls(values, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    @classmethod
    def joined(cls, tables: Sequence[Rows]) -> Rows:
        """The rows of one table after those of another."""
        columns = ([table.values for table in tables], [table.lengths for table in tables])
        return cls.of(*(np.concatenate([np.zeros(0, np.int64), *arrays]) for arrays in columns))

    @classmethod
    def grouped(cls, numbers: np.ndarray, count: int) -> Rows:
        """Row i is where `numbers` (P,), each of 0..count - 1, is i, ascending."""
        small = numbers.astype(np.min_scalar_type(count))  # 16 bits are sorted by radix, several times as fast
        return cls.of(np.argsort(small, kind="stable"), np.bincount(numbers, minlength=count))

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64."""
        return np.diff(self.starts)

    def take(self, rows: np.ndarray) -> Rows:
        """Some of the rows (M,), in that order."""
        lengths = self.lengths[rows]
        chosen = Rows.of(self.values, lengths)  # with the lengths of the new rows, but the old values
        within = np.arange(chosen.starts[-1]) - np.repeat(chosen.starts[:-1], lengths)
        return Rows(self.values[np.repeat(self.starts[rows], lengths) + within], chosen.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True)
class PixelSets(Sequence[np.ndarray]):
    """Sets of pixels of one image, as flat indices into it; set i is `sets[i]`, leaf after leaf.

    leaves: the pixels of each leaf; members: the leaves of each set, no two of which share a pixel.
    """

    leaves: Rows
    members: Rows

    @classmethod
    def of(cls, sets: Sequence[np.ndarray]) -> PixelSets:
        """Sets of which each is a leaf of its own."""
        lengths = np.array([len(pixels) for pixels in sets], np.int64)
        leaves = Rows.of(np.concatenate([np.zeros(0, np.int64), *sets]), lengths)
        return cls(leaves, Rows.of(np.arange(len(sets)), np.ones(len(sets), np.int64)))

    @classmethod
    def joined(cls, groups: Sequence[PixelSets]) -> PixelSets:
        """The sets of one group after those of another; leaves of two groups may share pixels."""
        offsets = np.cumsum([0, *(len(sets.leaves) for sets in groups)]).tolist()
        members = [
            Rows(sets.members.values + at, sets.members.starts) for sets, at in zip(groups, offsets, strict=False)
        ]
        return cls(Rows.joined([sets.leaves for sets in groups]), Rows.joined(members))

    def greatest(self, values: np.ndarray, count: int) -> np.ndarray:
        """(count,) float32: of each pixel the greatest value (N,) of the sets that hold it, 0 where none does."""
        of_leaf, of_pixel = np.zeros(len(self.leaves), np.float32), np.zeros(count, np.float32)
        np.maximum.at(of_leaf, self.members.values, np.repeat(values, self.members.lengths))
        np.maximum.at(of_pixel, self.leaves.values, np.repeat(of_leaf, self.leaves.lengths))
        return of_pixel

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, number: int) -> np.ndarray:
        leaves = [self.leaves[leaf] for leaf in self.members[number].tolist()]
        return leaves[0] if len(leaves) == 1 else np.concatenate(leaves)
