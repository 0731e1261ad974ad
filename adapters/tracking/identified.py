"""Entities of images and clips by a registry: which were seen before, in another tile, clip or session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from adapters.tracking.looks import looks_of
from adapters.tracking.recognising import View
from adapters.tracking.visit import Visit
from domains.tiling.clip_journal import TrackedFrame
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
        picture = image(Window(int(start[0]), int(start[1]), *(int(side) for side in end - start)))
        yield rows, View(looks_of(picture, centres[rows] - start, areas), centres[rows], areas)


def mask_of(prediction: Prediction, row: int) -> np.ndarray:
    """(h, w) bool: an entity in its box, of one that is larger than a block what lies in its first one."""
    table = prediction.entities
    y, x = int(table.y0[row]), int(table.x0[row])
    height, width = (min(int(end[row]) - start, BLOCK_PX) for end, start in ((table.y1, y), (table.x1, x)))
    return prediction.read(Window(y, x, height, width)) == row + 1


def identified_tracks(frames: Iterable[TrackedFrame], images: Iterable[np.ndarray], visit: Visit) -> dict[int, int]:
    """The persistent id of each track of a clip, by its first frames.

    frames: all of them, in order; images: (H, W, 3) uint8 of the same. A track that is seen for the first time is held
    against what the registry knows, and what is not in view has its id free: so an entity that a tracker lost may come
    back by the id that it had.
    """
    persistent: dict[int, int] = {}
    for frame, image in zip(frames, images, strict=False):  # a picture more, of a frame that could not be predicted
        tracks = np.unique(frame.ids[frame.ids > 0])
        named = np.array([persistent.get(int(track), 0) for track in tracks], np.int64)
        if not len(tracks) or ((named > 0).all() and not visit.is_due(frame.tick)):
            continue
        dense = np.where(frame.ids > 0, np.searchsorted(tracks, frame.ids) + 1, 0).astype(np.int32)
        boxes = ndimage.find_objects(dense)
        areas = np.bincount(dense.ravel(), minlength=len(tracks) + 1)[1:].astype(float)
        centres = np.array(ndimage.center_of_mass(dense > 0, dense, np.arange(1, len(tracks) + 1)))

        def mask(row: int, dense: np.ndarray = dense, boxes: Sequence[tuple[slice, ...]] = boxes) -> np.ndarray:
            return dense[boxes[row]] == row + 1

        ids = visit.ids(View(looks_of(image, centres, areas), centres, areas), frame.tick, named, mask=mask)
        persistent.update(zip(tracks.tolist(), ids.tolist(), strict=True))
    return persistent
