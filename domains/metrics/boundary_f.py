"""Boundary F-measure: Martin, Fowlkes, Malik, TPAMI 26(5), 2004, https://doi.org/10.1109/TPAMI.2004.1273918, as the
BSDS500 benchmark pools it.

Departs from the BSDS500 code in the matching: there a bipartite assignment uses each boundary pixel once; here a
boundary pixel is right when any boundary pixel of the other map lies within the tolerance (as DAVIS does by dilation).
Doubled or thick boundaries are thus forgiven, so values are an upper bound of the BSDS500 numbers. Boundaries of maps
are one pixel wide, not thinned. With one map per image there is one threshold: this is what BSDS500 calls ODS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide


class BoundaryF(ImageMetric):
    """`boundary_f`: 2 P R / (P + R), pooled over images.

    P: the part of the predicted boundary pixels near a boundary of at least one annotator; R: the part of all
    annotators' boundary pixels near a predicted one. Near is within `tolerance` (a fraction of the image's diagonal).
    0 when one side has no boundary at all, nan when neither has.
    """

    def __init__(self, tolerance: float = 0.0075) -> None:
        super().__init__()
        self.tolerance = tolerance

    def row(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """(right predicted pixels, predicted pixels, recalled true pixels, true pixels)."""
        shape = comparisons[0].true.shape
        radius_px = self.tolerance * float(np.hypot(*shape))
        right, predicted = np.zeros(shape, bool), np.zeros(shape, bool)
        recalled = truth = 0
        for comparison in comparisons:
            prediction_edge = edges(comparison.predicted, comparison.labelled)
            truth_edge = edges(comparison.true, comparison.labelled)
            predicted |= prediction_edge
            right |= prediction_edge & near(truth_edge, radius_px)
            recalled += np.count_nonzero(truth_edge & near(prediction_edge, radius_px))
            truth += np.count_nonzero(truth_edge)
        return np.array([np.count_nonzero(right), np.count_nonzero(predicted), recalled, truth], float)

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The harmonic mean (R,) of precision and recall from pooled rows (4, R) of `row`."""
        right, predicted, recalled, truth = sums
        precision = np.nan_to_num(divide(right, predicted))
        recall = np.nan_to_num(divide(recalled, truth))
        f = np.nan_to_num(divide(2 * precision * recall, precision + recall))
        return np.where(predicted + truth > 0, f, np.nan)


def edges(ids: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """(H, W) bool: labelled pixels whose right or lower neighbour is labelled and has another id."""
    edge = np.zeros(ids.shape, bool)
    edge[:, :-1] |= (ids[:, :-1] != ids[:, 1:]) & labelled[:, :-1] & labelled[:, 1:]
    edge[:-1] |= (ids[:-1] != ids[1:]) & labelled[:-1] & labelled[1:]
    return edge


def near(mask: np.ndarray, radius_px: float) -> np.ndarray:
    """(H, W) bool: pixels within a Euclidean distance of the mask, itself included.

    A disk is a stack of horizontal runs, and a run is a difference of sums along the row: ten times faster than a
    distance transform for the few pixels of a tolerance.
    """
    height, width = mask.shape
    reach = int(radius_px)
    sums = np.zeros((height, width + 2 * reach + 1), np.int32)
    np.cumsum(np.pad(mask, ((0, 0), (reach, reach))), axis=1, out=sums[:, 1:])
    result = np.zeros(mask.shape, bool)
    for dy in range(min(reach, height - 1) + 1):
        half = int(np.sqrt(radius_px**2 - dy**2))
        run = sums[:, reach + half + 1 : reach + half + 1 + width] > sums[:, reach - half : reach - half + width]
        result[dy:] |= run[: height - dy]
        result[: height - dy] |= run[dy:]
    return result
