"""Boundary IoU: Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, CVPR 2021,
https://arxiv.org/abs/2103.16562.

The IoU of two masks, of which only the pixels within a distance d of their own outline count. As in the authors' code,
d is 2 % of the image's diagonal, rounded, and a pixel is within d of the outline when d erosions by a 3 x 3 square take
it away; the frame of the image counts as outline. Departure: predictions are matched to truth by mask IoU, not anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.ndimage import find_objects

from domains.metrics.average_precision import AveragePrecision, Ranked
from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide

SHARE_OF_DIAGONAL = 0.02  # `dilation_ratio` of the authors' code


class BoundaryIoU(ImageMetric):
    """`boundary_iou`: the mean over the pairs that match at IoU >= 0.5; nan where none does."""

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(sum of the boundary IoUs of the matched pairs, number of the pairs)."""
        values = matched_boundary_iou(comparison)
        return float(values.sum()), float(len(values))

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The mean over pairs (R,) from sums (2, R), nan where no pair matches."""
        return divide(sums[0], sums[1])


class BoundaryPrecision(AveragePrecision):
    """`boundary_ap`: average precision with the smaller of mask IoU and boundary IoU in place of IoU, as the authors
    ask for it.
    """

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        """Keeps of each comparison the scores and, of matches, the smaller of mask IoU and boundary IoU."""
        self._images.append([_ranked(comparison, self.max_entities) for comparison in comparisons])


def _ranked(comparison: Comparison, max_entities: int) -> Ranked:
    iou = np.zeros(len(comparison.scores))
    matched = comparison.pair_predicted[comparison.matches]
    iou[matched] = np.minimum(comparison.matched_iou, matched_boundary_iou(comparison))
    order = np.argsort(-comparison.scores, kind="stable")[:max_entities]
    return Ranked(comparison.scores[order], iou[order], len(comparison.true_areas))


def matched_boundary_iou(comparison: Comparison) -> np.ndarray:
    """(M,) in [0, 1] of the matched pairs."""
    reach_px = max(1, round(SHARE_OF_DIAGONAL * float(np.hypot(*comparison.true.shape))))
    predicted_boxes, true_boxes = find_objects(comparison.predicted), find_objects(comparison.true)
    values = []
    for pair in comparison.matches:
        predicted, true = int(comparison.pair_predicted[pair]), int(comparison.pair_true[pair])
        rows, columns = _around(predicted_boxes[predicted], true_boxes[true])
        predicted_edge = boundary(comparison.predicted[rows, columns] == predicted + 1, reach_px)
        true_edge = boundary(comparison.true[rows, columns] == true + 1, reach_px)
        values.append((predicted_edge & true_edge).sum() / (predicted_edge | true_edge).sum())
    return np.array(values, float)


def boundary(mask: np.ndarray, reach_px: int) -> np.ndarray:
    """(H, W) bool: the pixels of a mask within `reach_px` of its outline; outside of the array is outside the mask."""
    square = np.ones((2 * reach_px + 1,) * 2, np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask & (inner == 0)


def _around(predicted: tuple[slice, ...], true: tuple[slice, ...]) -> tuple[slice, slice]:
    """The box of both."""
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(predicted, true, strict=True))
    return rows, columns
