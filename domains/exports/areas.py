"""Areas of entities in the units of their scene: the one place that says which."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from domains.entities import Place
from domains.entities.measures import Measure
from domains.scenes.ground import Ground, ground_of
from domains.scenes.pixel_size import unit_of

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


def area_m2(entity: Measure, ground: Ground) -> float:
    """Its pixels on the ellipsoid, each as large as the one at its centroid."""
    pixel = ground.pixel_area_m2(np.array([[entity.centroid_x + 0.5, entity.centroid_y + 0.5]]))[0]
    return float(f"{entity.area_px * pixel:.7g}")
