"""Which sizes of defect are found: recall and F1 by area, and the share of a region that is covered.

Areas by powers of ten, in pixels: COCO's classes (below 32 x 32 is small) put nearly all defects into one.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide

SIZES_PX: dict[str, tuple[float, float]] = {
    "tiny": (0, 100),
    "small": (100, 1_000),
    "medium": (1_000, 10_000),
    "large": (10_000, np.inf),
}
"""Size class -> area in pixels, from the first number to below the second."""


class SizeRecall(ImageMetric):
    """`recall_<size>`: true entities of that size that are found at IoU >= 0.5. nan where there is none."""

    def __init__(self, size: str) -> None:
        super().__init__()
        self.size = size

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(true entities of the size that are matched, true entities of the size)."""
        in_class = of_size(comparison.true_areas, self.size)
        return float(in_class[comparison.pair_true[comparison.matches]].sum()), float(in_class.sum())

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The ratio (R,) of summed rows (2, R), nan where no entity is of the size."""
        return divide(sums[0], sums[1])


class SizeF1(SizeRecall):
    """`f1_<size>`: 2 TP / (2 TP + FP + FN) at IoU >= 0.5 of true entities of that size.

    A false one belongs to the class of its own area. nan where there is neither.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(2 TP, 2 TP + FP + FN) of the entities of the size."""
        right, true = super().measure(comparison)
        false = of_size(comparison.predicted_areas, self.size)
        false[comparison.pair_predicted[comparison.matches]] = False
        return 2 * right, right + true + float(false.sum())


class RegionRecall(ImageMetric):
    """`region_recall`: the mean share of a true entity's pixels that any entity covers; nan without a true one.

    The per-region overlap of AUPRO at the threshold that the entities came through.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(sum over true entities of the covered share of their pixels, number of true entities)."""
        covered = np.bincount(comparison.pair_true, comparison.shared, len(comparison.true_areas))
        return float((covered / comparison.true_areas).sum()), float(len(covered))

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The mean covered share (R,) from summed rows (2, R), nan without a true entity."""
        return divide(sums[0], sums[1])


def of_size(areas: np.ndarray, size: str) -> np.ndarray:
    """(N,) bool: which areas in pixels are of a size of `SIZES_PX`."""
    low, high = SIZES_PX[size]
    return (areas >= low) & (areas < high)
