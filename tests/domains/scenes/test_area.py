from __future__ import annotations

import pytest

from domains.errors import InputError
from domains.scenes.area import Area, parse_area


@pytest.mark.parametrize(
    ("text", "area", "unit_m2"),
    [
        ("60", Area(60.0, "px"), None),
        ("2.5px", Area(2.5, "px"), None),
        ("0", Area(0.0, "px"), None),
        ("20um2", Area(20.0, "um2"), 1e-12),
        ("20 µm²", Area(20.0, "um2"), 1e-12),
        ("1e3nm2", Area(1000.0, "nm2"), 1e-18),
        ("3m2", Area(3.0, "m2"), 1.0),
        ("0.5km2", Area(0.5, "km2"), 1e6),
    ],
)
def test_an_area_is_read_and_shown_as_it_is_typed(text: str, area: Area, unit_m2: float | None) -> None:
    assert parse_area(text, "--least-area") == area
    assert area.unit_m2 == (None if unit_m2 is None else pytest.approx(unit_m2))
    assert parse_area(str(area), "--least-area") == area


@pytest.mark.parametrize("text", ["", "um2", "20um", "20 feet2", "-3", "nan", "inf", "1e999", "1.2.3", "3m3", "20px2"])
def test_what_is_no_area_is_one_line_that_says_what_is(text: str) -> None:
    with pytest.raises(InputError, match="--most-area is .*; wanted a number of pixels, such as 60") as error:
        parse_area(text, "--most-area")
    assert "\n" not in str(error.value) and "um2" in str(error.value)
