"""Dice of the foreground: Dice, Ecology 26(3), 1945, on pixels; which entity a pixel belongs to does not matter."""

from __future__ import annotations

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, mean_row


class ForegroundDice(ImageMetric):
    """`dice`: 2 |P and T| / (|P| + |T|) of the pixels in any entity, averaged over images.

    An image without foreground in truth and prediction is left out; nan when all are such.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(Dice of the image, 1); (0, 0) where it has no foreground in truth and prediction."""
        areas = comparison.predicted_areas.sum() + comparison.true_areas.sum()
        return mean_row(2 * comparison.shared.sum(), areas)
