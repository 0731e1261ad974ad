"""GeoJSON that somebody else wrote, possibly wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domains.formats.layout import Fault
from domains.formats.vectors import outlines_on
from domains.scenes.georeference import Georeference

HERE = Georeference("EPSG:4326", (1.0, 0.0, 0.0, 0.0, -1.0, 20.0))  # one degree to a pixel, from 20 north
HOUSE = {"type": "Polygon", "coordinates": [[[2, 18], [6, 18], [6, 14], [2, 14], [2, 18]]]}


def read(folder: Path, features: list, attribute: str | None = None, **members: object) -> tuple[list, list[Fault]]:
    path = folder / "houses.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **members}))
    faults: list[Fault] = []
    return outlines_on(path, HERE, (20, 20), attribute, faults), faults


def feature(geometry: object, properties: object = None) -> dict:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def test_a_polygon_lies_in_the_pixels_of_its_raster(tmp_path: Path) -> None:
    (house,), faults = read(tmp_path, [feature(HOUSE, {"kind": "barn"})], "kind")
    assert house.box == (2, 2, 6, 6) and house.label == "barn" and not faults


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": 3},
        {"type": "Polygon", "coordinates": {"a": 1}},
        {"type": "Polygon", "coordinates": [[[1, 2], [3]]]},
        {"type": "Polygon", "coordinates": [[["x", "y"]] * 4]},
        {"type": "Polygon", "coordinates": [[[10**400, 1], [2, 2], [3, 1], [10**400, 1]]]},
        {"type": "MultiPolygon", "coordinates": [[1]]},
        {"type": "Circle", "coordinates": [0, 0]},
        "house",
        7,
    ],
)
def test_a_geometry_that_is_none_is_a_fault_and_the_others_stay(tmp_path: Path, geometry: object) -> None:
    found, faults = read(tmp_path, [feature(geometry), feature(HOUSE)])
    assert len(found) == 1 and len(faults) == 1
    assert "\n" not in str(faults[0].reason) and "1 " in str(faults[0].reason)


@pytest.mark.parametrize("properties", [[1], "barn", 3, ["kind"]])
def test_properties_that_are_no_object_are_none(tmp_path: Path, properties: object) -> None:
    found, _ = read(tmp_path, [feature(HOUSE, properties), feature(HOUSE, {"kind": "barn"})], "kind")
    assert [one.label for one in found] == ["unknown", "barn"]


@pytest.mark.parametrize("crs", [[], "EPSG:4326", {"properties": ["name"]}, {"properties": {"name": 5}}])
def test_a_member_crs_that_is_none_means_longitude_and_latitude(tmp_path: Path, crs: object) -> None:
    found, _ = read(tmp_path, [feature(HOUSE)], crs=crs)
    assert found[0].box == (2, 2, 6, 6)
