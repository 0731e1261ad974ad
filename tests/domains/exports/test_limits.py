"""Entities that are too unsure, too small or too large are in no format."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from domains.entities import EntityMap, Place
from domains.errors import InputError
from domains.exports import FORMATS, Destination, open_exports
from domains.exports.areas import AREAS
from domains.exports.limits import Limits
from domains.scenes import open_scene
from domains.scenes.area import Area
from domains.scenes.georeference import Georeference
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction

UTM = Georeference("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5e6))


@pytest.fixture
def entities() -> EntityMap:
    """Squares of 1, 4, 9, 16 and 25 px, surer with their size, beside an unlabelled column."""
    ids = np.zeros((12, 40), np.int32)
    for side in range(1, 6):
        ids[2 : 2 + side, 8 * side - 7 : 9 * side - 7] = side
    ids[:, 39] = -1
    scores = np.array([0.1, 0.3, 0.5, 0.7, 0.9], np.float32)
    pixels = np.where(ids > 0, 0.9, 0.1).astype(np.float16)
    return EntityMap(ids, scores, np.array([0, 1, 0, 1, 0]), ("round", "long"), pixel_scores=pixels)


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (Limits(), [1, 2, 3, 4, 5]),
        (Limits(least_score=0.7), [4, 5]),
        (Limits(least_area=Area(4, "px")), [2, 3, 4, 5]),
        (Limits(most_area=Area(9, "px")), [1, 2, 3]),
        (Limits(0.3, Area(4, "px"), Area(16, "px")), [2, 3, 4]),
        (Limits(least_area=Area(1.0, "um2")), [2, 3, 4, 5]),
        (Limits(least_area=Area(2.25, "um2"), most_area=Area(4e-12, "m2")), [3, 4]),
        (Limits(least_area=Area(26, "px")), []),
    ],
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_entities_between_the_limits_are_kept(entities: EntityMap, limits: Limits, kept: list[int], in_memory) -> None:
    prediction = Prediction.of_map(entities, "a", Place("a.png", pixel_size_m=0.5e-6))
    prediction = prediction if in_memory else replace(prediction, entity_map=None)
    smaller = limits.applied(prediction)
    assert [measure.area_px for measure in smaller.measures()] == [number**2 for number in kept]
    expected = np.where(np.isin(entities.ids, [*kept, -1]), entities.ids, 0)
    for number, former in enumerate(kept, 1):
        expected[entities.ids == former] = number
    assert np.array_equal(smaller.read(Window(0, 0, *entities.shape)), expected)
    assert smaller.count == len(kept) and (smaller.entity_map is not None) == in_memory
    if in_memory:
        assert np.array_equal(smaller.whole_map.ids, expected)
        assert smaller.whole_map.pixel_scores is entities.pixel_scores


def test_an_area_on_the_ground_is_that_of_the_tables(entities: EntityMap) -> None:
    pytest.importorskip("pyproj")
    prediction = Prediction.of_map(entities, "a", Place("a.tif", georeference=UTM))
    assert [measure.area_px for measure in Limits(least_area=Area(850, "m2")).applied(prediction).measures()] == [
        9,
        16,
        25,
    ]
    most = Limits(most_area=Area(0.001, "km2")).applied(prediction)
    assert [measure.area_px for measure in most.measures()] == [1, 4, 9]


def test_a_unit_without_the_size_of_a_pixel_is_refused_in_one_line(entities: EntityMap) -> None:
    prediction = Prediction.of_map(entities, "a", Place("a.png"))
    for limits in (Limits(least_area=Area(3, "m2")), Limits(most_area=Area(3, "um2"))):
        with pytest.raises(InputError, match="does not say the size of a pixel; say it by --pixel-size") as error:
            limits.applied(prediction)
        assert "\n" not in str(error.value)
    assert Limits(least_area=Area(3, "px")).applied(prediction).count == 4


def test_a_limit_of_scores_wants_scores(entities: EntityMap) -> None:
    prediction = Prediction.of_map(EntityMap(entities.ids), "a", Place("a.png"))
    with pytest.raises(InputError, match="no scores, which --least-score wants"):
        Limits(least_score=0.5).applied(prediction)


def test_what_is_left_out_is_in_no_format(tmp_path: Path, entities: EntityMap) -> None:
    formats = [word for word in FORMATS if not word.endswith("gpkg") and word != "parquet"]
    image = np.full((*entities.shape, 3), 100, np.uint8)
    place, limits = Place("a.png", pixel_size_m=10e-6), Limits(least_area=Area(9, "px"))
    with open_exports(formats, Destination(tmp_path, limits=limits), ["a"]) as exports:
        exports.stream(Prediction.of_map(entities, "a", place, image))
    ids = np.where(entities.ids > 2, entities.ids - 2, np.minimum(entities.ids, 0))
    assert np.array_equal(tifffile.imread(tmp_path / "a.labels.tif"), ids)
    assert np.array_equal(open_scene(tmp_path / "a.labels.zarr").read(0, 0, *ids.shape)[..., 0], ids.clip(0))
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [feature["properties"]["area_px"] for feature in features] == [9, 16, 25]
    coco = json.loads((tmp_path / "predictions.coco.json").read_text())
    assert [(entry["area"], entry["score"]) for entry in coco["annotations"]] == [(9, 0.5), (16, 0.7), (25, 0.9)]
    with (tmp_path / "entities.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["1", "2", "3"] and [row[AREAS[0]] for row in rows][0] == "900.0"
    with (tmp_path / "images.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["entities"] == "3"
    cells = tifffile.imread(tmp_path / "a.density.tif")
    assert np.count_nonzero(cells) == 3  # each in a cell of 10 px by itself
    shown = np.asarray(Image.open(tmp_path / "a.overlay.png"))
    assert (shown[np.isin(entities.ids, [1, 2])] == 100).all() and (shown[entities.ids == 3] != 100).any()
