"""Visible truth: what is too small to see is no entity, and numbers are dense."""

from __future__ import annotations

import cv2
import numpy as np

from domains.entities import EntityMap

MIN_AREA_PX = 6


def visible_truth(ids: np.ndarray, full: bool = False) -> np.ndarray:
    """(H, W) int32, dense 1..N, without entities of fewer than `MIN_AREA_PX` pixels.

    full: every pixel belongs to an entity, so those of a removed one go to a neighbour; else they become 0.
    """
    areas = np.bincount(ids.ravel())
    kept = areas >= MIN_AREA_PX
    kept[0] = False
    dense = np.where(kept, np.cumsum(kept), 0).astype(np.int32)[ids]
    while full and kept.any() and not dense.all():
        grown = cv2.dilate(dense.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
        dense = np.where(dense == 0, grown, dense)
    return dense


def visible_nodes(ids: np.ndarray, parents: np.ndarray) -> EntityMap:
    """The entities of leaves (H, W) with their parents, numbered 1..N. parents: (M,), each less than its child, 0 none.

    What shows fewer than `MIN_AREA_PX` pixels of its own beside its children becomes its parent's, or no entity's.
    """
    ids, areas = ids.copy(), np.bincount(ids.ravel(), minlength=len(parents) + 1)
    for number in range(len(parents), 0, -1):
        if 0 < areas[number] < MIN_AREA_PX:
            parent = int(parents[number - 1])
            ids[ids == number] = parent
            areas[parent] += areas[number]
    rows = parents[: int(ids.max(initial=0))]
    return EntityMap(ids, parents=rows).renumbered()
