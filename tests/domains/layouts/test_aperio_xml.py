from __future__ import annotations

import pytest

from domains.errors import InputError
from domains.layouts.aperio_xml import read_aperio
from domains.layouts.polygons import draw
from domains.tiling import Window

SQUARE = [(2, 2), (12, 2), (12, 12), (2, 12)]
LOZENGE = [(25, 5), (30, 10), (25, 15), (20, 10)]
HOLE = [(5, 5), (7, 5), (7, 7), (5, 7)]


def test_regions_become_outlines_and_a_negative_one_a_hole(build, tmp_path):
    path = build.aperio(tmp_path / "a.xml", SQUARE, LOZENGE, HOLE, name="tumour", negative=(2,))
    faults = []
    outlines = read_aperio(path, faults)
    assert len(outlines) == 2 and not faults and {one.label for one in outlines} == {"tumour"}
    assert len(outlines[0].holes) == 1 and not outlines[1].holes
    assert sorted(draw(outlines, Window(0, 0, 20, 40)).areas)[1] == 100 - 4


def test_a_region_of_two_points_is_told_and_the_others_are_kept(build, tmp_path):
    faults = []
    outlines = read_aperio(build.aperio(tmp_path / "a.xml", LOZENGE, [(1, 1), (5, 5)], [("x", 1)]), faults)
    assert len(outlines) == 1
    assert ["region 2" in faults[0].reason, "region 3" in faults[1].reason] == [True, True]


@pytest.mark.parametrize(
    ("rings", "came"),
    [([[(1, 1)], [(4, 4)]], "got 2 points or lines"), ([SQUARE, HOLE], "got 2 bounding boxes")],
)
def test_points_and_boxes_are_refused_by_name(build, tmp_path, rings, came):
    with pytest.raises(InputError, match=came):
        read_aperio(build.aperio(tmp_path / "a.xml", *rings), [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "whole XML"),
        ("<Annotations><Annotation><Regions><Region>", "whole XML"),
        ("<annotation><object/></annotation>", "<Annotations> at its root, got <annotation>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Annotations>&b;</Annotations>', "declares a document type"),
    ],
)
def test_other_and_broken_xml_is_refused_in_one_line(tmp_path, text, reason):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        read_aperio(path, [])
    assert "\n" not in str(caught.value) and "a.xml" in str(caught.value)
