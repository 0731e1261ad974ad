"""J&F: Perazzi et al., CVPR 2016, and Pont-Tuset et al., https://arxiv.org/abs/1704.00675, for tracks nobody prompted.

J is the IoU of an object's mask, F the agreement of its contour (`contour_agreement`), averaged over frames and then
over objects. Where a track and its object are both away, both are 1. A prediction without prompts does not say
which track is which object: they are matched one to one by their mean J (Caelles et al., DAVIS 2019, unsupervised), so
an object has the track with the best overlap; tracks beyond are not charged for, since nobody labelled everything.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric


class RegionAndContour(ClipMetric):
    """`jf`: the mean of J and F over the objects of all clips; `j` and `f` alone. nan without an object."""

    def __init__(self, side: Literal["both", "region", "contour"] = "both") -> None:
        super().__init__()
        self.side, self.contours = side, side != "region"

    def measure(self, clip: ClipComparison) -> tuple[float, float]:
        """(sum over the objects of the mean over frames, objects)."""
        frames, objects = len(clip.frames), len(clip.true_tracks)
        if not frames or not objects:
            return 0.0, 0.0
        region, absent = table_of(clip, contours=False)
        rows, columns = linear_sum_assignment(-(region + absent))
        values = {"region": region, "contour": None, "both": region}[self.side]
        total = 0.0 if values is None else float((values + absent)[rows, columns].sum())
        if self.side != "region":
            contour, _ = table_of(clip, contours=True)
            total += float((contour + absent)[rows, columns].sum())
        return total / frames / (2 if self.side == "both" else 1), float(objects)


def table_of(clip: ClipComparison, contours: bool) -> tuple[np.ndarray, np.ndarray]:
    """(T, P) the sum over frames of J, or of F, where object and track are there, and (T, P) frames where both are
    away; where there are fewer tracks than objects, empty ones stand behind them.
    """
    objects = len(clip.true_tracks)
    tracks = max(len(clip.predicted_tracks), objects)
    values, present = np.zeros((objects, tracks)), np.zeros((objects, tracks))
    for frame, (predicted, true) in zip(clip.frames, clip.places, strict=True):
        agreement = frame.contours
        if contours and agreement is None:
            raise ValueError("the comparison tells no contours; compare the clips with contours=True")
        if contours and agreement is not None:
            values[true[agreement.true], predicted[agreement.predicted]] += agreement.f
        else:
            values[true[frame.pair_true], predicted[frame.pair_predicted]] += frame.iou
        present[true] += 1
        present[:, predicted] += 1
        present[true[:, None], predicted] -= 1
    return values, len(clip.frames) - present
