"""GeoJSON: RFC 7946 where a scene lies on the ground, else in pixel coordinates.

On the ground: longitude and latitude on WGS 84, exteriors counterclockwise, areas in square metres.

In pixels: coordinates are (x, y) with 0, 0 at the outer corner of the image's first pixel and y downward: QuPath's own
frame (https://qupath.readthedocs.io, Exporting annotations), where RFC 7946 would have longitude and latitude.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from domains.entities.measures import Measure
from domains.entities.outlines import Polygon
from domains.entities.overlay import class_colours
from domains.exports.areas import areas
from domains.exports.described import Described
from domains.exports.destination import Destination
from domains.scenes.ground import Ground, ground_of
from domains.tiling.prediction import Prediction

DECIMALS = 9  # of a degree: 0.1 mm
GZIP_FROM = 20_000  # entities: some 15 MB of text


@dataclass(frozen=True)
class GeoJson:
    """`<name>.geojson`: one Feature per entity, holes kept, outlines as `Destination.drawn` has them.

    Of more than `GZIP_FROM` entities it is `<name>.geojson.gz`, which QuPath opens too (PathIO.java). Entities of
    very large boxes, of a scene that does not fit into memory, have the property `outline_px`: their outline follows
    pixels of that size.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def files(self, name: str) -> tuple[str, ...]:
        """The file of few entities, and that of many."""
        return f"{name}.geojson", f"{name}.geojson.gz"

    def stream(self, prediction: Prediction) -> None:
        """Write a scene's entities one after the other."""
        filename = self.files(prediction.name)[self._count(prediction) > GZIP_FROM]
        with (
            self.destination.writing(filename) as path,
            gzip.open(path, "wt", 6, "utf-8") if filename.endswith(".gz") else path.open("w", encoding="utf-8") as file,
        ):
            file.write('{"type": "FeatureCollection", "features": [')
            separator = "\n"
            for feature in self._features(prediction):
                file.write(separator + json.dumps(feature))
                separator = ",\n"
            file.write("\n]}\n")

    def _count(self, prediction: Prediction) -> int:
        return prediction.count

    def _features(self, prediction: Prediction) -> Iterator[dict[str, Any]]:
        plain, place = self.destination.flavour == "plain", prediction.place
        properties, area_of = _plain if plain else _qupath, areas(place)
        ground = ground_of(place.georeference) if plain else None
        described = Described(prediction, self.destination.describe, place.pixel_size_m)
        colours = dict(zip(prediction.classes, class_colours(prediction.classes).tolist(), strict=True))
        for entity, polygons, step in prediction.outlined():
            polygons = self.destination.drawn(polygons, step, ground is not None)
            coarse = {"outline_px": step} if step > 1 else {}
            about = {**properties(entity, described(entity)), **coarse}
            if not plain and entity.label in colours:
                about["classification"] = {"name": entity.label, "color": colours[entity.label]}
            area = area_of(entity) if plain else {}
            if ground is not None or "area_m2" not in area:  # which tells readers that degrees follow
                about |= area
            if ground is not None:
                polygons = on_ground(polygons, ground)
            yield {"type": "Feature", "geometry": _geometry(polygons), "properties": about}

    def close(self) -> None:
        """All is written."""


def on_ground(polygons: list[Polygon], ground: Ground) -> list[Polygon]:
    """Pixels to degrees: exteriors counterclockwise, holes clockwise (RFC 7946, 3.1.6), rounded to a tenth of a mm.

    A polygon across 180 degrees is cut there (3.1.9) where shapely is installed.
    """
    return [
        polygon
        for rings in polygons
        for polygon in within_180([unrolled(ground.lonlat(np.asarray(ring)).round(DECIMALS)) for ring in rings])
    ]


def unrolled(ring: np.ndarray) -> np.ndarray:
    """A ring in degrees whose longitudes go on beyond 180 where its edges do."""
    turns = np.concatenate([[0], np.cumsum(-360 * np.round(np.diff(ring[:, 0]) / 360))])
    return np.column_stack([(ring[:, 0] + turns).round(DECIMALS), ring[:, 1]])


def within_180(rings: list[np.ndarray]) -> list[Polygon]:
    """A polygon, its exterior first, in as many parts as it has on either side of 180 degrees."""
    middle = rings[0][0, 0]
    rings = [ring + (360 * np.round((middle - ring[0, 0]) / 360), 0) for ring in rings]
    west, east = rings[0][:, 0].min(), rings[0][:, 0].max()
    if (west >= -180 and east <= 180) or find_spec("shapely") is None:
        return [[_turned(ring, i == 0).tolist() for i, ring in enumerate(rings)]]
    import shapely

    shape, polygons = shapely.make_valid(shapely.Polygon(rings[0], rings[1:])), []
    for turn in (-360, 0, 360):
        side = shapely.intersection(shape, shapely.box(turn - 180, -90, turn + 180, 90))
        for piece in shapely.get_parts(shapely.get_parts(side)):
            if piece.geom_type == "Polygon" and not piece.is_empty:
                outlines = (piece.exterior, *piece.interiors)
                borders = [shapely.get_coordinates(ring) - (turn, 0) for ring in outlines]
                borders = [_turned(border.round(DECIMALS), i == 0) for i, border in enumerate(borders)]
                polygons.append([border.tolist() for border in borders])
    return polygons


def _turned(ring: np.ndarray, counterclockwise: bool) -> np.ndarray:
    x, y = (ring - ring[0]).T
    area = np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])
    return ring if (area > 0) == counterclockwise else ring[::-1]


def _geometry(polygons: list[Polygon]) -> dict[str, Any]:
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _plain(entity: Measure, described: dict[str, float]) -> dict[str, Any]:
    """id and area_px; score, label and further measurements where known."""
    values = {"id": entity.id, "score": entity.score, "area_px": entity.area_px, "label": entity.label}
    values |= {"label_score": entity.label_score, "persistent_id": entity.persistent_id}
    return {key: value for key, value in {**values, **described}.items() if value is not None}


def _qupath(entity: Measure, described: dict[str, float]) -> dict[str, Any]:
    """What `_plain` gives, as QuPath reads it (QuPathTypeAdapters.java, since 0.4), which skips keys of others."""
    measurements: dict[str, float] = {"Area px^2": entity.area_px}
    if entity.score is not None:
        measurements["Score"] = entity.score
    measurements |= described
    properties = {**_plain(entity, {}), "objectType": "detection", "measurements": measurements}
    if entity.label is not None:
        properties["classification"] = {"name": entity.label}
    return properties
