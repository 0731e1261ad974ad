from __future__ import annotations

import pytest

from domains.errors import InputError
from domains.formats.aperio_xml import MARKS, aperio_drawing, read_aperio
from domains.formats.areas import NESTED
from domains.formats.layout import Fault
from domains.formats.polygons import draw, pixels
from domains.tiling.grid import Window

SQUARE = [(2, 2), (12, 2), (12, 12), (2, 12)]
LOZENGE = [(25, 5), (30, 10), (25, 15), (20, 10)]
HOLE = [(5, 5), (7, 5), (7, 7), (5, 7)]


def test_regions_become_outlines_and_a_negative_one_a_hole(build, tmp_path):
    path = build.aperio(tmp_path / "a.xml", SQUARE, LOZENGE, HOLE, name="tumour", negative=(2,))
    faults = []
    outlines = read_aperio(path, faults)
    assert len(outlines) == 2 and not faults and {one.label for one in outlines} == {"tumour"}
    assert [len(one.parts[0].holes) for one in outlines] == [1, 0]
    assert sorted(draw(outlines, Window(0, 0, 20, 40)).areas)[1] == 100 - 4


def test_a_region_of_two_points_is_told_and_the_others_are_kept(build, tmp_path):
    faults = []
    outlines = read_aperio(build.aperio(tmp_path / "a.xml", LOZENGE, [(1, 1), (5, 5)], [("x", 1)]), faults)
    assert len(outlines) == 1
    assert ["region 2" in faults[0].reason, "region 3" in faults[1].reason] == [True, True]


LARGE = [(0, 0), (60, 0), (60, 60), (0, 60)]
AROUND = [(1, 1), (61, 2), (60, 60), (2, 61)]
CELLS = [[(x - 4, y), (x, y - 4), (x + 4, y), (x, y + 4)] for x in (20, 40) for y in (20, 40)]


def region(points: list, kind: object = 0, negative: object = 0, tag: str = "Vertex", **more: str) -> str:
    extra = "".join(f' {key}="{value}"' for key, value in more.items())
    corners = "".join(f'<{tag} X="{x}" Y="{y}" Z="0"/>' for x, y in points)
    return f'<Region Type="{kind}" NegativeROA="{negative}"{extra}><Vertices>{corners}</Vertices></Region>'


def layers(path, *content: tuple[str, list[str]]):
    text = "".join(
        f'<Annotation Name="{name}"><Regions>{"".join(each)}</Regions></Annotation>' for name, each in content
    )
    path.write_text(f'<Annotations MicronsPerPixel="0.25">{text}</Annotations>')
    return path


@pytest.mark.parametrize("before", [False, True])
def test_a_negative_region_is_cut_out_of_its_own_layer_in_any_order(tmp_path, before):
    hole = region([(10, 10), (20, 11), (20, 20), (10, 20)], 0, 1)
    first = [hole, region(AROUND)] if before else [region(AROUND), hole]
    path = layers(tmp_path / "a.xml", ("vessel", [region(AROUND)]), ("tumour", first), ("stroma", [region(AROUND)]))
    areas = [pixels(one, Window(0, 0, 80, 80)).size for one in read_aperio(path, [])]
    assert areas[0] == areas[2] and 90 <= areas[0] - areas[1] <= 105


@pytest.mark.parametrize(
    ("kind", "more", "corners"),
    [
        (1, {}, LARGE), (1, {}, [(0, 0), (60, 60)]), (0, {}, LARGE), ("Rectangle", {}, LARGE),
        (2, {"GeoShape": "Rectangle"}, LARGE), (1, {}, [*LARGE, (0, 0)]),
    ],
)  # fmt: skip
def test_a_rectangle_around_outlines_is_the_area_that_was_annotated(tmp_path, kind, more, corners):
    box = region(corners, kind, **more)
    for content in ([("", [box, *map(region, CELLS)])], [("area", [box]), ("cells", [*map(region, CELLS)])]):
        drawing = aperio_drawing(layers(tmp_path / "a.xml", *content), faults := [])
        assert [len(drawn) for drawn in drawing] == [4, 1, 0] and not faults


def test_a_rectangle_that_holds_nothing_has_no_outline(tmp_path):
    for corners in ([(100, 100), (160, 160)], [(15, 15), (25, 25)]):  # the second is a box around one cell
        path = layers(tmp_path / "a.xml", ("", [region(corners, 1), *map(region, CELLS)]))
        drawing = aperio_drawing(path, faults := [])
        assert [len(drawn) for drawn in drawing] == [4, 0, 0]
        assert f"x {corners[0][0]}, y {corners[0][1]} is a bounding box" in faults[0].reason


@pytest.mark.parametrize("kind", [2, "Ellipse"])
@pytest.mark.parametrize(
    "corners", [[(10, 10), (57, 50)], [(57, 50), (10, 10)], [(10, 10), (57, 10), (57, 50), (10, 50)]]
)
def test_an_ellipse_is_kept_by_the_corners_of_its_box(tmp_path, kind, corners):
    (ellipse,) = read_aperio(layers(tmp_path / "a.xml", ("", [region(corners, kind, Text="Mitosis")])), [])
    assert pixels(ellipse, Window(0, 0, 80, 80)).size == pytest.approx(3.14159 * 47 * 40 / 4, rel=0.01)
    assert ellipse.box == (10, 10, 50, 57)


def test_an_ellipse_may_be_cut_out_too(tmp_path):
    path = layers(tmp_path / "a.xml", ("", [region([(20, 20), (40, 40)], 2, 1), region(AROUND)]))
    (outline,) = read_aperio(path, [])
    assert pixels(outline, Window(0, 0, 80, 80)).size == pytest.approx(outline.area, rel=0.01)
    assert len(outline.parts[0].holes) == 1


@pytest.mark.parametrize("kind", [3, 4, "Ruler", "Pin", "Text"])
def test_arrows_rulers_and_texts_are_no_entities(tmp_path, kind):
    marks = [region([(1, 1), (9, 9)], kind), region([(1, 1), (9, 9), (3, 7)], kind)]
    drawing = aperio_drawing(layers(tmp_path / "a.xml", ("", [*marks, *map(region, CELLS)])), faults := [])
    assert [len(drawn) for drawn in drawing] == [4, 0, 0] and [fault.reason for fault in faults] == [MARKS]


def test_layers_called_as_areas_are_areas_and_older_files_call_vertices_otherwise(tmp_path):
    cells = [region(cell, tag="V") for cell in CELLS]
    path = layers(tmp_path / "a.xml", ("Region*", [region(AROUND)]), ("ignore", [region(CELLS[0])]), ("", cells))
    drawing = aperio_drawing(path, faults := [])
    assert [len(drawn) for drawn in drawing] == [3, 1, 2] and not faults


def test_an_outline_around_others_is_an_entity_and_told(tmp_path):
    drawing = aperio_drawing(layers(tmp_path / "a.xml", ("", [region(AROUND), *map(region, CELLS)])), faults := [])
    assert [len(drawn) for drawn in drawing] == [5, 0, 0] and [fault.reason for fault in faults] == [NESTED]


def test_a_file_whose_every_region_failed_is_refused(tmp_path):
    flawed = region([("x", 1), (2, 2), (3, 1)])
    faults: list[Fault] = []
    with pytest.raises(InputError, match="none of 2 can be drawn"):
        read_aperio(layers(tmp_path / "a.xml", ("", [flawed, flawed])), faults)


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


def test_an_island_in_a_hole_is_an_entity(tmp_path):
    hole = region([(10, 10), (50, 11), (50, 50), (10, 50)], 0, 1)
    outlines = read_aperio(layers(tmp_path / "a.xml", ("", [region(AROUND), hole, *map(region, CELLS)])), [])
    areas = [pixels(outline, Window(0, 0, 80, 80)).size for outline in outlines]
    assert len(areas) == 5 and areas[0] < 60 * 60 - 38 * 38 and min(areas[1:]) > 20


def test_the_annotations_of_asap_are_refused_by_their_name(tmp_path):
    (tmp_path / "a.xml").write_text(
        '<ASAP_Annotations><Annotations><Annotation Type="Polygon"><Coordinates/></Annotation></Annotations>'
        "</ASAP_Annotations>".replace("ASAP_Annotations", "Annotations")
    )
    with pytest.raises(InputError, match="got ASAP's"):
        aperio_drawing(tmp_path / "a.xml", [])
