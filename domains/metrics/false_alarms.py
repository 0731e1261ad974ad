"""What is found on good parts, and how parts are told apart: what an inspection line pays for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.metrics.image_auroc import ImageAUROC
from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide


class FalseAlarms(ImageMetric):
    """`false_alarms`: entities found per image that has none; 0 is best. nan without such an image.

    An image is good where no annotator has an entity.
    """

    best = 0.0

    def row(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """(entities found, averaged over annotators, and 1) of a good image; (0, 0) of a defective one."""
        if any(len(comparison.true_areas) for comparison in comparisons):
            return np.zeros(2)
        return np.array([np.mean([len(comparison.predicted_areas) for comparison in comparisons]), 1.0])


class ImageF1(ImageMetric):
    """`image_f1`: 2 TP / (2 TP + FP + FN) over images; one in which anything is found is called defective.

    The threshold is the one that the entities came through, so this is what the line would get. nan when all images
    are good and called good.
    """

    def row(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """(2 TP, 2 TP + FP + FN) where the image itself is what is counted, once."""
        defect = any(len(comparison.true_areas) for comparison in comparisons)
        called = any(len(comparison.predicted_areas) for comparison in comparisons)
        return np.array([2.0 * (defect and called), float(defect) + float(called)])

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """F1 (R,) over images from summed rows (2, R), nan where none is or is called defective."""
        return divide(sums[0], sums[1])


class BestImageF1(ImageAUROC):
    """`image_f1_max`: F1 over images, called defective by the maximum of their heat map, at the best threshold.

    As detectors are compared that leave the threshold to their user. The threshold is chosen on the very images, and
    may lie below every score: then all are called defective, and the value is 2 D / (images + D) for D defective ones.
    nan without a defective image.
    """

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) F1 at the best of all thresholds, image i counted weights[r, i] times; nan without a defect."""
        defects, scores = np.array(self._defects, bool), np.array(self._scores)
        called = scores >= np.unique(scores)[:, None]  # (L, images)
        right = weights @ (called & defects).T  # (R, L)
        positives = weights @ called.T + (weights @ defects)[:, None]
        best = divide(2 * right, positives).max(1, initial=0) if called.size else np.zeros(len(weights))
        return np.where(weights @ defects > 0, best, np.nan)
