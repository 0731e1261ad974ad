"""Cracks by their centre lines, which a pixel more or less of width does not change.

clDice: Shit et al., clDice - a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation, CVPR 2021,
https://arxiv.org/abs/2003.07311, equations 1 and 2, with scikit-image's thinning (Zhang and Suen) as skeleton.
"""

from __future__ import annotations

import numpy as np
from skimage.morphology import skeletonize

from domains.metrics.boundary_f import near
from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide


class CentreLineDice(ImageMetric):
    """`cldice`: the harmonic mean of the share of the predicted centre lines that lies on true foreground, and of the
    share of the true centre lines that lies on predicted foreground; pixels pooled over images.

    0 when one side has no foreground, nan when neither has.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float, float, float]:
        """Pixels: (predicted line on true foreground, predicted line, true line on predicted one, true line)."""
        predicted, true = comparison.predicted > 0, comparison.true > 0
        predicted_line, true_line = skeletonize(predicted), skeletonize(true)
        on_true, on_predicted = predicted_line & true, true_line & predicted
        return (
            float(on_true.sum()),
            float(predicted_line.sum()),
            float(on_predicted.sum()),
            float(true_line.sum()),
        )

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The harmonic mean (R,) of line precision and line recall from pooled rows (4, R)."""
        on_true, predicted, on_predicted, true = sums
        precision, recall = np.nan_to_num(divide(on_true, predicted)), np.nan_to_num(divide(on_predicted, true))
        dice = np.nan_to_num(divide(2 * precision * recall, precision + recall))
        return np.where(predicted + true > 0, dice, np.nan)


class CentreLineRecall(ImageMetric):
    """`line_recall_2px`: true centre-line pixels within `radius_px` of predicted foreground, pooled over
    images.

    nan without a true one. Says nothing of what is found in vain: read it beside `cldice`.
    """

    def __init__(self, radius_px: float = 2.0) -> None:
        super().__init__()
        self.radius_px = radius_px

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """Pixels of (the true centre line near predicted foreground, the true centre line)."""
        line = skeletonize(comparison.true > 0)
        recalled = line & near(comparison.predicted > 0, self.radius_px)
        return float(recalled.sum()), float(line.sum())

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """Recall (R,) from pooled pixels (2, R), nan without a true line."""
        return divide(sums[0], sums[1])
