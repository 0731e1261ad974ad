"""How the images of several adapters look as those of one: some of each, spread evenly, never more than have room."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.options.section import checked
from adapters.sharing.appearances import (
    MOST_TRAIN,
    MOST_VAL,
    NUMBERS,
    Appearances,
    even_shares,
    evenly,
    rows_text,
    united,
)


def numbered(start: int, train: int, val: int) -> Appearances:
    """Rows whose numbers say which they are."""
    rows = [np.repeat(np.arange(start, start + count)[:, None], NUMBERS, 1) for count in (train, val)]
    return Appearances(*map(rows_text, rows))


@pytest.mark.parametrize(
    "counts, limit, shares",
    [
        ([48, 48], 48, [24, 24]), ([10, 48], 48, [10, 38]), ([48, 3, 40], 48, [23, 3, 22]), ([1, 2], 48, [1, 2]),
        ([0, 9], 4, [0, 4]),
    ],
)  # fmt: skip
def test_each_has_as_many_and_what_one_lacks_goes_to_the_others(counts, limit, shares):
    assert even_shares(counts, limit) == shares


def test_the_images_of_two_are_those_of_one_within_the_limits():
    both = united([numbered(0, MOST_TRAIN, 2), numbered(100, MOST_TRAIN, MOST_VAL)])
    assert both is not None and checked(Appearances, {"train": both.train, "val": both.val}) == both
    train, val = both.rows("train")[:, 0], both.rows("val")[:, 0]
    assert len(train) == MOST_TRAIN and len(val) == MOST_VAL
    assert sum(train < 100) == MOST_TRAIN // 2 and {0, MOST_TRAIN - 1, 100, 100 + MOST_TRAIN - 1} <= {*train}
    assert [*val[:2]] == [0, 1] and min(val[2:]) == 100


def test_all_are_kept_where_they_have_room_and_none_is_none():
    few = numbered(0, 5, 0)
    assert united([few]) == few and united([]) is None
    both = united([few, numbered(50, 7, 3)])
    assert both is not None and both.rows("train").shape == (12, NUMBERS) and both.rows("val").shape == (3, NUMBERS)


def test_places_are_spread_with_the_ends_among_them():
    assert [*evenly(9, 3)] == [0, 4, 8] and [*evenly(2, 5)] == [0, 1] and len(evenly(0, 5)) == 0
