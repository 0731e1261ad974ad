from __future__ import annotations

import gzip
import json

import pytest

from domains.errors import InputError
from domains.layouts.polygons import draw
from domains.layouts.qupath import read_qupath
from domains.tiling import Window

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


def test_an_unclassified_box_around_outlines_is_a_region_and_another_box_a_fault(build, tmp_path):
    path = build.qupath(tmp_path / "a.geojson", [LOZENGE, SQUARE, AROUND])
    content = json.loads(path.read_text())
    content["features"][2]["properties"] = {"objectType": "annotation"}
    path.write_text(json.dumps(content))
    faults = []
    entities, regions = read_qupath(path, faults)
    assert len(entities) == 1 and len(regions) == 1
    assert "x 2, y 2 is a bounding box" in faults[0].reason


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


def test_the_real_export_of_qupath_is_read(entity_data):
    path = entity_data / "annotation_formats" / "qupath_geojson" / "polygon.geojson"
    (entity,), regions = read_qupath(path, [])
    assert len(entity.exteriors) == 3 and len(entity.holes) >= 26 and not regions
