"""Segmentation covering: Arbelaez et al., Contour Detection and Hierarchical Image Segmentation, TPAMI 33(5), 2011,
https://doi.org/10.1109/TPAMI.2010.161, section 2.3.3.

Departs from the BSDS500 code in the average only: that one sums over all annotators of all images, so that an image
with nine annotators weighs more than one with four; here each image weighs the same.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, mean_row


class Covering(ImageMetric):
    """`covering`: each true region's best IoU with a predicted entity, weighted by its area; the mean over annotators,
    then over images.

    Pixels that the prediction leaves without an entity cover nothing. Predictions where there is no true region cost
    nothing: it is meant for truths that divide the whole image. An image without a true region is left out; nan when
    all are such.
    """

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(area-weighted best IoU, 1) of the image; (0, 0) where it has no true region."""
        best = np.zeros(len(comparison.true_areas))
        np.maximum.at(best, comparison.pair_true, comparison.iou)
        return mean_row(float(comparison.true_areas @ best), comparison.true_areas.sum())
