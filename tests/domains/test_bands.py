from __future__ import annotations

import pytest

from domains.bands import INDICES, Band, channels_of, parse_band, parse_bands, starts_with_rgb
from domains.errors import InputError


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("nir", Band("nir")),
        (4, Band("4")),
        ("NDVI", Band("nir", "red")),
        ("(B8-B4)/(B8+B4)", Band("B8", "B4")),
        (" ( 5 - 3 ) / ( 3 + 5 ) ", Band("5", "3")),
    ],
)
def test_names_numbers_and_differences_are_understood(text, band):
    assert parse_band(text) == band


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nir-red",
        "(nir-red)/(nir+green)",
        "(nir-nir)/(nir+nir)",
        "__import__('os')",
        "(a-b)/(a+b)*2",
        "a" * 41,
        "-1",
    ],
)
def test_nothing_else_is(text):
    with pytest.raises(InputError, match="wanted a name, a number from 1, one of ndvi") as error:
        parse_band(text)
    assert "\n" not in str(error.value)


def test_one_band_is_shown_thrice_and_more_are_as_many_channels():
    assert [channels_of(["x"] * count) for count in (0, 1, 2, 3, 4, 12)] == [3, 3, 2, 3, 4, 12]
    for count in (0, 17):
        with pytest.raises(InputError, match="wanted from 1 to 16"):
            parse_bands(["red"] * count)
    assert len(parse_bands([*INDICES, 1, "red"])) == len(INDICES) + 2


def test_colours_are_changed_where_they_are_colours():
    assert starts_with_rgb([]) and starts_with_rgb(["Red", "green", "blue", "nir"])
    assert not starts_with_rgb(["nir", "red", "green"]) and not starts_with_rgb(["red"])
