"""Visible truth: what is too small to see is no entity, and numbers are dense."""

from __future__ import annotations

import cv2
import numpy as np

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
