"""All nodes as outlines and masks: parents come before what lies in them, and say so."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from pycocotools.coco import COCO

from domains.entities import Place
from domains.exports import Destination, open_exports
from domains.scenes.georeference import Georeference
from domains.tiling.prediction import Prediction
from domains.tiling.running import gathered
from domains.tiling.scene_forest import SceneForest
from tests.domains.tiling.test_nesting import at_odds, in_folders, together

GROUND = Georeference("EPSG:32633", (0.5, 0, 400_000, 0, -0.5, 5_000_000))


def written(folder: Path, prediction: Prediction, word: str, place: Place, **options: Any) -> SceneForest:
    with open_exports([word], Destination(folder, **options), ["a"]) as exports:
        exports.stream(replace(prediction, name="a", place=place))
    assert prediction.forest is not None
    return prediction.forest


def pixels_of(forest: SceneForest, node: int) -> np.ndarray:
    """(H, W) bool: all that lies in a node."""
    trees = forest.entity_forest
    held = [i for i in range(1, trees.count + 1) if node in [i, *trees.ancestors(i)]]
    return np.isin(trees.leaves, held)


@pytest.mark.parametrize("flavour", ["plain", "qupath"])
def test_geojson_has_every_node_after_the_one_that_holds_it(tmp_path: Path, flavour: str) -> None:
    prediction = together(at_odds(4))
    forest = written(tmp_path, prediction, "forest-geojson", Place("a.png"), flavour=flavour)
    features = json.loads((tmp_path / "a.forest.geojson").read_text())["features"]
    nodes = [feature["properties"]["id"] for feature in features]
    assert sorted(nodes) == [*range(1, forest.nodes.count + 1)]
    assert {feature["properties"]["level"] for feature in features} == {"whole", "part", "subpart"}
    y, x = np.mgrid[: forest.shape[0], : forest.shape[1]] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], 1)
    for feature in features:
        about = feature["properties"]
        node, parent = about["id"], about["parent_id"]
        assert parent == forest.nodes.parents[node - 1] and about["granularity"] == forest.nodes.g[node - 1]
        assert not parent or nodes.index(parent) < nodes.index(node)
        if flavour == "qupath":
            holds = bool(forest.nodes.has_children[node - 1])
            assert (about["objectType"], about.get("isLocked")) == (
                ("annotation", False) if holds else ("detection", None)
            )
            assert about["measurements"]["Granularity"] == about["granularity"]
    for feature in features[:3] + features[-3:]:
        polygons = feature["geometry"]["coordinates"]
        polygons = [polygons] if feature["geometry"]["type"] == "Polygon" else polygons
        inside = np.zeros(len(centres), bool)
        for polygon in polygons:
            for ring in polygon:
                inside ^= Outline(ring).contains_points(centres)
        assert np.array_equal(inside.reshape(forest.shape), pixels_of(forest, feature["properties"]["id"]))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_every_node_as_an_annotation(tmp_path: Path, capsys) -> None:
    forest = written(tmp_path, together(at_odds(4)), "forest-coco", Place("slides/a.png"))
    coco = COCO(str(tmp_path / "a.forest.coco.json"))
    assert len(coco.anns) == forest.nodes.count and coco.imgs[1]["file_name"] == "slides/a.png"
    for node in (1, forest.nodes.count // 2, forest.nodes.count):
        about = coco.anns[node]
        assert np.array_equal(coco.annToMask(about) > 0, pixels_of(forest, node))
        assert about["parent_id"] == forest.nodes.parents[node - 1]
        assert about["granularity"] == forest.nodes.g[node - 1] and about["area"] == forest.entities.area_px[node - 1]


@pytest.mark.skipif(find_spec("pyogrio") is None, reason="an extra")
def test_a_geopackage_has_a_column_of_parents(tmp_path: Path) -> None:
    from pyogrio import raw

    place = Place("town.tif", 0.5, georeference=GROUND)
    forest = written(tmp_path, together(at_odds(4)), "forest-gpkg", place)
    meta, _, shapes, columns = raw.read(tmp_path / "a.forest.gpkg")
    rows = dict(zip(meta["fields"], columns, strict=True))
    nodes = rows["id"]
    assert len(shapes) == forest.nodes.count and np.array_equal(rows["parent"], forest.nodes.parents[nodes - 1])
    assert np.array_equal(rows["granularity"].astype(np.float32), forest.nodes.g[nodes - 1])
    assert np.array_equal(rows["area_px"], forest.entities.area_px[nodes - 1])


def test_nodes_of_a_scene_that_does_not_fit_into_memory_are_the_same(tmp_path: Path) -> None:
    tiles, features = at_odds(3), []
    for name, prediction in (("held", together(tiles)), ("streamed", gathered(in_folders(tmp_path / "run"), tiles))):
        written(tmp_path / name, prediction, "forest-geojson", Place("a.png"))
        features.append(json.loads((tmp_path / name / "a.forest.geojson").read_text())["features"])
    held, streamed = (sorted(nodes, key=lambda node: node["properties"]["id"]) for nodes in features)
    assert [node["properties"] for node in held] == [node["properties"] for node in streamed]
