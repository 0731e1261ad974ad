"""Results of a scene that lies on the ground are opened again by rasterio and pyogrio, and laid over the labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from domains.entities import EntityMap, Place
from domains.errors import InputError
from domains.exports import Destination, open_exports
from domains.scenes import open_scene
from domains.scenes.georeference import Georeference
from domains.tiling.prediction import Prediction

rasterio = pytest.importorskip("rasterio")
features_of = pytest.importorskip("rasterio.features")  # which `import rasterio` does not bring along
pyogrio = pytest.importorskip("pyogrio")
pyproj = pytest.importorskip("pyproj")
shapely = pytest.importorskip("shapely")

PLACES = {
    "utm": Georeference("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5e6)),
    "degrees": Georeference("EPSG:4326", (1e-5, 0.0, 12.0, 0.0, -1e-5, 60.0)),
    "turned": Georeference("EPSG:32633", (3.0, 1.0, 400_000.0, 1.0, -3.0, 6e6)),
    "south up": Georeference("EPSG:3857", (0.3, 0.0, 14_321_853.0, 0.0, 0.3, 4_532_410.0)),
}


@pytest.fixture(params=PLACES, ids=list(PLACES))
def place(request) -> Place:
    return Place("a.tif", pixel_size_m=1.0, georeference=PLACES[request.param])


@pytest.fixture(params=["whole", "streamed"])
def write(request, tmp_path, image):
    def write(formats, prediction, place, **options):
        with open_exports(formats, Destination(tmp_path, **options), ["a"]) as exports:
            entities = Prediction.of_map(prediction, "a", place, image)
            exports.stream(entities if request.param == "whole" else replace(entities, entity_map=None))
        return tmp_path

    return write


def burned(shapes, ids, place, shape, crs=None) -> np.ndarray:
    """Label map by rasterio, all-touched off, of shapes in the CRS of the place, or in another one."""
    if crs is not None:
        back = pyproj.Transformer.from_crs(crs, place.georeference.crs, always_xy=True)
        shapes = [shapely.transform(one, lambda xy: np.stack(back.transform(*xy.T), axis=1)) for one in shapes]
    affine = rasterio.Affine(*place.georeference.transform)
    return features_of.rasterize(
        zip(shapes, ids, strict=True), shape, transform=affine, all_touched=False, dtype="int32"
    )


def test_geojson_lies_on_wgs84_right_handed_and_covers_its_pixels_exactly(write, prediction, place):
    path = write(["geojson"], prediction, place, simplify_px=0) / "a.geojson"
    features = json.loads(path.read_text())["features"]
    shapes = [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in features]
    for polygon in shapely.get_parts(shapes):
        assert polygon.exterior.is_ccw and not any(hole.is_ccw for hole in polygon.interiors)
    ids = [feature["properties"]["id"] for feature in features]
    labels = burned(shapes, ids, place, prediction.shape, "OGC:CRS84")
    assert np.array_equal(labels, np.maximum(prediction.ids, 0))


def test_geojson_says_square_metres_as_the_geodesic_polygon_has_them(write, prediction, place):
    path = write(["geojson"], prediction, place, simplify_px=0) / "a.geojson"
    features = json.loads(path.read_text())["features"]
    assert len(features) == 5
    for feature in features:
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        wanted = abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape)[0])
        assert feature["properties"]["area_m2"] == pytest.approx(wanted, rel=0.02, abs=0.3)


def test_a_geopackage_opens_in_the_crs_of_the_raster_and_covers_its_pixels_exactly(write, prediction, place):
    path = write(["gpkg"], prediction, place, simplify_px=0) / "a.gpkg"
    info = pyogrio.read_info(path, layer="entities")
    assert info["features"] == 5 and info["geometry_type"] == "MultiPolygon"
    assert pyproj.CRS(info["crs"]) == pyproj.CRS(place.georeference.crs)
    meta, _, geometry, columns = pyogrio.raw.read(path)
    table = dict(zip(meta["fields"], columns, strict=True))
    assert table["id"].tolist() == [1, 2, 3, 4, 5] and table["label"].tolist()[:2] == ["tumour", "stroma"]
    assert table["score"].tolist() == pytest.approx([0.9, 0.5, 0.25, 1.0, 0.75])
    assert table["area_px"].tolist() == prediction.areas.tolist()
    labels = burned(shapely.from_wkb(geometry), table["id"].tolist(), place, prediction.shape)
    assert np.array_equal(labels, np.maximum(prediction.ids, 0))


def test_by_default_polygons_on_the_ground_are_simplified_to_half_a_pixel(write, prediction, place):
    path = write(["gpkg"], prediction, place) / "a.gpkg"
    _, _, geometry, _ = pyogrio.raw.read(path)
    labels = burned(shapely.from_wkb(geometry), [1, 2, 3, 4, 5], place, prediction.shape)
    near = np.max([np.roll(prediction.ids, (dy, dx), (0, 1)) == labels for dy in (-1, 0, 1) for dx in (-1, 0, 1)], 0)
    assert near.all() and set(np.unique(labels)) == {0, 1, 2, 3, 4, 5}


def test_the_label_raster_has_the_transform_and_the_crs_of_its_scene(write, prediction, place):
    path = write(["labels"], prediction, place) / "a.labels.tif"
    with rasterio.open(path) as file:
        assert tuple(file.transform)[:6] == pytest.approx(place.georeference.transform)
        assert file.crs == rasterio.CRS.from_user_input(place.georeference.crs)
        assert file.dtypes == ("int32",) and file.nodata == 0
        assert np.array_equal(file.read(1), prediction.ids)
    scene = open_scene(path)
    assert scene.georeference is not None and scene.georeference.crs == place.georeference.crs
    scene.close()


def test_a_raster_of_classes_lies_where_that_of_entities_does_and_goes_with_its_classes(write, prediction, place):
    entities = Prediction.of_map(prediction, "a", place)
    entities = replace(entities, entities=entities.entities._replace(label_scores=np.ones(entities.count)))
    folder = write(["labels"], prediction, place)
    with open_exports(["labels"], Destination(folder, overwrite=True), ["a"]) as exports:
        exports.stream(entities)
    with rasterio.open(folder / "a.classes.tif") as file, rasterio.open(folder / "a.labels.tif") as labels:
        assert (file.transform, file.crs, file.shape) == (labels.transform, labels.crs, labels.shape)
        assert (file.descriptions, labels.descriptions) == (("class",), ("entity",))
        assert json.loads(file.tags()["TIFFTAG_IMAGEDESCRIPTION"]) == {"classes": list(prediction.vocabulary)}
        assert np.array_equal(file.read(1) > 0, labels.read(1) > 0)
    write(["labels"], prediction, place, overwrite=True)
    assert not (folder / "a.classes.tif").exists() and (folder / "a.labels.tif").exists()


def test_an_empty_prediction_is_an_empty_layer(write, place):
    nothing = EntityMap(np.zeros((24, 30), np.int32), np.zeros(0, np.float32))
    folder = write(["gpkg", "geojson", "labels"], nothing, place)
    assert pyogrio.read_info(folder / "a.gpkg", layer="entities")["features"] == 0
    assert json.loads((folder / "a.geojson").read_text())["features"] == []


def test_a_layer_is_written_in_batches(monkeypatch, tmp_path, image, prediction):
    monkeypatch.setattr("domains.exports.geopackage.BATCH", 2)
    place = Place("a.tif", georeference=PLACES["utm"])
    with open_exports(["gpkg"], Destination(tmp_path), ["a"]) as exports:
        exports.stream(Prediction.of_map(prediction, "a", place, image))
    _, _, _, columns = pyogrio.raw.read(tmp_path / "a.gpkg", columns=["id"])
    assert columns[0].tolist() == [1, 2, 3, 4, 5]


def test_a_scene_that_lies_nowhere_gets_no_geopackage(tmp_path, image, prediction):
    exports = open_exports(["gpkg"], Destination(tmp_path), ["a"])
    with pytest.raises(InputError, match="does not say where it lies.*geojson") as error:
        exports.stream(Prediction.of_map(prediction, "a", Place("a.png"), image))
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_qupath_keeps_pixels(tmp_path, image, prediction):
    place = Place("a.tif", georeference=PLACES["utm"])
    for folder, scene in (("map", place), ("nowhere", replace(place, georeference=None))):
        with open_exports(["geojson"], Destination(tmp_path / folder, flavour="qupath"), ["a"]) as exports:
            exports.stream(Prediction.of_map(prediction, "a", scene, image))
    plain, placed = (json.loads((tmp_path / folder / "a.geojson").read_text()) for folder in ("nowhere", "map"))
    shapes = [feature["geometry"] for feature in plain["features"]]
    assert len(shapes) == 5 and shapes == [feature["geometry"] for feature in placed["features"]]
    assert shapely.from_geojson(json.dumps(shapes[0])).bounds == (3, 2, 11, 9)  # columns and rows of the first ring
