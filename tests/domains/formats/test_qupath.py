from __future__ import annotations

import gzip
import json

import pytest

from domains.errors import InputError
from domains.formats.areas import NESTED, Drawing
from domains.formats.layout import Fault, skipped
from domains.formats.polygons import draw, pixels
from domains.formats.qupath import AGAIN, FRAMES, HOLDERS, LARGE, PARENTS, PLANES, qupath_drawing, read_qupath
from domains.tiling.grid import Window

LOZENGE = [(15, 5), (20, 10), (15, 15), (10, 10), (15, 5)]
SQUARE = [(2, 2), (8, 2), (8, 8), (2, 8), (2, 2)]
AROUND = [(0, 0), (40, 0), (40, 40), (0, 40), (0, 0)]


def test_detections_are_entities_and_the_region_class_is_none(build, tmp_path):
    path = build.qupath(tmp_path / "a.geojson", [LOZENGE, LOZENGE[::-1]], AROUND)
    faults = []
    entities, regions = read_qupath(path, faults)
    assert [one.label for one in entities] == ["tumour", "immune"] and len(regions) == 1 and not faults
    packed = tmp_path / "b.geojson.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read_qupath(packed, [])[0]) == 2


@pytest.mark.parametrize("form", ["list", "feature", "geometry"])
def test_other_forms_of_geojson_are_read_too(tmp_path, form):
    geometry = {"type": "MultiPolygon", "coordinates": [[LOZENGE], [AROUND, SQUARE]]}
    feature = {"type": "Feature", "geometry": geometry, "properties": None}
    content = {"list": [feature], "feature": feature, "geometry": geometry}[form]
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    entities, _ = read_qupath(tmp_path / "a.geojson", [])
    assert len(entities) == 1 and draw(entities, Window(0, 0, 50, 50)).areas.tolist() == [40 * 40 - 36]


def test_a_cell_counts_by_its_nucleus(tmp_path):
    polygon = {"type": "Polygon", "coordinates": [LOZENGE]}
    whole = {"type": "Polygon", "coordinates": [[(0, 0), (30, 5), (20, 30), (0, 0)]]}
    cell = {"type": "Feature", "geometry": whole, "nucleusGeometry": polygon, "properties": {"objectType": "cell"}}
    (tmp_path / "a.geojson").write_text(json.dumps([cell]))
    (entity,), _ = read_qupath(tmp_path / "a.geojson", [])
    assert entity.box == (5, 10, 15, 20)


def feature(ring: list, kind: str | None = None, name: str | None = None, **more) -> dict:
    properties = {**({"objectType": kind} if kind else {}), **({"classification": {"name": name}} if name else {})}
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "geometry": geometry, "properties": properties, **more}


def lozenge(x: float, y: float, reach: float) -> list:
    return [(x - reach, y), (x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)]


def read(tmp_path, content) -> tuple[Drawing, list[Fault]]:
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    faults: list[Fault] = []
    return qupath_drawing(tmp_path / "a.geojson", faults), faults


CELLS = [lozenge(x, y, 4) for x in (30, 50, 70) for y in (40, 60)]


def test_a_rectangle_around_outlines_is_a_region_whatever_its_class_and_another_one_a_fault(tmp_path):
    for name in (None, "Tumor"):
        cells = [feature(cell, "annotation", "Immune") for cell in CELLS]
        boxes = [
            feature(AROUND, "annotation", name),
            feature([(20, 30), (90, 30), (90, 90), (20, 90)], "annotation", name),
        ]
        drawing, faults = read(tmp_path, [*boxes, *cells])
        assert [len(drawn) for drawn in drawing] == [6, 1, 0]
        assert ["x 0, y 0 is a bounding box" in fault.reason for fault in faults] == [True]


@pytest.mark.parametrize("kind", ["tmaCore", "tile", "annotation", "PathAnnotationObject", "unknown"])
@pytest.mark.parametrize("name", [None, "Tumor"])
def test_what_holds_detections_is_the_area_that_was_looked_at(tmp_path, kind, name):
    cells = [feature(cell, "detection") for cell in CELLS]
    drawing, faults = read(
        tmp_path, {"type": "FeatureCollection", "features": [feature(lozenge(50, 50, 48), kind, name), *cells]}
    )
    assert [len(drawn) for drawn in drawing] == [6, 1, 0] and not skipped(faults)
    assert len(faults) == (0 if kind in ("tmaCore", "tile") else 1)


@pytest.mark.parametrize(
    ("spelled", "cells"),
    [
        (lambda kind: {"properties": {"objectType": kind}}, "detection"),
        (lambda kind: {"properties": {"object_type": kind}}, "cell"),
        (lambda kind: {"properties": {"type": kind}}, "detection"),
        (lambda kind: {"id": kind, "properties": {}}, "PathDetectionObject"),
        (lambda kind: {"id": kind}, "PathCellObject"),
    ],
)
def test_every_spelling_of_the_kind_of_an_object_is_read(tmp_path, spelled, cells):
    parent = {"Path": "PathAnnotationObject"}.get(cells[:4], "annotation")
    content = [feature(lozenge(50, 50, 48)) | spelled(parent), *(feature(cell) | spelled(cells) for cell in CELLS)]
    drawing, _ = read(tmp_path, content)
    assert [len(drawn) for drawn in drawing] == [6, 1, 0]


def test_children_lie_in_their_parents_and_roots_are_none(tmp_path):
    children = [feature(cell, "detection") for cell in CELLS]
    parent = feature(lozenge(50, 50, 20), "annotation", "Tumor")  # so small that few lie in it
    parent["properties"]["childObjects"] = children
    root = {"type": "Feature", "geometry": None, "properties": {"objectType": "root", "childObjects": [parent]}}
    for content in ([parent], [root], {"root": root, "tmaGrid": {}}, {"type": "FeatureCollection", "features": [root]}):
        drawing, faults = read(tmp_path, content)
        assert [len(drawn) for drawn in drawing] == [6, 1, 0] and not skipped(faults)


def test_an_area_of_a_class_with_a_star_is_unlabelled_with_what_lies_in_it(tmp_path):
    cells = [feature(cell, "detection", "Immune") for cell in CELLS]
    for name in ("Ignore*", "Necrosis*", "Ignore"):
        drawing, faults = read(tmp_path, [feature(lozenge(30, 40, 9), "annotation", name), *cells])
        assert [len(drawn) for drawn in drawing] == [5, 0, 2] and not faults  # the cell at 30, 40 lies in it
    drawing, _ = read(tmp_path, [feature(lozenge(50, 50, 48), "annotation", "Region*"), *cells])
    assert [len(drawn) for drawn in drawing] == [6, 1, 0]


def test_areas_without_a_detection_say_nothing_and_are_told(tmp_path):
    cells = [feature(cell, "detection") for cell in CELLS]
    far = [feature(lozenge(900, 900, 90), kind) for kind in ("annotation", "tmaCore")]
    drawing, faults = read(tmp_path, [*far, *cells, feature(lozenge(300, 300, 5), "annotation")])
    assert [len(drawn) for drawn in drawing] == [7, 0, 0]  # a small annotation is an object that was missed
    assert {fault.reason for fault in faults} == {LARGE, FRAMES} and not skipped(faults)
    with pytest.raises(InputError, match="got 1 TMA cores or tiles, which are areas"):
        read(tmp_path, [far[1]])
    missing = feature(lozenge(50, 50, 48), "tmaCore")
    missing["properties"]["isMissing"] = True
    assert [len(drawn) for drawn in read(tmp_path, [missing, *cells])[0]] == [6, 0, 0]


def test_an_annotation_around_a_single_detection_of_its_size_is_no_area(tmp_path):
    cells = [feature(cell, "detection") for cell in CELLS]
    drawing, faults = read(tmp_path, [*cells, feature(lozenge(30, 40, 6), "annotation")])
    assert [len(drawn) for drawn in drawing] == [7, 0, 0] and [fault.reason for fault in faults] == [AGAIN]
    drawing, faults = read(tmp_path, [*cells, feature(lozenge(30, 40, 15), "annotation")])
    assert [len(drawn) for drawn in drawing] == [6, 1, 0] and [fault.reason for fault in faults] == [PARENTS]


def test_an_unclassified_annotation_around_classified_ones_is_an_area_and_other_nests_are_told(tmp_path):
    cells = [feature(cell, "annotation", "Immune") for cell in CELLS]
    drawing, faults = read(tmp_path, [feature(lozenge(50, 50, 48), "annotation"), *cells])
    assert [len(drawn) for drawn in drawing] == [6, 1, 0] and [fault.reason for fault in faults] == [HOLDERS]
    drawing, faults = read(tmp_path, [feature(lozenge(50, 50, 48), "annotation", "Gland"), *cells])
    assert [len(drawn) for drawn in drawing] == [7, 0, 0] and [fault.reason for fault in faults] == [NESTED]


def on_plane(ring: list, **plane: int) -> dict:
    return feature(ring, "annotation") | {"geometry": {"type": "Polygon", "coordinates": [ring], "plane": plane}}


def test_objects_of_other_planes_are_not_here(tmp_path):
    content = [
        on_plane(CELLS[0], c=-1, z=0, t=0), on_plane(CELLS[1], c=-1, z=2, t=0), on_plane(CELLS[2], c=-1, z=0, t=1),
        on_plane(CELLS[3], c=2, z=0, t=0), feature(CELLS[4], "annotation"), on_plane(CELLS[5], c=0, z=0, t=0),
    ]  # fmt: skip
    drawing, faults = read(tmp_path, content)
    assert len(drawing.entities) == 3 and [fault.reason for fault in faults] == [PLANES]
    drawing, faults = read(tmp_path, [on_plane(cell, c=2, z=0, t=0) for cell in CELLS])
    assert len(drawing.entities) == 6 and not faults  # of a channel, and all channels are seen together
    with pytest.raises(InputError, match="got 6 of others, most of z 3, t 0"):
        read(tmp_path, [on_plane(cell, c=-1, z=3, t=0) for cell in CELLS])


def test_a_slide_whose_every_annotation_failed_is_no_negative(tmp_path):
    flawed = feature([(1, 1), (2, 2), (1, 1)], "annotation")
    with pytest.raises(InputError, match="none of 2 can be drawn .the first feature 2 has 2 different points"):
        read(tmp_path, [feature(AROUND, "annotation", "Region*"), flawed, flawed])
    drawing, faults = read(tmp_path, [feature(AROUND, "annotation", "Region*")])
    assert [len(drawn) for drawn in drawing] == [0, 1, 0] and not faults  # somebody looked, and there is nothing


def test_detections_of_four_corners_are_entities_beside_others_and_boxes_by_themselves(tmp_path):
    drawing, _ = read(tmp_path, [feature(SQUARE, "detection"), feature(LOZENGE, "detection")])
    assert len(drawing.entities) == 2
    ours = feature(SQUARE)
    ours["properties"] = {"id": 1, "area_px": 36, "label": "pore"}
    assert [one.label for one in read(tmp_path, [ours])[0].entities] == ["pore"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([{"geometry": {"type": "Point", "coordinates": [1, 2]}}] * 3, "got 3 points or lines"),
        ([{"geometry": {"type": "Polygon", "coordinates": [SQUARE]}}] * 2, "got 2 bounding boxes"),
    ],
)
def test_points_and_boxes_are_refused_by_name(tmp_path, content, reason):
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    with pytest.raises(InputError, match=reason):
        read_qupath(tmp_path / "a.geojson", [])


@pytest.mark.parametrize("geometry", [None, 3, {}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": [[[1, 2]]]},
                                      {"type": "Polygon", "coordinates": ["ab"]}, {"type": "Circle", "coordinates": []},
                                      {"type": "Polygon", "coordinates": [[[1, "x"], [2, 3], [4, 5]]]}])  # fmt: skip
def test_a_feature_that_cannot_be_drawn_is_told_by_its_number(tmp_path, geometry):
    good = {"geometry": {"type": "Polygon", "coordinates": [LOZENGE]}}
    (tmp_path / "a.geojson").write_text(json.dumps([good, {"geometry": geometry}]))
    faults = []
    entities, _ = read_qupath(tmp_path / "a.geojson", faults)
    assert len(entities) == 1 and "feature 2" in faults[0].reason


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_what_is_no_json_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "a.geojson").write_text(text)
    with pytest.raises(InputError, match="no whole JSON") as caught:
        read_qupath(tmp_path / "a.geojson", [])
    assert "\n" not in str(caught.value)


def test_the_real_export_of_qupath_is_read(real_data):
    path = real_data / "annotation_formats" / "qupath_geojson" / "polygon.geojson"
    (entity,), regions = read_qupath(path, [])
    assert [len(part.holes) for part in entity.parts] == [26, 0, 0] and not regions
    y0, x0, y1, x1 = entity.box  # two of the parts are islands in holes of the first
    assert pixels(entity, Window(y0, x0, y1 - y0, x1 - x0)).size == pytest.approx(entity.area, rel=1e-6)
