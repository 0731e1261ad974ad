"""IoU of the foreground, the usual number for defects (Everingham et al., PASCAL VOC, IJCV 88, 2010, section 4.1.4)."""

from __future__ import annotations

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide


class ForegroundIoU(ImageMetric):
    """`iou`: |P and T| / |P or T| of the pixels in any entity, pooled over images.

    Pooling lets a defect-free image count only by what is falsely found there, and large defects outweigh small ones:
    `MetricSet.by_stratum` gives it per kind of defect. nan when no image has any foreground.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(shared, union) foreground pixels of the image."""
        shared = comparison.shared.sum()
        return shared, comparison.predicted_areas.sum() + comparison.true_areas.sum() - shared

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """IoU (R,) from pooled pixels (2, R), nan where no image has any foreground."""
        return divide(sums[0], sums[1])
