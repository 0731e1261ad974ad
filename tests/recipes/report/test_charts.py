from __future__ import annotations

import math
import re

import pytest

from recipes.report.charts import (
    LETTER_PX,
    MOST_POINTS,
    SIZES,
    Chart,
    Drawing,
    Series,
    Tick,
    drawings,
    log_ticks,
    overlap,
    round_numbers,
    spaced,
    thinned_out,
)


def within(drawing: Drawing, x: float, y: float) -> bool:
    return drawing.start <= x <= drawing.end and drawing.top <= y <= drawing.bottom


def test_a_chart_is_drawn_wide_and_narrow_and_all_of_it_lies_in_its_frame():
    points = [(10.0, 0.2), (100.0, 0.5), (5000.0, 0.9)]
    spans = [(0.1, 0.3), None, (math.nan, 1.0)]
    both = drawings(Chart("kB", "pq", [Series("", points, spans, ["a", "b", "c"], "dots")], log_x=True))
    assert [(drawing.width, drawing.height) for drawing in both] == list(SIZES)
    for drawing in both:
        (series,) = drawing.series
        assert series.path == "" and [mark.ends is None for mark in series.marks] == [False, True, True]
        assert all(within(drawing, mark.x, mark.y) for mark in series.marks)
        assert all(within(drawing, series.marks[0].x, end) for end in series.marks[0].ends or ())
        assert all(drawing.start <= tick.at <= drawing.end for tick in drawing.x_ticks)
        assert series.marks[0].y > series.marks[2].y and series.marks[0].x < series.marks[2].x
        assert series.marks[2].title == "c: 0.9 at 5000"


def test_a_trifle_does_not_fill_an_axis_that_spans_more():
    series = [Series("", [(1.0, 0.500), (2.0, 0.501)])]
    for drawing in drawings(Chart("kB", "pq", series, least_height=0.05)):
        first_y, last_y = (mark.y for mark in drawing.series[0].marks)
        assert 0 < first_y - last_y < 0.03 * (drawing.bottom - drawing.top)


def test_a_chart_without_a_point_is_not_drawn():
    assert drawings(Chart("step", "loss", [Series("training", [])])) == []


@pytest.mark.parametrize("points", [[(5.0, 0.3)], [(1.0, 0.0), (2.0, 0.0)]])
def test_points_of_one_value_have_an_axis_too(points):
    for drawing in drawings(Chart("step", "loss", [Series("training", points)])):
        assert all(within(drawing, mark.x, mark.y) for mark in drawing.series[0].marks)


def test_a_long_line_is_the_means_of_its_stretches_and_undefined_points_are_left_out():
    series = thinned_out(Series("loss", [(float(i), 2.0 if i % 2 else 4.0) for i in range(10 * MOST_POINTS)]))
    assert len(series.points) == MOST_POINTS and {value for _, value in series.points} == {3.0}
    few = thinned_out(
        Series("loss", [(1.0, 0.5), (2.0, math.nan), (3.0, 0.7)], [None, None, (0.6, 0.8)], ["a", "b", "c"])
    )
    assert few.points == [(1.0, 0.5), (3.0, 0.7)] and list(few.words) == ["a", "c"] and few.spans[-1] == (0.6, 0.8)


def test_steps_go_level_up_to_the_next_point():
    (wide, _) = drawings(Chart("kB", "pq", [Series("", [(1.0, 0.1), (2.0, 0.4)], style="steps")]))
    assert re.fullmatch(r"M[\d.]+ [\d.]+H[\d.]+V[\d.]+", wide.series[0].path)


def test_words_cover_neither_each_other_nor_a_point():
    points = [(100.0 + i, 0.5 + 0.001 * i) for i in range(8)]
    words = [f"lora:rank={i}" for i in range(8)]
    for drawing in drawings(Chart("kB", "pq", [Series("", points, words=words, style="dots")])):
        (series,) = drawing.series
        boxes = []
        for word in series.words:
            begin = word.x if word.anchor == "start" else word.x - LETTER_PX * len(word.text)
            box = (begin, word.y - 12, begin + LETTER_PX * len(word.text), word.y + 3)
            assert not any(overlap(box, earlier) for earlier in boxes)
            assert not any(box[0] < mark.x < box[2] and box[1] < mark.y < box[3] for mark in series.marks)
            boxes.append(box)
        assert boxes


def test_ticks_are_round_numbers_within_the_axis():
    assert round_numbers(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert round_numbers(-130, 990, 6) == [0.0, 200.0, 400.0, 600.0, 800.0]
    assert log_ticks(1.0, 3.0, 6) == [10, 20, 50, 100, 200, 500, 1000]
    assert log_ticks(0.0, 6.0, 4) == [10.0**i for i in range(7)]


def test_numbers_on_an_axis_do_not_run_into_each_other():
    kept = spaced([Tick(50, "5"), Tick(60, "10"), Tick(90, "20"), Tick(200, "1000")])
    assert kept[-1] == Tick(200, "1000") and Tick(50, "5") not in kept[1:]
    assert all(b.at - a.at >= LETTER_PX for a, b in zip(kept, kept[1:], strict=False))
