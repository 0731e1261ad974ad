"""GeoJSON (RFC 7946) in pixel coordinates.

Coordinates are (x, y) with 0, 0 at the outer corner of the image's first pixel and y downward: QuPath's own frame
(https://qupath.readthedocs.io, Exporting annotations), where RFC 7946 would have longitude and latitude.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.exports.described import Described
from domains.exports.destination import Destination
from domains.exports.measures import Measure, measure
from domains.exports.outlines import Polygon, outlines

if TYPE_CHECKING:
    from domains.predictions.prediction import Prediction

GZIP_FROM = 20_000  # entities: some 15 MB of text


@dataclass(frozen=True)
class GeoJson:
    """`<name>.geojson`: one Feature per entity, outlines exact to the pixel edge, holes kept.

    Streamed and of more than `GZIP_FROM` entities it is `<name>.geojson.gz`, which QuPath opens too (PathIO.java).
    """

    destination: Destination

    def file(self, name: str) -> str:
        return f"{name}.geojson"

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        describe = self.destination.describe
        known = describe(prediction.ids, image, place.pixel_size_m) if describe else {}
        entities = ((*entity, 1) for entity in _entities(prediction))
        self._write(self.file(name), entities, lambda entity: known.get(entity.id, {}))

    def stream(self, name: str, prediction: Prediction, place: Place) -> None:
        """Entities of very large boxes have the property `outline_px`: their outline follows pixels of that size."""
        ending = ".gz" if prediction.count > GZIP_FROM else ""
        about = Described(prediction, self.destination.describe, place.pixel_size_m)
        self._write(self.file(name) + ending, prediction.outlined(), about)

    def _write(
        self,
        filename: str,
        entities: Iterable[tuple[Measure, list[Polygon], int]],
        described: Callable[[Measure], dict[str, float]],
    ) -> None:
        properties = {"plain": _plain, "qupath": _qupath}[self.destination.flavour]
        with (
            atomic_path(self.destination.path(filename)) as path,
            gzip.open(path, "wt", 6, "utf-8") if filename.endswith(".gz") else path.open("w", encoding="utf-8") as file,
        ):
            file.write('{"type": "FeatureCollection", "features": [')
            separator = "\n"
            for entity, polygons, step in entities:
                coarse = {"outline_px": step} if step > 1 else {}
                about = {**properties(entity, described(entity)), **coarse}
                feature = {"type": "Feature", "geometry": _geometry(polygons), "properties": about}
                file.write(separator + json.dumps(feature))
                separator = ",\n"
            file.write("\n]}\n")

    def close(self) -> None:
        """All is written."""


def _entities(prediction: EntityMap) -> Iterator[tuple[Measure, list[Polygon]]]:
    """Both are by id."""
    for entity, (_, polygons) in zip(measure(prediction), outlines(prediction.ids), strict=True):
        yield entity, polygons


def _geometry(polygons: list[Polygon]) -> dict[str, Any]:
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _plain(entity: Measure, described: dict[str, float]) -> dict[str, Any]:
    """id and area_px; score, label and further measurements where known."""
    values = {"id": entity.id, "score": entity.score, "area_px": entity.area_px, "label": entity.label}
    return {key: value for key, value in {**values, **described}.items() if value is not None}


def _qupath(entity: Measure, described: dict[str, float]) -> dict[str, Any]:
    """The same as QuPath reads it (QuPathTypeAdapters.java, since 0.4); it passes over keys that it doesn't know."""
    measurements: dict[str, float] = {"Area px^2": entity.area_px}
    if entity.score is not None:
        measurements["Score"] = entity.score
    measurements |= described
    properties = {**_plain(entity, {}), "objectType": "detection", "measurements": measurements}
    if entity.label is not None:
        properties["classification"] = {"name": entity.label}
    return properties
