"""Counts of right, wrong and missed entities.

The Data Science Bowl 2018's score: Caicedo et al., Nucleus segmentation across imaging experiments, Nature Methods 16
(2019), https://doi.org/10.1038/s41592-019-0612-7. StarDist and Cellpose call the same thing "AP"; it is not COCO's.
A pair matches at IoU >= t, as in StarDist's `matching`.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of IoU, as in the Data Science Bowl 2018


class F1(ImageMetric):
    """`f1`: 2 TP / (2 TP + FP + FN) at IoU >= 0.5, counted over all images together.

    An image without any entity in truth and prediction adds nothing; nan when all are such.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(2 TP, 2 TP + FP + FN) of the image."""
        entities = len(comparison.predicted_areas) + len(comparison.true_areas)  # 2 TP + FP + FN
        return 2.0 * len(comparison.matches), entities

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """F1 (R,) from summed rows (2, R), nan where there is no entity at all."""
        return divide(sums[0], sums[1])


class SegmentationAccuracy(ImageMetric):
    """`sa`: TP / (TP + FP + FN), averaged over IoU .5, .55, ..., .95 within an image, then over images.

    An image without any entity in truth and prediction is left out; nan when all are such.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(accuracy averaged over thresholds, 1); (0, 0) where the image has no entity in truth and prediction."""
        right = (comparison.matched_iou >= THRESHOLDS[:, None]).sum(axis=1)  # (10,)
        union = len(comparison.predicted_areas) + len(comparison.true_areas) - right  # TP + FP + FN
        return (float((right / union).mean()), 1.0) if union.min() > 0 else (0.0, 0.0)
