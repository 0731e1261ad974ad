"""Aggregated Jaccard index, and its variant whose pairs are one to one.

AJI: Kumar et al., IEEE TMI 36(7), 2017, algorithm 1, https://doi.org/10.1109/TMI.2017.2677499.
AJI+: Graham et al., Medical Image Analysis 58, 2019 (HoVer-Net), https://arxiv.org/abs/1812.06499, section 4.2: AJI
lets one prediction serve several true entities and counts it each time; AJI+ pairs each with one at most.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
        """(shared / union pixels, 1) of the image; (0, 0) where it has no entity in truth and prediction."""
        order = np.lexsort((comparison.pair_predicted, -comparison.iou, comparison.pair_true))
        overlapped, begins = np.unique(comparison.pair_true[order], return_index=True)
        best = order[begins]  # one pair for each true entity that is overlapped
        missed = np.delete(comparison.true_areas, overlapped).sum()
        unused = np.delete(comparison.predicted_areas, np.unique(comparison.pair_predicted[best])).sum()
        return mean_row(comparison.shared[best].sum(), comparison.union[best].sum() + missed + unused)


class AggregatedJaccardPlus(ImageMetric):
    """`aji_plus`: as `aji`, but pairs are one to one, chosen so that the sum of their IoUs is largest.

    Shared pixels over union pixels of the pairs, where whatever is left without a partner counts as union. An image
    without any entity in truth and prediction is left out; nan when all are such.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(shared / union pixels, 1) of the image; (0, 0) where it has no entity in truth and prediction."""
        pairs = best_pairs(comparison)
        missed = np.delete(comparison.true_areas, comparison.pair_true[pairs]).sum()
        unused = np.delete(comparison.predicted_areas, comparison.pair_predicted[pairs]).sum()
        return mean_row(comparison.shared[pairs].sum(), comparison.union[pairs].sum() + missed + unused)


def best_pairs(comparison: Comparison) -> np.ndarray:
    """(M,) indices of overlapping pairs, one to one, of the largest summed IoU.

    Entities that are linked by no chain of overlaps cannot compete, so each cluster is assigned alone: a slide of
    10^5 nuclei is many small tables rather than one of 10^10 cells.
    """
    predicted, true = comparison.pair_predicted, comparison.pair_true
    if not len(predicted):
        return np.zeros(0, np.intp)
    nodes = len(comparison.predicted_areas) + len(comparison.true_areas)
    links = (np.ones(len(predicted)), (predicted, len(comparison.predicted_areas) + true))
    cluster = connected_components(coo_array(links, shape=(nodes, nodes)), directed=False)[1][predicted]
    order = np.argsort(cluster, kind="stable")
    clusters = np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)
    return np.concatenate([pairs if len(pairs) == 1 else _assigned(comparison, pairs) for pairs in clusters])


def _assigned(comparison: Comparison, pairs: np.ndarray) -> np.ndarray:
    """The pairs that an assignment keeps, of all the pairs of one cluster."""
    rows = np.unique(comparison.pair_predicted[pairs], return_inverse=True)[1]
    columns = np.unique(comparison.pair_true[pairs], return_inverse=True)[1]
    gain = np.zeros((rows.max() + 1, columns.max() + 1))
    gain[rows, columns] = comparison.iou[pairs]
    partner = np.full(len(gain), -1)
    chosen = linear_sum_assignment(gain, maximize=True)
    partner[chosen[0]] = chosen[1]
    return pairs[partner[rows] == columns]  # an assignment may fill up with pairs that share nothing: they are no pairs
