"""How often an entity that was hidden comes back under its id: what a map of one frame cannot show."""

from __future__ import annotations

from collections import Counter

import numpy as np

from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric


class IdsKept(ClipMetric):
    """`ids_kept`: of the true tracks' returns after at least `frames` frames away, the share with the same predicted
    track as before: the one that matches (IoU >= 1/2) in most frames of the visit before the gap, and of that after it.
    A visit without a match keeps no id. nan without a return.
    """

    def __init__(self, frames: int = 1) -> None:
        super().__init__()
        self.frames = frames

    def measure(self, clip: ClipComparison) -> tuple[float, float]:
        """(returns with the id kept, returns)."""
        visits: list[list[Counter[int]]] = [[] for _ in clip.true_tracks]
        seen = np.full(len(clip.true_tracks), -1)
        for i, (frame, (predicted, true)) in enumerate(zip(clip.frames, clip.places, strict=True)):
            for track in true[(seen[true] < 0) | (i - seen[true] > self.frames)].tolist():
                visits[track].append(Counter())
            seen[true] = i
            match = np.flatnonzero(frame.iou >= 0.5)
            rows, columns = true[frame.pair_true[match]], predicted[frame.pair_predicted[match]]
            for track, candidate in zip(rows.tolist(), columns.tolist(), strict=True):
                visits[track][-1][candidate] += 1
        names = [[most_common(visit) for visit in track] for track in visits]
        pairs = [pair for track in names for pair in zip(track, track[1:], strict=False)]
        return float(sum(before == after >= 0 for before, after in pairs)), float(len(pairs))


def most_common(visit: Counter[int]) -> int:
    """The predicted track of most frames, of several the first seen; -1 without any."""
    return visit.most_common(1)[0][0] if visit else -1
