"""Video panoptic quality: Kim et al., CVPR 2020, https://arxiv.org/abs/2006.11339, section 4, with one class of entity.

With the windows of EntitySAM (Ye et al., CVPR 2025) it is what that paper calls video entity quality, VEQ: PQ on tubes
of 1, 2, 4, 6 and 8 frames. A tube is all pixels of a track in a window; windows begin at every frame; sums are pooled
over windows and clips, and the qualities of the lengths are averaged. A clip shorter than a window adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric
from domains.metrics.metric import divide

WINDOWS = (1, 2, 4, 6, 8)
"""Frames of a window: labelled ones, so that a set with every fourth frame labelled is measured on those."""


class VideoPanopticQuality(ClipMetric):
    """`veq`: the mean over windows of (sum of IoU over matched tubes) / (TP + FP/2 + FN/2); a match has IoU > 0.5.

    nan when there is no entity at all.
    """

    def __init__(self, windows: Sequence[int] = WINDOWS) -> None:
        super().__init__()
        self.windows = tuple(windows)

    def measure(self, clip: ClipComparison) -> list[float]:
        """For each length of windows the sum of the IoUs of matches, and TP + FP/2 + FN/2."""
        return [number for frames in self.windows for number in tube_quality(clip, frames)]

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """(R,) from summed rows (2 W, R): the mean over those windows that hold any tube."""
        qualities = divide(sums[0::2], sums[1::2])  # (W, R)
        return divide(np.nansum(qualities, axis=0), np.count_nonzero(~np.isnan(qualities), axis=0))


def tube_quality(clip: ClipComparison, frames: int) -> tuple[float, float]:
    """(sum of the IoUs of matched tubes, TP + FP/2 + FN/2) over the windows of so many frames.

    Areas of tubes are running sums: a frame comes in, another goes, and no window is counted anew.
    """
    pair_predicted, pair_true, pairs = clip.pairs
    predicted, true = np.zeros(len(clip.predicted_tracks), np.int64), np.zeros(len(clip.true_tracks), np.int64)
    shared = np.zeros(len(pair_predicted), np.int64)
    matched = tubes = 0.0
    for i, (frame, (predicted_places, true_places)) in enumerate(zip(clip.frames, clip.places, strict=True)):
        predicted[predicted_places] += frame.predicted_areas
        true[true_places] += frame.true_areas
        shared[pairs[i]] += frame.shared
        if i + 1 < frames:
            continue
        iou = shared / np.maximum(predicted[pair_predicted] + true[pair_true] - shared, 1)
        matched += float(iou[iou > 0.5].sum())
        tubes += (np.count_nonzero(predicted) + np.count_nonzero(true)) / 2
        leaving = i + 1 - frames
        predicted[clip.places[leaving][0]] -= clip.frames[leaving].predicted_areas
        true[clip.places[leaving][1]] -= clip.frames[leaving].true_areas
        shared[pairs[leaving]] -= clip.frames[leaving].shared
    return matched, tubes
