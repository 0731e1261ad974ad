"""What overlaps what in one frame of a clip: a predicted map of track ids held against a true one, as a sparse table.

Every metric of clips is computed from these tables, so a clip is read once, frame by frame, and no map is kept: a frame
takes some 40 bytes for each pair of entities that share a pixel, however large its pictures are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from domains.entities import UNLABELLED
from domains.errors import InputError
from domains.metrics.contour_agreement import contour_agreement


class Agreement(NamedTuple):
    """F of the contours (A,) in [0, 1] of predicted and true entities, by their indices (A,); pairs left out have 0."""

    predicted: np.ndarray
    true: np.ndarray
    f: np.ndarray


@dataclass(frozen=True, eq=False)
class FrameOverlap:
    """One frame: P predicted and T true entities are in it, K pairs of them overlap.

    predicted, true: (P,), (T,) ids of their tracks, ascending.
    predicted_areas, true_areas: (P,), (T,) pixels where the truth is labelled.
    pair_predicted, pair_true: (K,) indices of entities, from 0; shared: (K,) pixels that the two have in common.
    contours: None where nobody asked for them.
    """

    predicted: np.ndarray
    true: np.ndarray
    predicted_areas: np.ndarray
    true_areas: np.ndarray
    pair_predicted: np.ndarray
    pair_true: np.ndarray
    shared: np.ndarray
    contours: Agreement | None = None

    @cached_property
    def iou(self) -> np.ndarray:
        """(K,) intersection over union of each pair, in (0, 1]."""
        union = self.predicted_areas[self.pair_predicted] + self.true_areas[self.pair_true] - self.shared
        return self.shared / union


def overlap_of(predicted: np.ndarray, true: np.ndarray, contours: bool = False) -> FrameOverlap | None:
    """The table of two maps (H, W) of track ids, 0 for none and -1 in the truth for unlabelled.

    Predicted entities are cut at unlabelled pixels, and dropped from the frame where more than half of their pixels are
    such. None for a frame without any label: nobody said what is in it. contours: tells those, for J&F.
    Raises InputError for maps of two sizes.
    """
    if predicted.shape != true.shape or predicted.ndim != 2:
        raise InputError(
            f"a predicted frame of shape {predicted.shape!r} cannot be held against a true one of shape "
            f"{true.shape!r}; predict at the size of the clip"
        )
    labelled = true != UNLABELLED
    if not labelled.any():
        return None
    predicted_ids, predicted_map = np.unique(np.where(labelled, predicted, 0).clip(0), return_inverse=True)
    predicted_ids, predicted_map = without_zero(predicted_ids, predicted_map.reshape(true.shape))
    true_ids, true_map = np.unique(true.clip(0), return_inverse=True)
    true_ids, true_map = without_zero(true_ids, true_map.reshape(true.shape))
    if not labelled.all():
        areas = np.bincount(np.searchsorted(predicted_ids, predicted[np.isin(predicted, predicted_ids)]))
        visible = np.bincount(predicted_map.ravel(), minlength=len(predicted_ids) + 1)[1:]
        kept = 2 * visible >= areas
        table = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)])
        predicted_ids, predicted_map = predicted_ids[kept], table[predicted_map]
    width = len(true_ids) + 1
    codes = predicted_map.ravel() * width + true_map.ravel()
    size = width * (len(predicted_ids) + 1)
    if size <= codes.size:
        counts = np.bincount(codes, minlength=size)
        present = np.flatnonzero(counts)
        counts = counts[present]
    else:  # thousands of entities: a dense table would be larger than the maps
        present, counts = np.unique(codes, return_counts=True)
    rows, columns = present // width, present % width
    overlapping = (rows > 0) & (columns > 0)
    return FrameOverlap(
        predicted_ids,
        true_ids,
        np.bincount(rows, counts, len(predicted_ids) + 1)[1:].astype(np.int64),
        np.bincount(columns, counts, len(true_ids) + 1)[1:].astype(np.int64),
        pair_predicted=rows[overlapping] - 1,
        pair_true=columns[overlapping] - 1,
        shared=counts[overlapping].astype(np.int64),
        contours=Agreement(*contour_agreement(predicted_map, true_map)) if contours else None,
    )


def without_zero(ids: np.ndarray, dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) ids above 0, ascending, and the map with their places in it from 1; 0 stays 0. dense: places from 0."""
    return (ids[1:], dense) if len(ids) and ids[0] == 0 else (ids, dense + 1)
