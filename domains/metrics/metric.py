"""What a metric is: a row of numbers per image, added up over images, and one ratio of the sums.

Kept in this form a metric can be computed for any weighting of the images: all once, one stratum, a single image,
or a bootstrap resample. A mean over images is the special case of the rows (value, 1), left out as (0, 0) where the
value is undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from domains.entities import EntityMap
from domains.metrics.matching import Comparison, compare_all
from domains.metrics.state import Stateful


class EntityMetric(Protocol):
    """A number in [0, 1], 1 for a perfect prediction, over the images seen so far; nan where it is undefined.

    One with an attribute `best` of 0 counts faults instead, from 0 up, and can be no headline.
    """

    def update(self, prediction: EntityMap, truths: Sequence[EntityMap]) -> None:
        """Take one image with its annotators' truths."""
        ...

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        """Take one image whose overlaps are counted already, one per annotator, so that metrics can share them."""
        ...

    def compute(self) -> float:
        """The metric over all images, each once."""
        ...

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) the metric over the images seen, image i counted weights[r, i] times; weights (R, images)."""
        ...


class RatioOfSums(Stateful):
    """Base of the metrics that are a ratio of sums over images, or over clips: give `ratio`, and keep a row of each."""

    HELD = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """Summed rows (S, R) to the metric (R,). Here that of a mean over images: rows (value, 1)."""
        return divide(sums[0], sums[1])

    def of_each_image(self) -> np.ndarray:
        """(images,) the ratio of each image's row alone, nan where it is undefined."""
        return self.ratio(np.stack(self._rows).T) if self._rows else np.zeros(0)

    def compute(self) -> float:
        """The ratio of the sums over all images, each once; nan where it is undefined."""
        return float(self.resample(np.ones((1, len(self._rows))))[0])

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) ratios of weighted sums of rows; weights (R, images). nan before the first image."""
        if not self._rows:
            return np.full(len(weights), np.nan)
        return self.ratio((weights @ np.stack(self._rows)).T)


class ImageMetric(RatioOfSums):
    """Base of the metrics of images that are a ratio of sums: give `measure` and `ratio`, and the rest follows."""

    def measure(self, comparison: Comparison) -> Sequence[float]:
        """The image's row (S,) against one annotator."""
        raise NotImplementedError

    def row(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """The image's row (S,): the mean over its annotators."""
        return np.mean([self.measure(comparison) for comparison in comparisons], axis=0)

    def update(self, prediction: EntityMap, truths: Sequence[EntityMap]) -> None:
        """Takes one image with its annotators' truths. Raises InputError for other shapes, or without a truth."""
        self.observe(compare_all(prediction, truths))

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        """Keeps the image's `row`; comparisons may be shared with other metrics."""
        self._rows.append(self.row(comparisons))


def divide(dividend: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """dividend / divisor, nan where the divisor is 0."""
    return np.divide(dividend, divisor, out=np.full(np.shape(divisor), np.nan), where=np.asarray(divisor) > 0)


def mean_row(dividend: float, divisor: float) -> tuple[float, float]:
    """The row of a mean over images: (dividend / divisor, 1), or (0, 0) where the divisor is 0 and nothing is said."""
    return (dividend / divisor, 1.0) if divisor > 0 else (0.0, 0.0)
