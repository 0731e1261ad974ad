"""What tables say of an entity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from domains.entities import EntityMap

STRIP_PX = 2**20


class Measure(NamedTuple):
    """One entity. Box: pixels y..y + height - 1, x..x + width - 1. Centroid: mean pixel index, as in scikit-image.

    label_score: in [0, 1], how likely the label is; None where nobody said. persistent_id: of a registry that knows
    the same entity elsewhere; None without one.
    """

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
    label_score: float | None = None
    persistent_id: int | None = None

    @property
    def box(self) -> tuple[slice, slice]:
        """(rows, columns) of the box as slices."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def measure(entities: EntityMap) -> list[Measure]:
    """Every entity that has pixels, by id."""
    areas, sum_y, sum_x = _sums(entities.ids, entities.count)
    with np.errstate(invalid="ignore"):  # ids without pixels; they have no box either
        centroid_y, centroid_x = sum_y / areas, sum_x / areas
    measures = []
    for i, box in enumerate(ndimage.find_objects(entities.ids)):  # looks at ids from 1 on
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
                label=_name(entities, i),
            )
        )
    return measures


def _name(entities: EntityMap, i: int) -> str | None:
    """The class of row i, None where it has none."""
    return None if entities.labels is None or entities.labels[i] < 0 else entities.vocabulary[entities.labels[i]]


def _sums(ids: np.ndarray, count: int) -> np.ndarray:
    """(3, N) float64 pixels of every entity and sums of their y and x; by strips, as indices outgrow the map."""
    sums = np.zeros((3, count + 1))
    rows = max(1, STRIP_PX // ids.shape[1])
    for top in range(0, len(ids), rows):
        y, x = np.nonzero(ids[top : top + rows] > 0)
        number = ids[top : top + rows][y, x]
        for total, weights in zip(sums, (None, y + top, x), strict=True):
            total += np.bincount(number, weights, minlength=count + 1)
    return sums[:, 1:]
