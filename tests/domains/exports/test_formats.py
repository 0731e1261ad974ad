"""Each format is opened again by a reader that isn't ours."""

from __future__ import annotations

import csv
import errno
import gzip
import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import tifffile
from matplotlib.path import Path as Outline
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from scipy import ndimage

from domains.entities import EntityMap, Place
from domains.errors import InputError
from domains.exports import FORMATS, STREAMED, Destination, open_exports
from domains.exports.coco import run_lengths
from domains.exports.geojson import GeoJson
from domains.scenes import open_scene
from domains.tiling.prediction import Prediction

PLACE = Place("slides/a.png")
NESTED = {"forest-geojson", "forest-gpkg"}
EVERY = [
    word
    for word in FORMATS
    if word not in ("gpkg", "forest-gpkg", "heat") and (word != "parquet" or find_spec("pyarrow"))
]  # parquet is an extra; gpkg wants a place on the ground, heat scores of pixels


def written(tmp_path, formats, image, *predictions, **options):
    names = [f"image{i}" for i in range(len(predictions))]
    with open_exports(formats, Destination(tmp_path, **options), names) as exports:
        for name, prediction in zip(names, predictions, strict=True):
            place = Place(f"slides/{name}.png", pixel_size_m=0.5e-6)
            exports.stream(Prediction.of_map(prediction, name, place, image))
    return tmp_path


def test_tifffile_reads_the_labels_back_unlabelled_pixels_too(tmp_path, image, prediction):
    path = written(tmp_path, ["labels"], image, prediction) / "image0.labels.tif"
    ids = tifffile.imread(path)
    assert ids.dtype == np.int32 and np.array_equal(ids, prediction.ids) and ids.min() == -1
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_ids_beyond_16_bits_survive(tmp_path, image):
    ids = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    written(tmp_path, ["labels"], np.zeros((300, 300, 3), np.uint8), EntityMap(ids))
    assert np.array_equal(tifffile.imread(tmp_path / "image0.labels.tif"), ids)


def test_geojson_is_one_feature_per_entity_that_covers_its_pixels(tmp_path, image, prediction):
    path = written(tmp_path, ["geojson"], image, prediction) / "image0.geojson"
    collection = json.loads(path.read_text("utf-8"))
    assert collection["type"] == "FeatureCollection"
    assert [feature["properties"]["id"] for feature in collection["features"]] == [1, 2, 3, 4, 5]
    first, second = collection["features"][:2]
    assert first["properties"] == {
        "id": 1, "score": 0.9, "area_px": 44, "area_um2": 11.0, "label": "tumour",
    }  # fmt: skip
    assert first["geometry"]["type"] == "Polygon" and len(first["geometry"]["coordinates"]) == 2
    assert second["geometry"]["type"] == "MultiPolygon" and len(second["geometry"]["coordinates"]) == 2
    assert np.array_equal(rasterised(collection["features"], prediction.shape), np.maximum(prediction.ids, 0))


def rasterised(features, shape) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1)
    ids = np.zeros(len(centres), int)
    for feature in features:
        coordinates = feature["geometry"]["coordinates"]
        for exterior, *holes in [coordinates] if feature["geometry"]["type"] == "Polygon" else coordinates:
            inside = Outline(exterior).contains_points(centres)
            for hole in holes:
                inside &= ~Outline(hole).contains_points(centres)
            ids[inside] = feature["properties"]["id"]
    return ids.reshape(shape)


def test_qupath_finds_detections_with_class_and_measurements(tmp_path, image, prediction):
    path = written(tmp_path, ["geojson"], image, prediction, flavour="qupath") / "image0.geojson"
    properties = json.loads(path.read_text("utf-8"))["features"][1]["properties"]
    assert properties["objectType"] == "detection"
    assert properties["classification"] == {"name": "stroma"}
    assert properties["measurements"] == {"Area px^2": 32, "Score": 0.5}


def test_without_scores_and_labels_their_keys_and_cells_are_missing(tmp_path, image, prediction):
    plain = EntityMap(prediction.ids)
    written(tmp_path, ["geojson", "coco", "csv"], image, plain, flavour="qupath")
    feature = json.loads((tmp_path / "image0.geojson").read_text())["features"][0]
    assert set(feature["properties"]) == {"id", "area_px", "objectType", "measurements"}
    coco = json.loads((tmp_path / "predictions.coco.json").read_text())
    assert "score" not in coco["annotations"][0] and coco["categories"] == [{"id": 1, "name": "entity"}]
    row = next(csv.DictReader((tmp_path / "entities.csv").read_text(encoding="utf-8").splitlines()))
    assert row["score"] == "" and row["label"] == ""


# pycocotools 2.0.11 implements __array__ without the keyword that numpy 2 passes
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_decodes_every_mask_of_all_images(tmp_path, image, prediction):
    other = EntityMap(np.pad(np.ones((3, 4), np.int32), 2))
    coco = COCO(written(tmp_path, ["coco"], image, prediction, other) / "predictions.coco.json")
    assert [entry["file_name"] for entry in coco.loadImgs([1, 2])] == ["slides/image0.png", "slides/image1.png"]
    assert coco.getAnnIds() == [1, 2, 3, 4, 5, 6]
    for i, annotation in enumerate(coco.loadAnns(coco.getAnnIds(imgIds=[1])), 1):
        mask = prediction.ids == i
        assert isinstance(annotation["segmentation"]["counts"], str)
        assert np.array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum() == rle.area(annotation["segmentation"])
        assert annotation["bbox"] == rle.toBbox(annotation["segmentation"]).tolist()
    assert [entry["score"] for entry in coco.loadAnns([1, 2, 3, 4, 5])] == [0.9, 0.5, 0.25, 1.0, 0.75]
    assert [entry["name"] for entry in coco.loadCats([1, 2, 3])] == ["tumour", "stroma", "entity"]
    assert coco.loadAnns([5])[0]["category_id"] == 2


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_run_lengths_from_a_box_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for _ in range(100):
        height, width = rng.integers(1, 9, 2)
        mask = rng.random((height, width)) < rng.choice([0.1, 0.5, 1.0])
        if not mask.any():
            continue
        rows, columns = ndimage.find_objects(mask.astype(int))[0]
        runs = run_lengths(mask[rows, columns], rows.start, columns.start, mask.shape)
        assert str(runs["counts"]).encode() == rle.encode(np.asfortranarray(mask, np.uint8))["counts"]


def test_the_table_has_a_row_per_entity_of_all_images(tmp_path, image, prediction):
    empty = EntityMap(np.zeros((24, 30), np.int32))
    path = written(tmp_path, ["csv"], image, prediction, empty, prediction) / "entities.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["slides/image0.png"] * 5 + ["slides/image2.png"] * 5
    assert rows[0] == {
        "image": "slides/image0.png", "name": "image0", "id": "1", "area_px": "44", "area_um2": "11.0", "area_m2": "",
        "box_y_px": "2", "box_x_px": "3", "box_height_px": "7", "box_width_px": "8", "centroid_y_px": "5.0",
        "centroid_x_px": "6.5", "score": "0.9", "label": "tumour",
    }  # fmt: skip
    for row in rows[:5]:
        centre = ndimage.center_of_mass(prediction.ids == int(row["id"]))
        assert [float(row["centroid_y_px"]), float(row["centroid_x_px"])] == pytest.approx(centre, abs=0.006)


def test_the_table_of_images_says_how_sure_it_is_of_the_surest_pixel(tmp_path, image, prediction):
    empty, warm = EntityMap(np.zeros((24, 30), np.int32)), np.full((24, 30), 0.125, np.float16)
    warm[3, 4] = 0.75
    doubtful = replace(empty, pixel_scores=warm)  # nothing passed the threshold, yet the image is not a clean one
    path = written(tmp_path, ["images"], image, prediction, doubtful, empty) / "images.csv"
    assert path.read_text().splitlines() == [
        "image,name,height_px,width_px,entities,score",
        "slides/image0.png,image0,24,30,5,1.0",
        "slides/image1.png,image1,24,30,0,0.75",
        "slides/image2.png,image2,24,30,0,",
    ]


def test_the_heat_map_is_read_back_to_the_bit(tmp_path, image, prediction):
    heat = np.random.default_rng(0).random((24, 30)).astype(np.float16)
    path = written(tmp_path, ["heat"], image, replace(prediction, pixel_scores=heat)) / "image0.heat.tif"
    read = tifffile.imread(path)
    assert read.dtype == np.float16 and np.array_equal(read, heat)
    with pytest.raises(InputError, match="wants scores of pixels"):
        written(tmp_path / "none", ["heat"], image, prediction)


def test_names_with_commas_quotes_and_bytes_that_are_no_text_stay_one_cell(tmp_path, image, prediction):
    scene = 'a, "b"\n\udcff.png'
    with open_exports(["csv", "coco"], Destination(tmp_path), ["a"]) as exports:
        exports.stream(Prediction.of_map(prediction, "a", Place(scene), image))
    with (tmp_path / "entities.csv").open(encoding="utf-8", newline="") as file:
        assert {row["image"] for row in csv.DictReader(file)} == {'a, "b"\n\\udcff.png'}
    assert json.loads((tmp_path / "predictions.coco.json").read_text())["images"][0]["file_name"] == scene


def test_the_overlay_shows_the_image_where_no_entity_is(tmp_path, image, prediction):
    with Image.open(written(tmp_path, ["overlay"], image, prediction) / "image0.overlay.png") as file:
        picture = np.asarray(file)
    assert picture.shape == image.shape and picture.dtype == np.uint8
    nothing = prediction.ids == 0
    assert np.array_equal(picture[nothing], image[nothing])
    assert (picture[prediction.foreground] != image[prediction.foreground]).any(axis=1).mean() > 0.95


def test_an_entity_number_without_pixels_is_passed_over(tmp_path, image):
    ids = np.zeros((24, 30), np.int32)
    ids[3:5, 3:5] = 2
    written(tmp_path, EVERY, image, EntityMap(ids, np.array([0.1, 0.6])))
    assert len(json.loads((tmp_path / "image0.geojson").read_text())["features"]) == 1
    annotation = json.loads((tmp_path / "predictions.coco.json").read_text())["annotations"][0]
    assert annotation["score"] == 0.6


def test_an_image_without_entities_is_written_too(tmp_path, image):
    written(tmp_path, EVERY, image, EntityMap(np.zeros((24, 30), np.int32)))
    assert json.loads((tmp_path / "image0.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
    coco = json.loads((tmp_path / "predictions.coco.json").read_text())
    assert len(coco["images"]) == 1 and coco["annotations"] == []
    assert len((tmp_path / "entities.csv").read_text().splitlines()) == 1


def test_all_results_lie_in_the_folder_under_the_stated_names(tmp_path, image, prediction):
    written(tmp_path / "new" / "folder", EVERY, image, prediction)
    found = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert ("entities.parquet" in found) == ("parquet" in EVERY)
    assert sorted(name for name in found if not name.endswith(".parquet")) == [
        "entities.csv", "image0.density.tif", "image0.forest.coco.json", "image0.forest.csv", "image0.forest.geojson",
        "image0.forest.tif", "image0.geojson",
        "image0.labels.tif",
        "image0.labels.zarr", "image0.overlay.png", "images.csv", "predictions.coco.json",
    ]  # fmt: skip


@pytest.mark.parametrize("existing", ["b.labels.tif", "entities.csv"])
def test_a_run_that_would_replace_a_result_is_refused_before_it_starts(tmp_path, existing):
    (tmp_path / existing).write_text("mine")
    with pytest.raises(InputError, match=f"{existing}.*--overwrite"):
        open_exports(["labels", "csv"], Destination(tmp_path), ["a", "b"])
    open_exports(["labels", "csv"], Destination(tmp_path, overwrite=True), ["a", "b"])
    assert (tmp_path / existing).read_text() == "mine"


def test_overwriting_replaces_the_results(tmp_path, image, prediction):
    written(tmp_path, EVERY, image, EntityMap(np.zeros((24, 30), np.int32)))
    written(tmp_path, EVERY, image, prediction, overwrite=True)
    assert np.array_equal(tifffile.imread(tmp_path / "image0.labels.tif"), prediction.ids)
    assert len((tmp_path / "entities.csv").read_text().splitlines()) == 6


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="'geojsn'; known: .*did you mean 'geojson'"):
        open_exports(["geojsn"], Destination(tmp_path), [])


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        open_exports(["csv"], Destination(tmp_path / "file" / "out"), [])


def test_a_stopped_run_keeps_the_tables_of_what_it_has(tmp_path, image, prediction):
    with pytest.raises(KeyboardInterrupt), open_exports(["csv", "coco"], Destination(tmp_path), ["a", "b"]) as exports:
        exports.stream(Prediction.of_map(prediction, "a", PLACE, image))
        raise KeyboardInterrupt
    assert len((tmp_path / "entities.csv").read_text().splitlines()) == 6
    assert len(json.loads((tmp_path / "predictions.coco.json").read_text())["annotations"]) == 5


@pytest.mark.parametrize(
    ("word", "writer"),
    [("labels", "domains.exports.label_raster.tifffile.imwrite"), ("geojson", "domains.exports.geojson.json.dumps")],
)
def test_a_disk_that_is_full_halfway_leaves_no_partial_file(tmp_path, image, prediction, monkeypatch, word, writer):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    exports = open_exports([word], Destination(tmp_path), ["a"])
    monkeypatch.setattr(writer, full)
    with pytest.raises(InputError, match="No space left on device; free some space"):
        exports.stream(Prediction.of_map(prediction, "a", PLACE, image))
    assert list(tmp_path.iterdir()) == []


def test_what_is_streamed_is_what_is_written_at_once(tmp_path, image, prediction):
    """Every streaming format, from a prediction that is read by windows."""
    pytest.importorskip("pyarrow")
    place = Place("slides/a.png", pixel_size_m=0.5e-6)
    for folder in ("whole", "streamed"):
        formats = [word for word in STREAMED if not word.endswith("gpkg")]  # in test_on_the_map
        with open_exports(formats, Destination(tmp_path / folder), ["a"]) as exports:
            entities = Prediction.of_map(prediction, "a", place, image)
            exports.stream(entities if folder == "whole" else replace(entities, entity_map=None))
    assert set(STREAMED) == {
        "geojson",
        "csv",
        "images",
        "zarr",
        "parquet",
        "density",
        "labels",
        "gpkg",
        "forest",
        *NESTED,
    }
    for name in ("a.geojson", "entities.csv", "images.csv", "a.density.tif"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "streamed" / name).read_bytes()
    for folder in (tmp_path / "whole", tmp_path / "streamed"):
        assert np.array_equal(np.maximum(tifffile.imread(folder / "a.labels.tif"), 0), np.maximum(prediction.ids, 0))
        scene = open_scene(folder / "a.labels.zarr")
        assert scene.dtype == np.int64 and scene.pixel_size_m == pytest.approx(0.5e-6)
        assert np.array_equal(scene.read(0, 0, *prediction.shape)[..., 0], np.maximum(prediction.ids, 0))


def test_pyarrow_reads_the_table_back_with_types(tmp_path, image, prediction):
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = written(tmp_path, ["parquet", "csv"], image, prediction, EntityMap(prediction.ids))
    rows = parquet.read_table(folder / "entities.parquet").to_pylist()
    with open(folder / "entities.csv", encoding="utf-8") as file:
        text = list(csv.DictReader(file))
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows] == text
    assert rows[0]["area_px"] == 44 and rows[0]["label"] == "tumour" and rows[-1]["score"] is None


def test_a_label_image_has_a_pyramid_of_every_second_pixel(tmp_path):
    ids = np.zeros((1500, 2300), np.int32)
    ids[700:900, 1000:1300], ids[10:20, 2290:2300] = 1, 2
    written(tmp_path, ["zarr"], np.zeros((1500, 2300, 3), np.uint8), EntityMap(ids))
    scene = open_scene(tmp_path / "image0.labels.zarr")
    assert scene.levels == ((1500, 2300), (750, 1150), (375, 575))
    for level, shape in enumerate(scene.levels):
        assert np.array_equal(scene.read(0, 0, *shape, level)[..., 0], ids[:: 2**level, :: 2**level])


def test_without_pyarrow_parquet_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("domains.exports.parquet.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install .*\[parquet\]"):
        open_exports(["parquet"], Destination(tmp_path), [])


def test_scenes_in_memory_get_the_default_formats_and_large_ones_those_that_stream(tmp_path, image, prediction):
    with open_exports([], Destination(tmp_path), ["a", "b"]) as exports:
        exports.stream(Prediction.of_map(prediction, "a", PLACE, image))
        exports.stream(replace(Prediction.of_map(prediction, "b", Place("b.svs"), image), entity_map=None))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.geojson", "a.labels.tif", "a.overlay.png", "b.geojson", "b.labels.zarr", "entities.csv",
        "images.csv", "predictions.coco.json",
    ]  # fmt: skip
    assert len((tmp_path / "entities.csv").read_text().splitlines()) == 11


def test_morphology_is_the_same_at_once_and_streamed_by_blocks(tmp_path):
    rng = np.random.default_rng(0)
    ids = np.zeros((1400, 1500), np.int32)
    for i in range(1, 60):
        y, x = rng.integers(0, 1370, 2)
        ids[y : y + rng.integers(3, 25), x : x + rng.integers(3, 25)] = i
    ids[1000:1040, 1000:1400] = 60  # over a block's corner and beyond its margin
    found, image = EntityMap.from_ids(ids), rng.integers(0, 256, (1400, 1500, 3), np.uint8)
    place, options = Place("a", pixel_size_m=0.5e-6), {"flavour": "qupath", "describe": describe}
    whole, streamed = GeoJson(Destination(tmp_path / "whole", **options)), GeoJson(Destination(tmp_path, **options))
    (tmp_path / "whole").mkdir()
    prediction = Prediction.of_map(found, "a", place, image)
    whole.stream(prediction)
    streamed.stream(replace(prediction, entity_map=None))
    one, other = (
        {feature["properties"]["id"]: feature for feature in json.loads(path.read_text())["features"]}
        for path in (tmp_path / "whole" / "a.geojson", tmp_path / "a.geojson")
    )
    assert one == other and len(one) == found.count
    measurements = one[1]["properties"]["measurements"]
    assert set(measurements) == {"Area px^2", "mean"} and measurements["Area px^2"] == found.areas[0]


def describe(ids: np.ndarray, image: np.ndarray, pixel_size_m: float | None) -> dict[int, dict[str, float]]:
    assert pixel_size_m == 0.5e-6
    return {int(i): {"mean": round(float(image[ids == i].mean()), 3)} for i in np.unique(ids[ids > 0])}


@pytest.mark.parametrize("streamed", [True, False])
def test_a_large_collection_is_gzipped(streamed, tmp_path, prediction, image, monkeypatch):
    monkeypatch.setattr("domains.exports.geojson.GZIP_FROM", 4)
    entities = Prediction.of_map(prediction, "a", PLACE, image)
    GeoJson(Destination(tmp_path)).stream(replace(entities, entity_map=None) if streamed else entities)
    assert [path.name for path in tmp_path.iterdir()] == ["a.geojson.gz"]
    with gzip.open(tmp_path / "a.geojson.gz", "rt") as file:
        assert len(json.load(file)["features"]) == 5


def test_annotations_name_images_from_the_folder_that_they_share(tmp_path, image, prediction):
    for scenes, names in (
        (["/data/lot/a.png"], ["a.png"]),
        (["/data/lot1/a.png", "/data/lot2/a.png"], ["lot1/a.png", "lot2/a.png"]),
        (["lot/a.png", "/data/b.png"], ["lot/a.png", "b.png"]),
    ):
        with open_exports(["coco"], Destination(tmp_path, overwrite=True), ["a", "b"]) as exports:
            for name, scene in zip("ab", scenes, strict=False):
                exports.stream(Prediction.of_map(prediction, name, Place(scene), image))
        coco = json.loads((tmp_path / "predictions.coco.json").read_text())
        assert [one["file_name"] for one in coco["images"]] == names
