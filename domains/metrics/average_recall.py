"""Average recall at so many proposals an image, without classes: https://cocodataset.org/#detection-eval

Proposals are all nodes of a forest, which lie in one another, or the entities of a flat map where nothing else was
proposed; equal scores are ranked by their numbers, of a map by position in the image. The matching is COCOeval's, and
its recall at so many detections needs no curve: it is tested equal to pycocotools with `maxDets` set so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide


class AverageRecall(ImageMetric):
    """`ar1`, `ar10`, `ar100`, `ar1000`: the share of true entities that the best k proposals of each image match,
    averaged over IoU .5:.95.

    Each (image, annotator) pair counts as an image, as in `AveragePrecision`. nan without a true entity.
    """

    def __init__(self, most: int = 100) -> None:
        super().__init__()
        self.most = most

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(true entities that are matched, the mean over thresholds; true entities)."""
        ranks = comparison.proposed.ranks
        return float((ranks < self.most).sum(1).mean()), ranks.shape[1]

    def row(self, comparisons: Sequence[Comparison]) -> np.ndarray:
        """The image's row (2,): the sum over its annotators."""
        return np.sum([self.measure(comparison) for comparison in comparisons], axis=0)

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """Recalls (R,) from summed rows (2, R)."""
        return divide(sums[0], sums[1])
