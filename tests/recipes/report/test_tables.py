from __future__ import annotations

import math

import pytest

from recipes.report.tables import BAR_MARGIN_PX, BAR_PX, SHADES, Cell, Table, barred, heat_table, number, text


def test_a_number_has_its_interval_beside_it_and_an_undefined_one_is_a_dash():
    assert number(0.5123, interval=(0.48, 0.541)) == Cell("0.512", 0.5123, "0.480 to 0.541")
    assert number(-0.1, "+.3f", (-0.2, 0.05), "*") == Cell(
        "\N{MINUS SIGN}0.100", -0.1, "\N{MINUS SIGN}0.200 to +0.050", "*"
    )
    assert number(0.5, interval=(math.nan, 0.6)).note == number(0.5, interval=(None, None)).note == ""
    assert number(None) == number(math.nan) == Cell("–")


def test_a_column_that_holds_a_number_is_one_of_numbers():
    table = Table(["name", "value", "note"], [[text("a"), number(None), text("x")], [text("b"), number(1), text("y")]])
    assert table.numeric == [False, True, False]


def test_the_largest_value_of_a_heat_map_is_deepest_and_a_missing_cell_is_empty():
    values = {"a": {"x": 0.8, "y": 0.0}, "b": {"x": 0.4, "y": None}}
    table = heat_table(values, ["a", "b"], ["x", "y"], "adapter", marks={"b": {"x": "*"}})
    (_, deep, zero), (name, half, missing) = table.rows
    assert (deep.shade, zero.shade, half.shade) == (SHADES, 0, SHADES // 2)
    assert half.mark == "*" and name.text == "b" and missing == Cell("")
    assert table.head == ["adapter", "x", "y"]


@pytest.mark.parametrize("value", [-0.5, 0.0])
def test_a_heat_map_without_a_positive_value_has_no_colour(value):
    assert heat_table({"a": {"x": value}}, ["a"], ["x"]).rows[0][1].shade == 0


def test_bars_share_an_axis_from_end_to_end_of_their_width():
    left, right, none = barred([(0.1, (0.0, 0.2)), (0.9, (0.8, 1.0)), (math.nan, None)])
    assert left.bar is not None and right.bar is not None and none.bar is None
    assert left.bar.low == BAR_MARGIN_PX and right.bar.high == BAR_PX - BAR_MARGIN_PX
    assert left.bar.high < right.bar.low and left.bar.zero is None and (left.value, right.value) == (0.1, 0.9)


def test_bars_of_changes_reach_zero_and_one_without_an_interval_is_a_point():
    (cell,) = barred([(0.3, (math.nan, math.nan))], with_zero=True)
    assert cell.bar is not None and cell.bar.zero == BAR_MARGIN_PX
    assert cell.bar.low == cell.bar.high == cell.bar.value == BAR_PX - BAR_MARGIN_PX


def test_bars_of_one_value_alone_lie_within_their_width():
    (cell,) = barred([(0.3, None)])
    assert cell.bar is not None and 0 <= cell.bar.value <= BAR_PX
