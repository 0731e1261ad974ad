"""Curves and clouds of points as geometry, for the page to draw as SVG: axes, ticks, lines, intervals, words.

A chart is drawn twice, wide and narrow, since letters that are read on a desk would be a third as large on a phone; the
page shows the one that fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from recipes.report.tables import Span

SIZES = ((720, 300), (344, 260))
"""Width and height in pixels, wide and narrow."""
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 34
LETTER_PX, LINE_PX = 6.4, 15
"""Of the words beside points, about: no font is measured here."""
MOST_POINTS = 160
"""Of a line; of a longer one, the means of as many stretches are drawn."""
FEW_POINTS = 40
"""Up to which the points of a line are drawn too."""
TICKS = (6, 4)
"""About as many on an axis of the wide and of the narrow drawing."""


@dataclass(frozen=True)
class Series:
    """Points of one colour."""

    label: str
    points: Sequence[tuple[float, float]]
    spans: Sequence[Span | None] = ()
    """The interval of each point's value."""
    words: Sequence[str] = ()
    """What is written beside each point."""
    style: Literal["line", "dots", "steps"] = "line"
    """steps: a line that goes level up to the next point, without the points."""
    faint: bool = False


@dataclass(frozen=True)
class Chart:
    """Series on common axes."""

    x_label: str
    y_label: str
    series: Sequence[Series]
    log_x: bool = False
    x_ticks: Sequence[float] = ()
    """By default round numbers."""
    least_height: float = 0.0
    """What the vertical axis spans at least, so that a trifle does not look like a difference."""


class Tick(NamedTuple):
    """A place on an axis in pixels, and its number."""

    at: float
    text: str


class Mark(NamedTuple):
    """A point in pixels, the ends of its interval, and what is said of it."""

    x: float
    y: float
    ends: tuple[float, float] | None
    title: str


class Word(NamedTuple):
    """Letters at a place, whose base line begins there or ends there."""

    x: float
    y: float
    anchor: Literal["start", "end"]
    text: str


class Drawn(NamedTuple):
    """A series in pixels."""

    path: str
    marks: list[Mark]
    words: list[Word]
    faint: bool


class Drawing(NamedTuple):
    """A chart in pixels, from the upper left."""

    width: int
    height: int
    start: int
    end: int
    top: int
    bottom: int
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    series: list[Drawn]


def drawings(chart: Chart) -> list[Drawing]:
    """The chart wide and narrow; none where it has no point."""
    if not any(series.points for series in chart.series):
        return []
    return [drawing(chart, *size, ticks) for size, ticks in zip(SIZES, TICKS, strict=True)]


def drawing(chart: Chart, width: int, height: int, ticks: int) -> Drawing:
    """The chart in a frame of that size."""
    thinned = [thinned_out(series) for series in chart.series]
    start, end, top, bottom = LEFT, width - RIGHT, TOP, height - BOTTOM
    xs = [x for series in thinned for x, _ in series.points] + list(chart.x_ticks)
    ys = [y for series in thinned for y in heights(series)]
    move = math.log10 if chart.log_x else float
    x_low, x_high = widened(move(min(xs)), move(max(xs)), 0.06 if chart.log_x or chart.x_ticks else 0.02)
    room = max(0.0, chart.least_height - (max(ys) - min(ys))) / 2
    y_low, y_high = widened(min(ys) - room, max(ys) + room, 0.08)

    def at_x(value: float) -> float:
        return round(start + (move(value) - x_low) / (x_high - x_low) * (end - start), 1)

    def at_y(value: float) -> float:
        return round(bottom - (value - y_low) / (y_high - y_low) * (bottom - top), 1)

    numbers = chart.x_ticks or (log_ticks if chart.log_x else round_numbers)(x_low, x_high, ticks)
    boxes: list[tuple[float, float, float, float]] = []
    drawn = [in_pixels(series, at_x, at_y) for series in thinned]
    marks = [(mark.x, mark.y) for series in drawn for mark in series.marks]
    labelled = [
        series._replace(words=list(placed(source.words, series.marks, (start, end, top, bottom), marks, boxes)))
        for source, series in zip(thinned, drawn, strict=True)
    ]
    return Drawing(
        *(width, height, start, end, top, bottom),
        x_ticks=spaced([Tick(at_x(x), f"{x:g}") for x in numbers]),
        y_ticks=[Tick(at_y(y), f"{y:g}") for y in round_numbers(y_low, y_high, ticks)],
        series=labelled,
    )


def in_pixels(series: Series, at_x: Callable[[float], float], at_y: Callable[[float], float]) -> Drawn:
    """A series without its words."""
    points = [(at_x(x), at_y(y)) for x, y in series.points]
    spans = [*series.spans, *[None] * (len(points) - len(series.spans))]
    marks = []
    if series.style == "dots" or (series.style == "line" and len(points) <= FEW_POINTS):
        for i, ((x, y), span) in enumerate(zip(points, spans, strict=True)):
            ends = None if span is None or not is_defined(span) else (at_y(span[0] or 0), at_y(span[1] or 0))
            name = series.words[i] if i < len(series.words) else series.label
            marks.append(Mark(x, y, ends, f"{name}: {series.points[i][1]:.4g} at {series.points[i][0]:g}"))
    return Drawn(path_of(points, series.style), marks, [], series.faint)


def path_of(points: Sequence[tuple[float, float]], style: str) -> str:
    """The `d` of an SVG path through the points, '' for dots."""
    if style == "dots" or not points:
        return ""
    steps = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for x, y in points[1:]:
        steps.append(f"H{x:g}V{y:g}" if style == "steps" else f"L{x:g} {y:g}")
    return "".join(steps)


def placed(
    words: Sequence[str],
    marks: Sequence[Mark],
    frame: tuple[int, int, int, int],
    points: Sequence[tuple[float, float]],
    boxes: list[tuple[float, float, float, float]],
) -> Iterator[Word]:
    """Each mark's word at the first place around it where it covers no word, no point, and not the frame; a word that
    has no such place is left to the table and to the point's title. frame: start, end, top, bottom. boxes: of the
    words that are there, to which these are added.
    """
    start, end, top, bottom = frame
    for word, mark in zip(words, marks, strict=False):
        length = LETTER_PX * len(word)
        for anchor, dx, dy in (
            *(("start", 8, -6), ("end", -8, -6), ("start", 8, 15), ("end", -8, 15)),
            *(("start", 9, 4), ("end", -9, 4), ("start", 8, -20), ("end", -8, -20), ("start", 8, 30), ("end", -8, 30)),
        ):
            x, y = mark.x + dx, mark.y + dy
            begin = x if anchor == "start" else x - length
            box = (begin, y - LINE_PX + 3, begin + length, y + 3)
            inside = start <= box[0] and box[2] <= end and top <= box[1] and box[3] <= bottom
            clear = not any(overlap(box, word_box) for word_box in boxes)
            if inside and clear and not any(overlap(box, (px - 4, py - 4, px + 4, py + 4)) for px, py in points):
                boxes.append(box)
                yield Word(round(x, 1), round(y, 1), "start" if anchor == "start" else "end", word)
                break


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    """Whether two boxes (x0, y0, x1, y1) share an area."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def is_defined(span: Span) -> bool:
    """Whether both ends of an interval are numbers."""
    return all(end is not None and math.isfinite(end) for end in span)


def heights(series: Series) -> Iterator[float]:
    """All that the vertical axis has to hold."""
    for _, y in series.points:
        yield y
    for span in series.spans:
        if span is not None and is_defined(span):
            yield from (float(end or 0) for end in span)


def thinned_out(series: Series) -> Series:
    """A long line as the means of its stretches; points whose value is undefined are left out."""
    defined = [i for i, point in enumerate(series.points) if all(map(math.isfinite, point))]
    points = [series.points[i] for i in defined]
    if series.style != "line" or len(points) <= MOST_POINTS:
        spans = [series.spans[i] for i in defined] if series.spans else ()
        words = [series.words[i] for i in defined] if series.words else ()
        return Series(series.label, points, spans, words, series.style, series.faint)
    edges = [round(i * len(points) / MOST_POINTS) for i in range(MOST_POINTS + 1)]
    stretches = [points[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    means = [
        (sum(x for x, _ in stretch) / len(stretch), sum(y for _, y in stretch) / len(stretch)) for stretch in stretches
    ]
    return Series(series.label, means, style=series.style, faint=series.faint)


def widened(low: float, high: float, share: float) -> tuple[float, float]:
    """The range with room at both ends; one without length becomes one around its value."""
    room = (high - low) * share or abs(high) * 0.1 or 1.0
    return low - room, high + room


def round_numbers(low: float, high: float, count: int) -> list[float]:
    """About so many multiples of 1, 2 or 5 times a power of ten within the range."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step * count >= high - low)
    begin = math.ceil(low / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(begin, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """1, 2 and 5 times powers of ten within a range of logarithms to base ten; powers alone where that is too many."""
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(ticks) <= 1.5 * count:
            break
    return ticks


def spaced(ticks: Sequence[Tick]) -> list[Tick]:
    """The ticks whose numbers do not run into that of the one before; the last one always stays."""
    labelled: list[Tick] = []
    for tick in sorted(ticks, reverse=True):
        if not labelled or labelled[-1].at - tick.at >= LETTER_PX * (len(tick.text) + len(labelled[-1].text)) / 2 + 6:
            labelled.append(tick)
    return labelled[::-1]
