"""Our own GeoJSON, laid beside its image, is read again to the pixel."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from domains.datasets.dataset import open_folder
from domains.entities import EntityMap, Place
from domains.exports import Destination, open_exports
from domains.exports.geojson import GeoJson
from domains.formats import recognise
from domains.formats.geojson_frame import RESULTS
from domains.formats.polygons import draw
from domains.formats.qupath import read_qupath
from domains.formats.raster_vectors import burned
from domains.formats.slides import Slides
from domains.formats.vectors import outlines_on
from domains.scenes.georeference import Georeference
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction

SHAPE = (48, 64)
WHOLE = Window(0, 0, *SHAPE)


def entities(seed: int) -> EntityMap:
    """Scattered pixels and blocks of few ids: rectangles, holes, islands in holes, pixels that touch by a corner."""
    rng = np.random.default_rng(seed)
    ids = np.kron(rng.integers(0, 6, (12, 16)), np.ones((4, 4), int))
    ids = np.where(rng.random(SHAPE) < 0.2, rng.integers(0, 6, SHAPE), ids)
    ids[4:20, 4:20], ids[6:18, 6:18], ids[9:12, 9:12] = 6, 7, 6
    labels = np.arange(7, dtype=np.int32) % 2
    return EntityMap(ids, labels=labels, vocabulary=("pore", "crack"), scores=np.ones(7, np.float32))


def write(folder, prediction: EntityMap, georeference: Georeference | None = None, **options):
    place = Place("a", pixel_size_m=0.5, georeference=georeference)
    image = np.zeros((*SHAPE, 3), np.uint8)
    GeoJson(Destination(folder, **options)).stream(Prediction.of_map(prediction, "a", place, image))
    return folder / "a.geojson"


@pytest.mark.parametrize("flavour", ["qupath", "plain"])
@pytest.mark.parametrize("seed", range(4))
def test_pixels_of_a_picture_come_back(tmp_path, flavour, seed):
    prediction = entities(seed)
    outlines, regions = read_qupath(write(tmp_path, prediction, flavour=flavour), faults := [])
    again = draw(outlines, WHOLE, prediction.vocabulary)
    assert (again.ids == prediction.ids).all() and not faults and not regions
    if flavour == "qupath":
        assert again.labels is not None and (again.labels == prediction.labels).all()


@pytest.mark.parametrize(
    "georeference",
    [
        Georeference("EPSG:32633", (0.5, 0, 5e5, 0, -0.5, 5e6)),
        Georeference("EPSG:32633", (0.4, 0.3, 5e5, 0.3, -0.4, 5e6)),
        Georeference("EPSG:4326", (1e-6, 0, 13.4, 0, -1e-6, 52.5)),
        Georeference("EPSG:32760", (0.5, 0, 819_775, 0, -0.5, 8_140_160)),  # across 180 degrees
        Georeference("EPSG:4326", (1e-5, 0, 180 - 15e-5, 0, -1e-5, -16.8)),
        Georeference("+proj=aea +lat_0=37 +lon_0=128 +lat_1=34 +lat_2=41 +datum=WGS84", (1, 0, 9e4, 0, -1, 8e4)),
    ],
)
def test_pixels_of_a_raster_come_back(tmp_path, georeference):
    pytest.importorskip("pyproj")
    prediction = entities(1)
    path = write(tmp_path, prediction, georeference, simplify_px=0.0)
    ids = burned(outlines_on(path, georeference, SHAPE, None, faults := []), WHOLE)
    assert (ids == prediction.ids).all() and not faults


def test_results_across_180_degrees_are_cut_there_and_right_handed(tmp_path):
    shapely = pytest.importorskip("shapely")
    here = Georeference("EPSG:4326", (1e-5, 0, 180 - 15e-5, 0, -1e-5, -16.8))
    content = json.loads(write(tmp_path, entities(1), here, simplify_px=0.0).read_text())
    for feature in content["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        west, _, east, _ = zip(*(part.bounds for part in shapely.get_parts(shape)), strict=True)
        assert all(abs(e - w) < 1 for w, e in zip(west, east, strict=True)) and max(map(abs, west + east)) <= 180
        assert all(shapely.is_ccw(part.exterior) for part in shapely.get_parts(shape))
    total = sum(shapely.geometry.shape(feature["geometry"]).area for feature in content["features"])
    assert total == pytest.approx((entities(1).ids > 0).sum() * 1e-10, rel=1e-3)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("flavour", ["qupath", "plain"])
def test_a_folder_of_images_and_results_is_labelled(build, tmp_path, name, flavour):
    build.save(tmp_path / name, np.zeros((*SHAPE, 3), np.uint8) + 9)
    prediction = entities(0)
    write(tmp_path, prediction, flavour=flavour)
    (sample,) = open_folder(tmp_path).dataset("all")
    assert ((sample.truth.ids > 0) == (prediction.ids > 0)).all() and sample.truth.count == prediction.count


def test_results_of_a_raster_are_read_packed_too(build, tmp_path, monkeypatch):
    pytest.importorskip("pyproj")
    monkeypatch.setattr("domains.exports.geojson.GZIP_FROM", 3)
    build.raster(tmp_path / "a.tif", build.ground(*SHAPE))
    here = Georeference("EPSG:32633", (0.5, 0, 5e5, 0, -0.5, 5e6))
    assert not write(tmp_path, entities(0), here).exists() and (tmp_path / "a.geojson.gz").exists()
    layout = recognise(tmp_path)
    records, faults = layout.scan(tmp_path)
    assert layout.name == "raster_vectors" and records and [fault.reason for fault in faults] == [RESULTS]


def test_what_was_drawn_comes_before_results(build, tmp_path):
    pytest.importorskip("pyogrio")
    build.slide(tmp_path / "slides" / "s.tif")
    build.aperio(tmp_path / "annotations" / "s.xml", *build.lozenges(5))
    write(tmp_path, entities(0), flavour="qupath").rename(tmp_path / "slides" / "s.geojson")
    assert Slides().listing(tmp_path).records[0].truth.outlines[0].box == (20, 20, 40, 40)
    build.raster(tmp_path / "map" / "a.tif", build.ground(*SHAPE))
    here = Georeference("EPSG:32633", (0.5, 0, 5e5, 0, -0.5, 5e6))
    build.footprints(tmp_path / "map" / "b.geojson", [(5, 5, 20, 30)])
    write(tmp_path / "map", entities(0), here)
    records, faults = recognise(tmp_path / "map").listing(tmp_path / "map")
    assert {len(record.truth.outlines) for record in records} <= {0, 1} and not faults


def test_results_beside_labels_of_another_kind_are_not_taken_for_the_labels(build, tmp_path):
    root = build.label_maps(tmp_path)
    before = recognise(root)
    for image in before.scan(root).records:
        write(image.image.parent, entities(0), flavour="qupath").rename(image.image.with_suffix(".geojson"))
    assert recognise(root) is before


@pytest.mark.parametrize("place", ["beside", "labels", "labels and all else"])
def test_label_maps_that_predict_wrote_are_read_again_to_the_pixel(build, tmp_path, place):
    images = tmp_path if place == "beside" else tmp_path / "images"
    labels = tmp_path if place == "beside" else tmp_path / "labels"
    prediction = entities(3)
    image = np.zeros((*SHAPE, 3), np.uint8)
    build.save(images / "a.png", image)
    formats = ["labels", "geojson", "overlay", "csv"] if "all" in place else ["labels"]
    with open_exports(formats, Destination(labels), ["a"]) as exports:
        exports.stream(Prediction.of_map(prediction, "a", Place("a"), image))
    folder = open_folder(tmp_path)
    assert folder.layout.name == "label_maps" and [record.name.rpartition("/")[2] for record in folder.records] == ["a"]
    assert np.array_equal(folder.dataset("all")[0].truth.ids, prediction.ids)
    assert [fault.reason for fault in folder.faults] == ([RESULTS] if place == "beside" else [])


def test_an_ome_tiff_finds_the_label_picture_of_its_name_without_ome(build, tmp_path):
    (tmp_path / "images").mkdir()
    channels = np.zeros((3, *SHAPE), np.uint16)
    tifffile.imwrite(tmp_path / "images" / "a.ome.tif", channels, ome=True, photometric="minisblack")
    ids = np.zeros(SHAPE, np.uint8)
    ids[4:20, 5:30], ids[25:40, 5:30] = 1, 2
    build.save(tmp_path / "labels" / "a.png", ids)
    folder = open_folder(tmp_path)
    assert len(folder.records) == 1 and folder.records[0].truth.path.name == "a.png"
