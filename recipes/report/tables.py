"""Tables of a report: cells that know what they are sorted by, shades of a heat map, and bars of intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

Span = tuple[float | None, float | None]
"""An interval, low and high; None or nan at either end where there is none."""
SHADES = 20
"""Steps of a heat map above the colour of the paper; `page.css` has a class for each."""
BAR_PX, BAR_MARGIN_PX = 120, 6
"""Width of a bar, and what is left free at its ends."""


class Bar(NamedTuple):
    """An interval on an axis that all bars of a column share, in pixels from the left."""

    value: float
    low: float
    high: float
    zero: float | None
    """Where 0 is; None where that is not shown."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    value: float | None = None
    """What it is sorted by; a cell without one is sorted by its text."""
    note: str = ""
    """Said smaller behind it, such as an interval."""
    mark: str = ""
    """A sign behind the number."""
    shade: int | None = None
    """Of a heat map, from 0 to `SHADES`."""
    bar: Bar | None = None
    code: bool = False
    """Set in the letters of code, such as a digest."""


@dataclass(frozen=True)
class Table:
    """Rows under a head. The first column names the rows; one that holds numbers is set to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    note: str = ""
    folded: bool = False
    """Shown when its title is clicked."""

    @cached_property
    def numeric(self) -> list[bool]:
        """Of each column, whether it holds numbers."""
        return [any(row[i].value is not None for row in self.rows) for i in range(len(self.head))]

    @cached_property
    def note_letters(self) -> list[int]:
        """Of each column the letters of its longest note, for which every cell leaves room."""
        return [max((len(row[i].note) for row in self.rows), default=0) for i in range(len(self.head))]


def text(content: object) -> Cell:
    """A cell that is sorted by its text."""
    return Cell(str(content))


def number(value: float | None, form: str = ".3f", interval: Span | None = None, mark: str = "") -> Cell:
    """A cell of a number and its interval, both written by `form`; an undefined one is a dash, sorted last."""
    if undefined(value):
        return Cell("–")
    assert value is not None
    return Cell(written(value, form), value, span_text(interval, form), mark)


def undefined(value: float | None) -> bool:
    """Whether a number is None, nan or infinite."""
    return value is None or not math.isfinite(value)


def span_text(interval: Span | None, form: str = ".3f") -> str:
    """`0.480 to 0.541`, or nothing where an end is undefined."""
    low, high = interval or (None, None)
    if low is None or high is None or undefined(low) or undefined(high):
        return ""
    return f"{written(low, form)} to {written(high, form)}"


def written(value: float, form: str) -> str:
    """A number with the minus of print, which is as wide as a plus."""
    return format(value, form).replace("-", "\N{MINUS SIGN}")


def barred(rows: Sequence[tuple[float | None, Span | None]], with_zero: bool = False) -> list[Cell]:
    """A cell with a bar for each (value, interval), all on one axis. with_zero: which reaches 0, and shows it."""
    ends = [x for value, span in rows for x in (value, *(span or ())) if x is not None and math.isfinite(x)]
    ends += [0.0] if with_zero or not ends else []
    low, high = min(ends), max(ends)
    room = (high - low) or 1.0

    def at(value: float) -> float:
        return round(BAR_MARGIN_PX + (value - low) / room * (BAR_PX - 2 * BAR_MARGIN_PX), 1)

    cells = []
    for value, interval in rows:
        if value is None or undefined(value):
            cells.append(Cell(""))
            continue
        ends_of = [value if x is None or undefined(x) else x for x in interval or (None, None)]
        bar = Bar(at(value), at(ends_of[0]), at(ends_of[1]), at(0) if with_zero else None)
        cells.append(Cell("", value, bar=bar))
    return cells


def heat_table(
    values: Mapping[str, Mapping[str, float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    corner: str = "",
    intervals: Mapping[str, Mapping[str, Span | None]] | None = None,
    marks: Mapping[str, Mapping[str, str]] | None = None,
) -> Table:
    """The table of a metric, each cell the deeper in colour the larger its value; the deepest is the largest of all.

    values, intervals, marks: row -> column -> value, its interval, a sign behind it; a cell that is in none is empty.
    """
    defined = [x for row in values.values() for x in row.values() if x is not None and math.isfinite(x)]
    largest = max(defined, default=0.0)

    def cell(row: str, column: str) -> Cell:
        value = values.get(row, {}).get(column)
        if value is None or undefined(value):
            return Cell("")
        interval = (intervals or {}).get(row, {}).get(column)
        shade = round(SHADES * min(1.0, max(0.0, value / largest))) if largest > 0 else 0
        return replace(number(value, ".3f", interval, (marks or {}).get(row, {}).get(column, "")), shade=shade)

    return Table([corner, *columns], [[text(row), *(cell(row, column) for column in columns)] for row in rows])
