"""Ids of annotation files, where 3, 3.0 and "3" are one: tables turn numbers into floats, and databases into text."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable


def identifier(value: object) -> int | str | None:
    """An id as the file has it: text, or a whole number however it is written (pandas writes 3.0). None for others."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else None


def number(value: object) -> int | None:
    """The whole number that an id stands for, also as text; None where it is none."""
    if isinstance(value, str):
        digits = re.fullmatch(r"\s*(-?\d{1,30})(\.0*)?\s*", value)
        return int(digits[1]) if digits else None
    integer = identifier(value)
    return integer if isinstance(integer, int) else None


def resolver(ids: Iterable[int | str]) -> Callable[[int | str | None], int | str | None]:
    """A function from what refers to an id to that id: the same one, else the only one of that number, else None."""
    exact = {*ids}
    by_number: dict[int | None, list[int | str]] = defaultdict(list)
    for key in exact:
        by_number[number(key)].append(key)

    def resolve(value: int | str | None) -> int | str | None:
        if value in exact:
            return value
        candidates = by_number.get(number(value), []) if number(value) is not None else []
        return candidates[0] if len(candidates) == 1 else None

    return resolve
