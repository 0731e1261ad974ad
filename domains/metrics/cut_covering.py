"""Covering of a forest that may be cut anywhere: Arbelaez et al., TPAMI 33(5), 2011, sections 2.3.3 and 5.2.

A cut at the same granularity for all images is their *optimal dataset scale* (ODS), one at the best of each image, over
all its annotators together, the *optimal image scale* (OIS), and the best node for each true region whatever the cut
the *best* covering. Images weigh the same here, as in `covering.py`, where the BSDS500 code sums the areas of regions
over all annotators of all images; with equally many annotators and pixels the numbers are that code's.

Of an image without a forest every cut is its flat map.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide

GRANULARITIES = tuple(np.linspace(0, 1, 101).tolist())
"""Where forests are cut: what lies between two of them is no more than a hundredth finer or coarser."""


class BestCovering(ImageMetric):
    """`best_covering`: each true region's best IoU with any node, weighted by its area; the mean over annotators, then
    over images. No cut of the forest covers more. An image without a true region is left out.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(area-weighted best IoU, 1) of the image; (0, 0) where it has no true region."""
        covering = comparison.proposed.covered()
        return (covering, 1.0) if len(comparison.true_areas) else (0.0, 0.0)


class CutCovering(ImageMetric):
    """`covering_ods`: covering at the one granularity that is best for all images.

    granularities: (G,) in [0, 1], at which forests are cut. An image without a true region is left out.
    """

    def __init__(self, granularities: Sequence[float] = GRANULARITIES) -> None:
        super().__init__()
        self.granularities = np.asarray(granularities)

    def measure(self, comparison: Comparison) -> np.ndarray:
        """(G + 1,): the image's covering at each granularity, and 1; zeros where it has no true region."""
        return coverings(comparison, self.granularities)

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The greatest mean covering (R,) of any granularity, from summed rows (G + 1, R)."""
        return divide(sums[:-1].max(0), sums[-1])

    def curve(self) -> np.ndarray:
        """(G,) the covering of all images at each granularity; nan without a true region."""
        sums = np.sum(self._rows, axis=0) if self._rows else np.zeros(len(self.granularities) + 1)
        return divide(sums[:-1], np.full(len(self.granularities), sums[-1]))

    def best_granularity(self) -> float:
        """Where covering is greatest; of several the finest, since a cut is called by the finest g that gives it."""
        curve = np.nan_to_num(self.curve())
        return float(self.granularities[curve >= curve.max()].max())


class ImageCovering(ImageMetric):
    """`covering_ois`: covering at the granularity that is best for each image, over its annotators together."""

    def __init__(self, granularities: Sequence[float] = GRANULARITIES) -> None:
        super().__init__()
        self.granularities = np.asarray(granularities)

    def row(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """(covering at the best granularity, 1), or both less where not every annotator has a true region."""
        row = np.mean([coverings(comparison, self.granularities) for comparison in comparisons], axis=0)
        return np.array([row[:-1].max(), row[-1]])


class PredictedCovering(ImageMetric):
    """`covering_predicted`: covering at the granularity that the scores of each image's nodes predict, by no truth.

    A score is a predicted IoU, so a cut promises the sum of score times area; the one that promises most is taken, of
    equal ones the finest.
    """

    def __init__(self, granularities: Sequence[float] = GRANULARITIES) -> None:
        super().__init__()
        self.granularities = np.sort(granularities)[::-1]

    def row(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """(covering at the predicted granularity, 1), or both less where not every annotator has a true region."""
        proposed = comparisons[0].proposed
        promises = proposed.of_cuts(self.granularities, proposed.promised)
        granularity = self.granularities[[int(promises.argmax())]]
        return np.mean([coverings(comparison, granularity) for comparison in comparisons], axis=0)


def coverings(comparison: Comparison, granularities: np.ndarray) -> np.ndarray:
    """(G + 1,): the covering of the cut at each granularity (G,), and 1; zeros where there is no true region."""
    proposed = comparison.proposed
    if not len(proposed.true_px):
        return np.zeros(len(granularities) + 1)
    return np.append(proposed.of_cuts(granularities, proposed.covered), 1.0)
