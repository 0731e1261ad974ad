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
        matched = comparison.matched_iou[comparison.matched_iou > 0.5]
        both = len(comparison.predicted_areas) + len(comparison.true_areas)  # 2 TP + FP + FN
        return float(matched.sum()), both / 2

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        return divide(sums[0], sums[1])
