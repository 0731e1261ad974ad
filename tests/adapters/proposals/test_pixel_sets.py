"""Rows and sets in flat arrays, against lists of arrays."""

from __future__ import annotations

import numpy as np

from adapters.proposals.pixel_sets import PixelSets, Rows

RNG = np.random.default_rng(0)


def test_rows_are_grouped_taken_and_joined_as_lists_are() -> None:
    numbers = RNG.integers(0, 9, 200)
    numbers[numbers == 4] = 5  # a row without a value
    rows, lists = Rows.grouped(numbers, 9), [np.flatnonzero(numbers == number) for number in range(9)]
    assert len(rows) == 9 and all(np.array_equal(rows[i], lists[i]) for i in range(9))
    chosen = np.array([8, 4, 0, 0])
    joined = Rows.joined([rows.take(chosen), rows])
    assert joined.lengths.tolist() == [len(lists[i]) for i in [*chosen, *range(9)]]
    assert all(np.array_equal(joined[i], lists[row]) for i, row in enumerate([*chosen, *range(9)]))


def test_sets_share_leaves_and_groups_of_sets_pixels() -> None:
    leaves = Rows.of(np.array([1, 2, 3, 7, 8]), np.array([2, 1, 2]))
    nested = PixelSets(leaves, Rows.of(np.array([0, 0, 2, 1]), np.array([1, 2, 1])))
    sets = PixelSets.joined([nested, PixelSets.of([np.array([8, 0]), np.array([], np.int64)])])
    assert [pixels.tolist() for pixels in sets] == [[1, 2], [1, 2, 7, 8], [3], [8, 0], []]
    values = np.array([0.5, 0.25, 0.75, 1, 1], np.float32)
    assert sets.greatest(values, 10).tolist() == [1, 0.5, 0.5, 0.75, 0, 0, 0, 0.25, 1, 0]
