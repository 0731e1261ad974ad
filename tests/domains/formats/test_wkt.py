from __future__ import annotations

import pytest

from domains.formats.wkt import outline_of_wkt

SQUARE = "(0 0, 4 0, 4 4, 0 4, 0 0)"


@pytest.mark.parametrize(
    ("text", "holes"),
    [
        (f"POLYGON ({SQUARE})", [0]),
        (f"polygon({SQUARE},(1 1,2 1,2 2,1 1))", [1]),
        ("POLYGON Z ((0 0 9, 4 0 9, 4 4 9, 0 0 9))", [0]),
        (f"MULTIPOLYGON (({SQUARE}), ({SQUARE}, (1 1, 2 1, 2 2, 1 1)))", [0, 1]),
    ],
)
def test_polygons_are_read_with_their_holes(text, holes):
    outline = outline_of_wkt(text, "house")
    assert outline is not None and outline.label == "house"
    assert [len(part.holes) for part in outline.parts] == holes
    assert outline.parts[0].exterior.tolist()[:2] == [[0, 0], [4, 0]]


def test_an_empty_polygon_is_none():
    assert outline_of_wkt("POLYGON EMPTY") is None


@pytest.mark.parametrize(
    "text", [None, "", "POINT (1 2)", "POLYGON", "POLYGON (())", "POLYGON ((1 2, 3 4))", "POLYGON ((a b, c d, e f))"]
)
def test_what_is_no_polygon_is_refused_with_a_reason(text):
    with pytest.raises(ValueError, match="wanted|has"):
        outline_of_wkt(text)
