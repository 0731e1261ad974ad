"""What tables say of an entity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from domains.entities import EntityMap


class Measure(NamedTuple):
    """One entity. Box: pixels y..y + height - 1, x..x + width - 1. Centroid: mean pixel index, as in scikit-image."""

    id: int
    area_px: int
    y: int
    x: int
    height: int
    width: int
    centroid_y: float
    centroid_x: float
    score: float | None
    label: str | None

    @property
    def box(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def measure(entities: EntityMap) -> list[Measure]:
    """Every entity that has pixels, by id."""
    y, x = np.nonzero(entities.foreground)
    ids = entities.ids[y, x]
    areas = entities.areas
    with np.errstate(invalid="ignore"):  # ids without pixels; they have no box either
        centroid_y, centroid_x = (np.bincount(ids, weights=axis)[1:] / areas for axis in (y, x))
    measures = []
    for i, box in enumerate(ndimage.find_objects(np.maximum(entities.ids, 0))):
        if box is None:
            continue
        rows, columns = box
        measures.append(
            Measure(
                id=i + 1,
                area_px=int(areas[i]),
                y=rows.start,
                x=columns.start,
                height=rows.stop - rows.start,
                width=columns.stop - columns.start,
                centroid_y=round(float(centroid_y[i]), 2),
                centroid_x=round(float(centroid_x[i]), 2),
                score=None if entities.scores is None else round(float(entities.scores[i]), 6),
                label=None if entities.labels is None else entities.vocabulary[entities.labels[i]],
            )
        )
    return measures
