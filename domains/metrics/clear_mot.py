"""CLEAR MOT: Bernardin & Stiefelhagen, EURASIP JIVP 2008, https://doi.org/10.1155/2008/246309, on masks.

In each frame true and predicted entities are matched at IoU >= 1/2, first of all what was matched in the frame before.
A switch is a true track that gets another predicted track than when it was last matched, however long ago.
"""

from __future__ import annotations

import numpy as np

from domains.metrics.assignment import heaviest
from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric

STAYING = 1000.0
"""Weight of staying with the track of the frame before: more than any sum of IoUs could move."""


class MultiObjectTrackingAccuracy(ClipMetric):
    """`mota`: 1 - (missed + false + switches) / true entities, counted in each frame; below 0 where faults are more."""

    def measure(self, clip: ClipComparison) -> tuple[float, float]:
        """(matched less false less switches, true entities)."""
        matched, switches = matched_and_switched(clip)
        return 2.0 * matched - float(clip.predicted_lengths.sum()) - switches, float(clip.true_lengths.sum())


class IdSwitches(ClipMetric):
    """`id_switches`: switches of the id per true track, from 0 up; 0 is best."""

    best = 0.0

    def measure(self, clip: ClipComparison) -> tuple[float, float]:
        """(switches, true tracks)."""
        return float(matched_and_switched(clip)[1]), float(len(clip.true_tracks))


def matched_and_switched(clip: ClipComparison) -> tuple[int, int]:
    """How many true entities are matched, counted in each frame, and how many switches there are."""
    latest = np.full(len(clip.true_tracks), -1)  # the predicted track that each true one had when last matched
    before = latest.copy()  # the same, in the frame before alone
    matched = switches = 0
    for frame, (predicted, true) in zip(clip.frames, clip.places, strict=True):
        if not len(predicted) or not len(true):
            continue
        rows, columns = true[frame.pair_true], predicted[frame.pair_predicted]
        weights = np.where(frame.iou >= 0.5, frame.iou + STAYING * (before[rows] == columns), 0)
        chosen = heaviest(rows, columns, weights)
        rows, columns = rows[chosen], columns[chosen]
        matched += len(chosen)
        switches += int(np.count_nonzero((latest[rows] >= 0) & (latest[rows] != columns)))
        before[:] = -1
        latest[rows] = before[rows] = columns
    return matched, switches
