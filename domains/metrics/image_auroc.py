"""Is there anything in this image? Area under the ROC curve over images, as inspection lines are judged.

An image's score is the maximum of its heat map, as in MVTec AD (Bergmann et al., IJCV 129, 2021); of a prediction
without one it is that of the best entity. Entities alone would tie all images in which none passed the threshold.
Fawcett, Pattern Recognition Letters 27, 2006: the area is the chance that an image with a defect scores above one
without, ties half.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.entities import EntityMap
from domains.metrics.matching import Comparison, compare_all
from domains.metrics.state import Stateful


class ImageAUROC(Stateful):
    """`image_auroc`: over images with a true entity and images without; by the highest score of a labelled pixel.

    Any annotator's entity makes an image one with a defect. nan when all images are of one kind.
    """

    HELD = ("_scores", "_defects")

    def __init__(self) -> None:
        self._scores: list[float] = []
        self._defects: list[bool] = []

    def update(self, prediction: EntityMap, truths: Sequence[EntityMap]) -> None:
        """Takes one image with its annotators' truths. Raises InputError for other shapes, or without a truth."""
        self.observe(compare_all(prediction, truths))

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        """Keeps the image's highest score over its annotators, and whether any of them has an entity in it."""
        self._scores.append(max((warmest(comparison) for comparison in comparisons), default=0.0))
        self._defects.append(any(len(comparison.true_areas) for comparison in comparisons))

    def compute(self) -> float:
        """The area over all images, each once; nan when all are of one kind."""
        return float(self.resample(np.ones((1, len(self._scores))))[0])

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) areas, image i counted weights[r, i] times; nan where all counted images are of one kind."""
        defects = np.array(self._defects, bool)
        levels, level = np.unique(np.array(self._scores), return_inverse=True)
        at = level == np.arange(len(levels))[:, None]  # (L, images)
        good, bad = weights @ (at & ~defects).T, weights @ (at & defects).T  # (R, L): images of each score
        below = np.cumsum(good, 1) - good / 2  # of the good ones, those that a bad one of this score beats
        pairs = good.sum(1) * bad.sum(1)
        return np.divide((bad * below).sum(1), pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def warmest(comparison: Comparison) -> float:
    """The highest score of a labelled pixel, 0 without one."""
    return float(comparison.pixel_scores[comparison.labelled].max(initial=0))
