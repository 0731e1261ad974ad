"""How well contours of entities agree: the F of DAVIS (Perazzi et al., CVPR 2016, section 5.1), for all near pairs.

As in davis2017-evaluation: a contour pixel has a right, lower or lower right neighbour on the other side; it is right
where a contour pixel of the other mask lies within a disk of 0.8 % of the picture's diagonal, rounded up.
"""

from __future__ import annotations

import cv2
import numpy as np

TOLERANCE = 0.008
"""Radius of the disk as a share of the picture's diagonal."""


def contour_agreement(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(A,) indices from 0 of predicted and true entities, and the F of their contours in (0, 1]; others have 0.

    predicted, true: (H, W) maps numbered 1..N.
    """
    radius_px = int(np.ceil(TOLERANCE * np.hypot(*true.shape)))
    predictions, truths = (contours_of(ids, radius_px) for ids in (predicted, true))
    rows = []
    for i, (box, contour, near) in enumerate(predictions):
        for j, (true_box, true_contour, true_near) in enumerate(truths):
            top, x = max(box[0], true_box[0]), max(box[1], true_box[1])
            bottom, right = min(box[2], true_box[2]), min(box[3], true_box[3])
            if top >= bottom or x >= right:
                continue
            window = slice(top - box[0], bottom - box[0]), slice(x - box[1], right - box[1])
            true_window = slice(top - true_box[0], bottom - true_box[0]), slice(x - true_box[1], right - true_box[1])
            counts = np.count_nonzero(contour), np.count_nonzero(true_contour)
            if not all(counts):  # an entity that fills the picture has no contour
                f = float(counts[0] == counts[1])
            else:
                precision = np.count_nonzero(contour[window] & true_near[true_window]) / counts[0]
                recall = np.count_nonzero(true_contour[true_window] & near[window]) / counts[1]
                f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            if f:
                rows.append((i, j, f))
    table = np.array(rows, float).reshape(-1, 3)
    return table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2]


def contours_of(ids: np.ndarray, radius_px: int) -> list[tuple[tuple[int, int, int, int], np.ndarray, np.ndarray]]:
    """For each entity 1..N its box (top, left, bottom, right) with room for the disk, and in it the contour and all
    that is near to it, as (h, w) bool.
    """
    count = int(ids.max(initial=0))
    disk = disk_of(radius_px)
    result = []
    for number, (top, x, bottom, right) in zip(range(1, count + 1), boxes_of(ids, count), strict=True):
        top, x = max(top - radius_px - 1, 0), max(x - radius_px - 1, 0)
        bottom, right = min(bottom + radius_px + 1, ids.shape[0]), min(right + radius_px + 1, ids.shape[1])
        contour = contour_of(ids[top:bottom, x:right] == number)
        result.append(((top, x, bottom, right), contour, cv2.dilate(contour.astype(np.uint8), disk) > 0))
    return result


def contour_of(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels whose right, lower or lower right neighbour is on the other side; outside is no side."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])


def disk_of(radius_px: int) -> np.ndarray:
    """(2 r + 1, 2 r + 1) uint8: 1 within the radius."""
    reach = np.arange(-radius_px, radius_px + 1)
    return (reach[:, None] ** 2 + reach**2 <= radius_px**2).astype(np.uint8)


def boxes_of(ids: np.ndarray, count: int) -> np.ndarray:
    """(N, 4) int of top, left, bottom, right (exclusive) of the entities 1..N, all of which have a pixel."""
    rows, columns = np.nonzero(ids)
    numbers = ids[rows, columns] - 1
    boxes = np.zeros((count, 4), int)
    boxes[:, :2] = max(ids.shape)
    for axis, places in enumerate((rows, columns)):
        np.minimum.at(boxes[:, axis], numbers, places)
        np.maximum.at(boxes[:, axis + 2], numbers, places + 1)
    return boxes
