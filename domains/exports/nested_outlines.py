"""All nested entities of a scene as outlines and masks: wholes first, each with the node that holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from domains.entities.forest import LEVELS
from domains.entities.measures import Measure
from domains.entities.outlines import Polygon
from domains.exports.coco import UNNAMED, annotation
from domains.exports.destination import Destination
from domains.exports.forest_files import forest_of
from domains.exports.geojson import GeoJson
from domains.exports.geopackage import GeoPackage
from domains.tiling.forest_cut import layers
from domains.tiling.prediction import Prediction


class NestedGeoJson(GeoJson):
    """`<name>.forest.geojson`: `GeoJson` of every node, with `parent_id`, 0 for none, `granularity` and `level`.

    QuPath finds out what lies in what by itself (Resolve hierarchy); only annotations hold others there, so nodes with
    others in them are annotations, unlocked, and the rest detections.
    """

    def files(self, name: str) -> tuple[str, ...]:
        """The file of few nodes, and that of many."""
        return f"{name}.forest.geojson", f"{name}.forest.geojson.gz"

    def _count(self, prediction: Prediction) -> int:
        return forest_of(prediction).nodes.count

    def _features(self, prediction: Prediction) -> Iterator[dict[str, Any]]:
        forest = forest_of(prediction)
        for numbers, layer in placed_layers(prediction):
            for feature in super()._features(layer):
                about = feature["properties"]
                node = about["id"] = int(numbers[about["id"] - 1])
                about |= relations(forest.nodes.parents[node - 1], forest.nodes.g[node - 1])
                about["level"] = LEVELS[min(int(forest.nodes.depths[node - 1]), len(LEVELS) - 1)]
                if "objectType" in about:
                    about["measurements"]["Granularity"] = about["granularity"]
                    if forest.nodes.has_children[node - 1]:
                        about |= {"objectType": "annotation", "isLocked": False}
                yield feature


class NestedGeoPackage(GeoPackage):
    """`<name>.forest.gpkg`: `GeoPackage` of every node, with columns `parent`, 0 for none, and `granularity`."""

    def files(self, name: str) -> tuple[str, ...]:
        """The GeoPackage of an image."""
        return (f"{name}.forest.gpkg",)

    def _outlined(self, prediction: Prediction) -> Iterator[tuple[Measure, list[Polygon], int]]:
        for numbers, layer in placed_layers(prediction):
            for entity, polygons, step in layer.outlined():
                yield entity._replace(id=int(numbers[entity.id - 1])), polygons, step

    def _columns(
        self, entities: Sequence[Measure], areas: Sequence[float], prediction: Prediction
    ) -> dict[str, np.ndarray]:
        nodes = forest_of(prediction).nodes
        index = np.array([entity.id - 1 for entity in entities], np.int64)
        columns = {"parent": nodes.parents[index].astype(np.int64), "granularity": nodes.g[index].astype(float)}
        return super()._columns(entities, areas, prediction) | columns


@dataclass(frozen=True)
class NestedCoco:
    """`<name>.forest.coco.json`: a COCO file of one image, an annotation for every node under its number, with
    `parent_id`, 0 for none, and `granularity`. Annotations of nodes in one another overlap.
    """

    destination: Destination
    any_size: ClassVar[bool] = False

    def files(self, name: str) -> tuple[str, ...]:
        """The file of an image."""
        return (f"{name}.forest.coco.json",)

    def stream(self, prediction: Prediction) -> None:
        """Write the nodes of an image."""
        height, width = prediction.shape
        image = {"id": 1, "file_name": prediction.place.scene, "height": height, "width": width}
        about = {
            "images": [image],
            "categories": [{"id": 1, "name": UNNAMED}],
            "annotations": [*self._annotations(prediction)],
        }
        with self.destination.writing(*self.files(prediction.name)) as path:
            path.write_text(json.dumps(about), encoding="utf-8")

    def _annotations(self, prediction: Prediction) -> Iterator[dict[str, Any]]:
        nodes = forest_of(prediction).nodes
        for numbers, layer in placed_layers(prediction):
            for entity in layer.measures():
                node = int(numbers[entity.id - 1])
                _, values = annotation(entity, layer.whole_map.ids)
                related = relations(nodes.parents[node - 1], nodes.g[node - 1])
                yield {"id": node, "image_id": 1, "category_id": 1, **values, **related}

    def close(self) -> None:
        """All is written."""


def placed_layers(prediction: Prediction) -> Iterator[tuple[np.ndarray, Prediction]]:
    """`layers` of the forest of a prediction, with its image and its place."""
    for numbers, layer in layers(forest_of(prediction)):
        yield numbers, replace(layer, name=prediction.name, place=prediction.place, image=prediction.image)


def relations(parent: int, granularity: float) -> dict[str, Any]:
    """What outlines say of a node beside themselves."""
    return {"parent_id": int(parent), "granularity": float(str(granularity))}
