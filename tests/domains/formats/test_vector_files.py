"""Vectors as GDAL writes them: attributes, CRS of any spelling, both sides of 180 degrees, parts and collections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.errors import InputError
from domains.formats.layout import Fault
from domains.formats.neighbours import Raster, placed
from domains.formats.polygons import outline_of
from domains.formats.raster_vectors import burned
from domains.formats.vectors import class_of, crs_named, outlines_on
from domains.scenes.georeference import Georeference
from domains.tiling.grid import Window

pyogrio = pytest.importorskip("pyogrio")
pyproj = pytest.importorskip("pyproj")
shapely = pytest.importorskip("shapely")
rasterio = pytest.importorskip("rasterio")
features = pytest.importorskip("rasterio.features")

FORMATS = ("geojson", "gpkg", "shp", "fgb")
HERE = Georeference("EPSG:32633", (1, 0, 500_000, 0, -1, 5_000_000))
HOUSES = [shapely.box(500_000 + 20 * i, 4_999_900, 500_010 + 20 * i, 4_999_910) for i in range(3)]
WINDOW = Window(0, 0, 256, 256)


def write(path: Path, shapes, crs: str, columns: dict | None = None, empty: int | None = None) -> Path:
    """A vector file; empty: the row whose cells have no value."""
    columns = columns or {"n": np.arange(len(shapes))}
    mask = None if empty is None else np.arange(len(shapes)) == empty
    kind = "MultiPolygon" if any(shape.geom_type == "MultiPolygon" for shape in shapes) else "Polygon"
    if kind == "MultiPolygon":
        shapes = [shapely.multipolygons([shape]) if shape.geom_type == "Polygon" else shape for shape in shapes]
    drivers = {"geojson": "GeoJSON", "gpkg": "GPKG", "shp": "ESRI Shapefile", "fgb": "FlatGeobuf"}
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(shapes, object)),
        field_data=list(columns.values()),
        fields=list(columns),
        field_mask=None if mask is None else [mask] * len(columns),
        geometry_type=kind,
        crs=crs,
        driver=drivers[path.suffix[1:]],
    )
    return path


def plain(path: Path, shapes, **members) -> Path:
    rows = [{"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)} for shape in shapes]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": rows, **members}))
    return path


# Attributes

COLUMNS = {
    "whole": np.array([2**53 + 1, 2**53 + 2, 7]),
    "short": np.array([1, 2, 3], np.int16),
    "flag": np.array([True, False, True]),
    "text": np.array(["1", "01", "x"], object),
    "part": np.array([1, 2.5, 3], np.float32),
}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_cell_without_value_is_unknown_and_leaves_the_others_as_they_are(tmp_path, suffix, column):
    path = write(tmp_path / f"a.{suffix}", HOUSES, "EPSG:32633", {column: COLUMNS[column]}, empty=2)
    outlines = sorted(outlines_on(path, HERE, (128, 128), column, []), key=lambda outline: outline.box[1])
    wanted = [str(value) for value in COLUMNS[column][:2].tolist()]
    assert [outline.label for outline in outlines] == [*wanted, "unknown"]


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "fgb"])
def test_a_column_may_have_any_name(tmp_path, suffix):
    path = write(tmp_path / f"a.{suffix}", HOUSES, "EPSG:32633", {"a \"b'ö": np.array([5, 6, 7])}, empty=0)
    labels = {outline.label for outline in outlines_on(path, HERE, (128, 128), "a \"b'ö", [])}
    assert labels == {"unknown", "6", "7"}


@pytest.mark.parametrize(
    "value",
    [None, "", "  ", float("nan"), np.float32("nan"), np.datetime64("NaT"), "nan", "NaT", "<NA>", "null"],
)
def test_what_is_no_value_is_no_class(value):
    assert class_of(value) == "unknown"


def test_values_keep_their_type():
    assert [class_of(value) for value in (1, 1.0, True, "1", 2**60 + 1, np.int64(3), "None", 0, False)] == [
        "1", "1.0", "True", "1", str(2**60 + 1), "3", "None", "0", "False",
    ]  # fmt: skip


# CRS

AEA = "+proj=aea +lat_0=37 +lon_0=128 +lat_1=34 +lat_2=41 +datum=WGS84 +units=m +no_defs"


@pytest.mark.parametrize("crs", [AEA, "EPSG:32652", "ESRI:54030"])
@pytest.mark.parametrize("spelled", ["as it is", "WKT2_2019", "WKT1_GDAL", "WKT1_ESRI"])
def test_a_crs_is_known_in_every_spelling(tmp_path, crs, spelled):
    known = pyproj.CRS.from_user_input(crs)
    if spelled == "WKT1_GDAL" and crs.startswith("ESRI"):
        spelled = "WKT1_ESRI"
    x, y = pyproj.Transformer.from_crs("EPSG:4326", known, always_xy=True).transform(128.17, 37.38)
    here = Georeference(crs if spelled == "as it is" else known.to_wkt(spelled), (1, 0, x - 50, 0, -1, y + 50))
    square = shapely.box(x - 20, y - 20, x + 20, y + 20)
    back = pyproj.Transformer.from_crs(known, "EPSG:4326", always_xy=True)
    degrees = shapely.transform(square, lambda points: np.column_stack(back.transform(*points.T)))
    files = [write(tmp_path / f"a.{suffix}", [square], crs) for suffix in ("gpkg", "shp", "fgb")]
    files.append(plain(tmp_path / "b.geojson", [square], crs={"type": "name", "properties": {"name": crs}}))
    files.append(plain(tmp_path / "c.geojson", [degrees]))
    for file in files:
        assert (burned(outlines_on(file, here, (100, 100), None, []), Window(0, 0, 100, 100)) > 0).sum() == 1600


@pytest.mark.parametrize(
    ("name", "crs"),
    [
        ("urn:ogc:def:crs:EPSG::32633", "EPSG:32633"), ("urn:ogc:def:crs:EPSG:6.3:26986", "EPSG:26986"),
        ("http://www.opengis.net/def/crs/EPSG/0/4326", "EPSG:4326"), ("epsg:3857", "EPSG:3857"),
        ("urn:ogc:def:crs:ESRI::54030", "ESRI:54030"), ("urn:ogc:def:crs:OGC:1.3:CRS84", "OGC:CRS84"),
        (AEA, AEA), ('PROJCS["a",GEOGCS["CRS84"]]', 'PROJCS["a",GEOGCS["CRS84"]]'),
    ],
)  # fmt: skip
def test_the_member_crs_is_read_in_every_spelling(name, crs):
    assert crs_named(name) == crs


# 180 degrees


def around(steps: list[tuple[float, float]], form: str, here: pyproj.CRS, x: float, y: float):
    """A polygon of steps in metres from x, y, in degrees as files write it across 180."""
    to_degrees = pyproj.Transformer.from_crs(here, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*(np.array(steps) + (x, y)).T)
    east = np.where(lon < 0, lon + 360, lon)
    if form == "jump":
        return shapely.Polygon(np.column_stack([lon, lat]))
    if form in ("beyond", "below"):
        return shapely.Polygon(np.column_stack([east - (360 if form == "below" else 0), lat]))
    whole = shapely.Polygon(np.column_stack([east, lat]))
    west, rest = (shapely.intersection(whole, shapely.box(at, -90, at + 180, 90)) for at in (0, 180))
    halves = [west, shapely.transform(rest, lambda points: points - (360, 0))]
    return shapely.MultiPolygon([half for half in halves if half.area > 0])


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("form", ["jump", "beyond", "below", "cut"])
@pytest.mark.parametrize("raster", ["EPSG:32760", "EPSG:32701", "EPSG:3832", "EPSG:3857", "EPSG:4326", "below"])
def test_polygons_are_found_on_both_sides_of_180_degrees_and_across(tmp_path, suffix, form, raster):
    utm = pyproj.CRS("EPSG:32760")
    x, y = pyproj.Transformer.from_crs("EPSG:4326", utm, always_xy=True).transform(180, -16.8)
    places = [(-90, 0), (-10, 30), (60, -40), (90, 20)]
    shapes = [around([(a, b), (a + 20, b), (a + 20, b - 15), (a, b - 15)], form, utm, x, y) for a, b in places]
    file = (
        plain(tmp_path / "a.geojson", shapes)
        if suffix == "geojson"
        else write(tmp_path / f"a.{suffix}", shapes, "EPSG:4326")
    )
    step = 9e-6 if raster in ("EPSG:4326", "below") else 1 / np.cos(np.deg2rad(16.8)) if raster == "EPSG:3857" else 1
    crs = "EPSG:4326" if raster == "below" else raster
    middle = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(180 - 1e-12, -16.8)
    middle = (middle[0] - (360 if raster == "below" else 0), middle[1])
    here = Georeference(crs, (step, 0, middle[0] - 128 * step, 0, -step, middle[1] + 128 * step))
    ids = burned(outlines_on(file, here, (256, 256), None, faults := []), WINDOW)
    areas = np.bincount(ids.ravel(), minlength=5)[1:]
    assert not faults and (areas > 0).all() and areas == pytest.approx(300, rel=0.15)
    left = [np.flatnonzero((ids == i).any(axis=0))[0] for i in np.unique(ids[ids > 0])]
    assert np.sort(left) == pytest.approx([38, 118, 188, 218], abs=9)


def test_a_polygon_around_the_world_stays_one(tmp_path):
    here = Georeference("EPSG:4326", (1, 0, -180, 0, -1, 90))
    for west, east in ((-180, 180), (-170, 170)):
        file = plain(tmp_path / "a.geojson", [shapely.box(west, -60, east, 60)])
        ids = burned(outlines_on(file, here, (180, 360), None, []), Window(0, 0, 180, 360))
        assert (ids > 0).sum() >= 360 * 120 * (east - west) / 361


def test_rasters_on_both_sides_of_180_degrees_are_neighbours():
    to_east, to_west = (
        pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True) for crs in ("EPSG:32701", "EPSG:32760")
    )
    east, west = to_east.transform(180, -16.8), to_west.transform(180, -16.8)
    rasters = [
        Raster(Georeference("EPSG:32760", (1, 0, west[0] - 100, 0, -1, west[1])), (100, 100)),
        Raster(Georeference("EPSG:32701", (1, 0, east[0], 0, -1, east[1])), (100, 100)),
        *(
            Raster(Georeference("EPSG:32760", (1, 0, west[0] - 1000 * i, 0, -1, west[1])), (100, 100))
            for i in (2, 3, 4)
        ),
    ]
    assert placed(rasters).groups.tolist() == [0, 0, 2, 3, 4]


# Geometry


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-20, 60), st.integers(-20, 60))
def test_what_is_burned_is_what_rasterio_burns_of_the_valid_shape(seed, y, x):
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(rng.integers(1, 4)):
        turn = np.sort(rng.uniform(0, 2 * np.pi, 12))
        circle = np.column_stack([np.cos(turn), np.sin(turn)])
        middle, reach = rng.uniform(10, 50, 2), rng.uniform(8, 25)
        parts.append([middle + reach * circle, middle + 0.4 * reach * circle[::-1]])
    polygons = [shapely.Polygon(outer, [inner]) for outer, inner in parts]
    affine = rasterio.Affine(1, 0, -20, 0, 1, -20)
    wanted = [features.rasterize([shapely.MultiPolygon(polygons)], (100, 100), transform=affine) > 0]
    if all(polygon.is_valid for polygon in polygons):
        wanted.append(features.rasterize([shapely.union_all(polygons)], (100, 100), transform=affine) > 0)
    ids = burned([outline_of(parts)], Window(y, x, 20, 20))
    for mask in wanted:
        assert ((ids > 0) == mask[y + 20 : y + 40, x + 20 : x + 40]).all()


def test_polygons_of_a_collection_are_its_parts(tmp_path):
    line = shapely.LineString([(500_000, 4_999_990), (500_100, 4_999_990)])
    collection = shapely.GeometryCollection([HOUSES[0], line, HOUSES[2]])
    crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
    file = plain(tmp_path / "a.geojson", [HOUSES[1], collection], crs=crs)
    write_as = pyogrio.raw.write
    write_as(
        tmp_path / "b.gpkg", shapely.to_wkb(np.array([HOUSES[1], collection], object)), field_data=[np.arange(2)],
        fields=["n"], geometry_type="Unknown", crs="EPSG:32633",
    )  # fmt: skip
    for path in (file, tmp_path / "b.gpkg"):
        faults: list[Fault] = []
        assert [len(outline.parts) for outline in outlines_on(path, HERE, (128, 128), None, faults)] == [1, 2]
        assert not faults


# What failed


@pytest.mark.parametrize("own", [True, False])
def test_a_file_whose_every_feature_failed_is_no_empty_one(tmp_path, own):
    rows = [{"type": "Feature", "geometry": geometry, "properties": {}} for geometry in (
        {"type": "Polygon", "coordinates": [[[1, 2], [1, 2], [3, 4]]]}, {"type": "Circle", "coordinates": [0, 0]}
    )]  # fmt: skip
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": rows}))
    with pytest.raises(InputError, match="none of 2 features can be drawn"):
        outlines_on(path, HERE, (128, 128), None, [], own)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [{"geometry": None}] * 2}))
    with pytest.raises(InputError, match="got 2 features without geometry"):
        outlines_on(path, HERE, (128, 128), None, [], own)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    assert outlines_on(path, HERE, (128, 128), None, [], own) == []
