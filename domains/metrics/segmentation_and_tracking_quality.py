"""Segmentation and tracking quality: Weber et al., STEP, NeurIPS 2021, https://arxiv.org/abs/2102.11859, section 4.

With one class of entity the segmentation quality is the IoU of all entities' pixels. Sums are pooled over clips as
deeplab2 does: the association quality is a mean over all true tracks.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric
from domains.metrics.metric import divide


class SegmentationAndTrackingQuality(ClipMetric):
    """`stq`: sqrt(AQ SQ). AQ: the mean over true tracks g of the sum over predicted tracks p of TPA(p, g) IoU(p, g) /
    size(g), all three in pixels over the whole clip; SQ: the IoU of the pixels of any entity. nan without a true track.
    """

    def measure(self, clip: ClipComparison) -> tuple[float, float, float, float]:
        """(sum of the association qualities, true tracks, pixels of entities in both, pixels in either)."""
        pair_predicted, pair_true, pairs = clip.pairs
        predicted, true = np.zeros(len(clip.predicted_tracks)), np.zeros(len(clip.true_tracks))
        shared = np.zeros(len(pair_predicted))
        for frame, (predicted_places, true_places), of_frame in zip(clip.frames, clip.places, pairs, strict=True):
            predicted[predicted_places] += frame.predicted_areas
            true[true_places] += frame.true_areas
            shared[of_frame] += frame.shared
        iou = shared / (predicted[pair_predicted] + true[pair_true] - shared)
        association = float((shared * iou / true[pair_true]).sum())
        intersection = float(shared.sum())
        return association, float(len(true)), intersection, float(predicted.sum() + true.sum()) - intersection

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """(R,) the geometric mean of association and segmentation quality."""
        return np.sqrt(divide(sums[0], sums[1]) * divide(sums[2], sums[3]))
