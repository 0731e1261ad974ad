"""Is what lies in another, and what beside it, so in the forest too?

Of every pair of true nodes one lies in the other, or they lie beside each other. Each is looked for in the forest by
its best IoU of 1/2 or more. Pairs beside each other grow with the square of the entities and would drown the others, so
both kinds weigh the same.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide
from domains.metrics.proposed import inside


class Hierarchy(ImageMetric):
    """`hierarchy`: the share of true pairs *inside* that the forest has right, over all images together, and the share
    of true pairs *beside*; the mean of the two, or the one that there is.

    A pair is right if both are found, by nodes of which the one lies in the other, or neither does, as in the truth. Of
    two true nodes that share their best node neither relation is right. A truth that is not nested says nothing: nan
    where none is.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float, float, float]:
        """(pairs inside that are right, pairs inside, pairs beside that are right, pairs beside)."""
        parents = comparison.true_parents
        if parents is None or not parents.any():
            return 0.0, 0.0, 0.0, 0.0
        numbers = comparison.proposed.matched(parents)
        true_inside = inside(parents, np.arange(len(parents)))
        is_found = numbers >= 0
        met = is_found[:, None] & is_found & (numbers[:, None] != numbers)
        predicted = np.zeros_like(true_inside)
        predicted[np.ix_(is_found, is_found)] = inside(comparison.proposed.nodes.parents, numbers[is_found])
        true_beside = np.triu(~(true_inside | true_inside.T), 1)
        beside = met & ~(predicted | predicted.T)
        rights = (true_inside & predicted & met).sum(), (true_beside & beside).sum()
        return float(rights[0]), float(true_inside.sum()), float(rights[1]), float(true_beside.sum())

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The mean (R,) of the shares of both kinds from summed rows (4, R); nan without a pair inside."""
        shares = divide(sums[0], sums[1]), divide(sums[2], sums[3])
        return np.where(np.isnan(shares[1]), shares[0], (shares[0] + shares[1]) / 2)
