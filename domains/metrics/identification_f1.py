"""Identification F1: Ristani et al., ECCV workshops 2016, https://arxiv.org/abs/1609.01775, section 3.

True and predicted tracks are matched one to one over the whole clip, so that most frames agree; a frame agrees where
the IoU of the two masks is at least 1/2.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.assignment import heaviest
from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric
from domains.metrics.metric import divide


class IdentificationF1(ClipMetric):
    """`idf1`: 2 IDTP / (true + predicted entities, counted in each frame). nan without any."""

    def measure(self, clip: ClipComparison) -> tuple[float, float]:
        """(twice the frames in which matched tracks agree, true and predicted entities of all frames)."""
        pair_predicted, pair_true, pairs = clip.pairs
        agreeing = np.zeros(len(pair_predicted))
        for frame, of_frame in zip(clip.frames, pairs, strict=True):
            agreeing[of_frame] += frame.iou >= 0.5
        matched = heaviest(pair_true, pair_predicted, agreeing)
        return 2 * float(agreeing[matched].sum()), float(clip.true_lengths.sum() + clip.predicted_lengths.sum())

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """(R,) from summed rows (2, R)."""
        return divide(sums[0], sums[1])
