"""A GeoPackage (OGC 12-128) in the CRS of the raster, through pyogrio, an optional extra."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from domains.entities.measures import Measure
from domains.entities.outlines import Polygon
from domains.errors import InputError
from domains.exports.areas import area_m2
from domains.exports.destination import Destination
from domains.exports.simplify import as_shape
from domains.scenes.georeference import Georeference
from domains.scenes.ground import Ground, require
from domains.tiling.prediction import Prediction

LAYER = "entities"
BATCH = 5000  # entities that are held before they are written


@dataclass(frozen=True)
class GeoPackage:
    """`<name>.gpkg`: a layer `entities` of MultiPolygons with id, score, label, area_px and area_m2.

    Raises InputError at once where an extra is missing, and for a scene without georeference.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require("pyogrio", "shapely", "pyproj", subject="output format 'gpkg'")

    def files(self, name: str) -> tuple[str, ...]:
        """The GeoPackage of an image."""
        return (f"{name}.gpkg",)

    def stream(self, prediction: Prediction) -> None:
        """Write a scene's entities in batches. Raises InputError."""
        georeference = prediction.place.georeference
        if georeference is None:
            raise InputError(
                f"{prediction.place.scene!r} does not say where it lies, and a GeoPackage wants that; write --format "
                "geojson"
            )
        ground, remaining = Ground(georeference), self._outlined(prediction)
        with self.destination.writing(*self.files(prediction.name)) as path:
            batch, started = list(islice(remaining, BATCH)), False
            while batch or not started:
                rows = [self._row(*entity, georeference, ground) for entity in batch]
                shapes, entities, areas = zip(*rows, strict=True) if rows else ((), (), ())
                append(path, shapes, self._columns(entities, areas, prediction), georeference.crs, started)
                batch, started = list(islice(remaining, BATCH)), True

    def _row(
        self, entity: Measure, polygons: list[Polygon], step: int, georeference: Georeference, ground: Ground
    ) -> tuple[bytes, Measure, float]:
        import shapely

        shape = as_shape(self.destination.drawn(polygons, step, True))
        return shapely.to_wkb(shapely.transform(shape, georeference.to_map)), entity, area_m2(entity, ground)

    def _outlined(self, prediction: Prediction) -> Iterator[tuple[Measure, list[Polygon], int]]:
        return prediction.outlined()

    def _columns(
        self, entities: Sequence[Measure], areas: Sequence[float], prediction: Prediction
    ) -> dict[str, np.ndarray]:
        labelled = {"label_score": np.array([entity.label_score for entity in entities], float)}
        persistent = {"persistent_id": np.array([entity.persistent_id or 0 for entity in entities], np.int64)}
        return {
            "id": np.array([entity.id for entity in entities], np.int64),
            "score": np.array([np.nan if entity.score is None else entity.score for entity in entities], float),
            "label": np.array([entity.label or "" for entity in entities], object),
            **(labelled if prediction.classes else {}),
            **(persistent if prediction.entities.persistent_ids is not None else {}),
            "area_px": np.array([entity.area_px for entity in entities], np.int64),
            "area_m2": np.array(areas, float),
        }

    def close(self) -> None:
        """All is written."""


def append(path: Path, shapes: Sequence[bytes], columns: Mapping[str, np.ndarray], crs: str, started: bool) -> None:
    """Rows of WKB and of named columns to the end of the layer, which the first call makes. Raises InputError."""
    from pyogrio import raw
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided")
            raw.write(
                path, np.array(shapes, object), list(columns.values()), list(columns), layer=LAYER, driver="GPKG",
                geometry_type="MultiPolygon", crs=crs, append=started,
            )  # fmt: skip
    except (DataSourceError, DataLayerError) as error:
        raise InputError(f"cannot write {str(path)!r}: {error}; is the disk full?") from error
