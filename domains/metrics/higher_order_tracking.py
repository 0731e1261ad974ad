"""Higher order tracking accuracy: Luiten et al., IJCV 129, 2021, https://arxiv.org/abs/2009.07736, on masks.

HOTA is the geometric mean of detection (DetA) and association (AssA), averaged over IoU thresholds 0.05 to 0.95. In
each frame entities are matched one to one so that what their whole tracks have in common counts beside the IoU.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from domains.metrics.assignment import heaviest
from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric
from domains.metrics.metric import divide

THRESHOLDS = np.arange(0.05, 0.99, 0.05)
"""(19,) IoU that a match wants; a rounding error below still counts, as in TrackEval."""


class HigherOrderTracking(ClipMetric):
    """`hota`, and its factors `det_a` and `ass_a`: the counts of clips are added up. nan without any entity.

    side: which of the three.
    """

    def __init__(self, side: Literal["both", "detection", "association"] = "both") -> None:
        super().__init__()
        self.side = side

    def measure(self, clip: ClipComparison) -> np.ndarray:
        """(57,) for each threshold matches, then true + predicted - matches, then matches weighed by association."""
        matches, association = matches_and_association(clip)
        entities = clip.true_lengths.sum() + clip.predicted_lengths.sum()
        return np.concatenate([matches, entities - matches, association])

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """(R,) from summed rows (57, R)."""
        matches, union, association = sums.reshape(3, len(THRESHOLDS), -1)
        detection = divide(matches, union)
        associated = np.where(union > 0, np.nan_to_num(divide(association, matches)), np.nan)
        sides = {"detection": detection, "association": associated, "both": np.sqrt(detection * associated)}
        return sides[self.side].mean(axis=0)


def matches_and_association(clip: ClipComparison) -> tuple[np.ndarray, np.ndarray]:
    """(19,) matches at each threshold, and (19,) the sum over them of the Jaccard index of their two tracks' frames."""
    pair_predicted, pair_true, pairs = clip.pairs
    alignment = np.zeros(len(pair_predicted))
    for frame, of_frame in zip(clip.frames, pairs, strict=True):
        of_true = np.bincount(frame.pair_true, frame.iou, len(frame.true))[frame.pair_true]
        of_predicted = np.bincount(frame.pair_predicted, frame.iou, len(frame.predicted))[frame.pair_predicted]
        alignment[of_frame] += frame.iou / (of_true + of_predicted - frame.iou)
    lengths = clip.true_lengths[pair_true] + clip.predicted_lengths[pair_predicted]
    alignment = alignment / (lengths - alignment)
    counts = np.zeros((len(THRESHOLDS), len(pair_predicted)))
    for frame, of_frame in zip(clip.frames, pairs, strict=True):
        chosen = heaviest(frame.pair_true, frame.pair_predicted, alignment[of_frame] * frame.iou)
        enough = frame.iou[chosen] >= THRESHOLDS[:, None] - np.finfo(float).eps
        counts[:, of_frame[chosen]] += enough  # a pair of tracks comes at most once in a frame
    return counts.sum(axis=1), (counts * counts / (lengths - counts)).sum(axis=1)
