"""Areas of entities in the units of their scene: the one place that says which."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from domains.entities import Place
from domains.entities.measures import Measure
from domains.scenes.ground import Ground, ground_of
from domains.scenes.pixel_size import unit_of
from domains.tiling.prediction import Prediction

AREAS = ("area_um2", "area_m2")


def areas(place: Place) -> Callable[[Measure], dict[str, float]]:
    """Of an entity `{"area_um2": 51.25}`, or `{"area_m2": 1200.0}` where a pixel is a millimetre or more or the scene
    lies on the ground; {} where the size of a pixel is unknown.
    """
    ground, size = ground_of(place.georeference), place.pixel_size_m
    if ground is not None:
        return lambda entity: {"area_m2": area_m2(entity, ground)}
    if size is None:
        return lambda entity: {}
    unit, side = ("area_um2", size * 1e6) if unit_of(size) == "um" else ("area_m2", size)
    return lambda entity: {unit: float(f"{entity.area_px * side**2:.7g}")}


def areas_m2(prediction: Prediction) -> np.ndarray:
    """(N,) square metres of every entity: on the ellipsoid where the scene lies on the ground, else by the size of a
    pixel, which has to be known.
    """
    table, ground, size = prediction.entities, ground_of(prediction.place.georeference), prediction.place.pixel_size_m
    if ground is not None and prediction.count:
        centroids = np.stack([table.centroid_x, table.centroid_y], axis=1)
        return table.area_px * ground.pixel_area_m2(centroids + 0.5)
    return table.area_px * (size or 0.0) ** 2


def area_m2(entity: Measure, ground: Ground) -> float:
    """Its pixels on the ellipsoid, each as large as the one at its centroid."""
    pixel = ground.pixel_area_m2(np.array([[entity.centroid_x + 0.5, entity.centroid_y + 0.5]]))[0]
    return float(f"{entity.area_px * pixel:.7g}")
