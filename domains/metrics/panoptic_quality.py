"""Panoptic quality: Kirillov et al., CVPR 2019, https://arxiv.org/abs/1801.00868, equation 1, with one class.

Counts are pooled over the images, as panopticapi does; pathology papers often average per image instead.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide


class PanopticQuality(ImageMetric):
    """`pq`: sum of IoU over matches / (TP + FP/2 + FN/2), a match being IoU > 0.5.

    An image without any entity in truth and prediction adds nothing; nan when all are such.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(sum of the IoUs of matches above 0.5, TP + FP / 2 + FN / 2) of the image."""
        matched = comparison.matched_iou[comparison.matched_iou > 0.5]
        entities = len(comparison.predicted_areas) + len(comparison.true_areas)  # 2 TP + FP + FN
        return float(matched.sum()), entities / 2

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """Panoptic quality (R,) from summed rows (2, R), nan where there is no entity at all."""
        return divide(sums[0], sums[1])
