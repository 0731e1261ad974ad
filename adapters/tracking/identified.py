"""The entities of an image by a registry: which were seen before, in another tile, clip or session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from adapters.tracking.looks import looks_of
from adapters.tracking.recognising import View
from adapters.tracking.visit import Visit
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction

BLOCK_PX = 1024
"""Entities of so large a block are recognised together, so that memory does not grow with a slide."""
BESIDE_PX = 512
"""What is seen of entities beyond their block; their thumbnails mirror what is further off."""


def identified(prediction: Prediction, visit: Visit) -> Prediction:
    """The prediction with a persistent id of each entity; those that were not seen before have new ones, which are in
    the registry by then. The prediction has its image.
    """
    ids = np.zeros(prediction.count, np.int64)
    for rows, view in views_of(prediction):

        def mask(row: int, rows: np.ndarray = rows) -> np.ndarray:
            return mask_of(prediction, int(rows[row]))

        ids[rows] = visit.ids(view, barred=ids[ids > 0].tolist(), mask=mask)
    return replace(prediction, entities=prediction.entities._replace(persistent_ids=ids))


def views_of(prediction: Prediction) -> Iterator[tuple[np.ndarray, View]]:
    """(rows of the table, how they lie and look) of each block that holds the centre of any entity."""
    table, image, (height, width) = prediction.entities, prediction.image, prediction.shape
    assert image is not None
    centres = np.stack([table.centroid_y, table.centroid_x], 1).astype(float)
    blocks = (centres // BLOCK_PX).astype(np.int64) @ (width // BLOCK_PX + 1, 1)
    order = np.argsort(blocks, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1):
        if not len(rows):
            continue
        start = np.maximum(centres[rows[0]] // BLOCK_PX * BLOCK_PX - BESIDE_PX, 0).astype(int)
        end = np.minimum(start + BLOCK_PX + 2 * BESIDE_PX, (height, width)).astype(int)
        areas = table.area_px[rows].astype(float)
        window = Window(int(start[0]), int(start[1]), *(int(side) for side in end - start))
        looks = looks_of(image(window), prediction.read(window), rows + 1, centres[rows] - start, areas)
        yield rows, View(looks, centres[rows], areas)


def mask_of(prediction: Prediction, row: int) -> np.ndarray:
    """(h, w) bool: an entity in its box, of one that is larger than a block what lies in its first one."""
    table = prediction.entities
    y, x = int(table.y0[row]), int(table.x0[row])
    height, width = (min(int(end[row]) - start, BLOCK_PX) for end, start in ((table.y1, y), (table.x1, x)))
    return prediction.read(Window(y, x, height, width)) == row + 1
