"""Aggregated Jaccard index: Kumar et al., IEEE TMI 36(7), 2017, algorithm 1.

https://doi.org/10.1109/TMI.2017.2677499
"""

from __future__ import annotations

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, mean_row


class AggregatedJaccard(ImageMetric):
    """`aji`: per image, then averaged over images, as the field reports it.

    Every true entity takes the prediction of best IoU, which others may take too; shared pixels over union pixels,
    where true entities that nothing overlaps and predictions that nothing took count as union. At equal IoU the
    prediction that begins first in reading order is taken. An image without any entity in truth and prediction is
    left out; nan when all are such.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        order = np.lexsort((comparison.pair_predicted, -comparison.iou, comparison.pair_true))
        taken, first = np.unique(comparison.pair_true[order], return_index=True)
        best = order[first]  # one pair for each true entity that is overlapped
        missed = np.delete(comparison.true_areas, taken).sum()
        unused = np.delete(comparison.predicted_areas, np.unique(comparison.pair_predicted[best])).sum()
        return mean_row(comparison.shared[best].sum(), comparison.union[best].sum() + missed + unused)
