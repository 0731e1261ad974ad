"""F1 of foreground pixels with a tolerance, the usual number for cracks, whose outline nobody draws to the pixel.

Precision and recall with a margin, as cracks are judged since CrackForest (Shi et al., IEEE T-ITS 17(12), 2016,
https://doi.org/10.1109/TITS.2016.2552248); the margin here is 2 px.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.boundary_f import near
from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide


class TolerantF1(ImageMetric):
    """`f1_2px`: 2 P R / (P + R) of the pixels in any entity, pooled over images.

    P: the part of the predicted pixels within `radius_px` of a true one; R: the part of the true pixels within it of a
    predicted one. 0 when one side has no foreground at all, nan when neither has.
    """

    def __init__(self, radius_px: float = 2.0) -> None:
        super().__init__()
        self.radius_px = radius_px

    def measure(self, comparison: Comparison) -> tuple[float, float, float, float]:
        """(right predicted pixels, predicted pixels, recalled true pixels, true pixels)."""
        predicted, true = comparison.predicted > 0, comparison.true > 0
        right = np.count_nonzero(predicted & near(true, self.radius_px))
        recalled = np.count_nonzero(true & near(predicted, self.radius_px))
        return float(right), float(predicted.sum()), float(recalled), float(true.sum())

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """F1 (R,) from pooled pixels (4, R) of `measure`, nan where neither side has foreground."""
        right, predicted, recalled, true = sums
        precision, recall = np.nan_to_num(divide(right, predicted)), np.nan_to_num(divide(recalled, true))
        f1 = np.nan_to_num(divide(2 * precision * recall, precision + recall))
        return np.where(predicted + true > 0, f1, np.nan)
