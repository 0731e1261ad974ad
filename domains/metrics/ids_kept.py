"""How often an entity that was hidden comes back under its id: what a map of one frame cannot show."""

from __future__ import annotations

import numpy as np

from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric


class IdsKept(ClipMetric):
    """`ids_kept`: of the true tracks' returns after at least `frames` frames away, the share with the same predicted
    track as before: that of the last match (IoU >= 1/2) before the gap, and of the first after it. A return with no
    match on either side is not kept. nan without a return.
    """

    def __init__(self, frames: int = 1) -> None:
        super().__init__()
        self.frames = frames

    def measure(self, clip: ClipComparison) -> tuple[float, float]:
        """(returns with the id kept, returns)."""
        tracks = len(clip.true_tracks)
        seen, latest, awaited = np.full(tracks, -1), np.full(tracks, -1), np.full(tracks, -1)
        waiting = np.zeros(tracks, bool)  # came back, and has not been matched since
        kept = returns = 0
        for i, (frame, (predicted, true)) in enumerate(zip(clip.frames, clip.places, strict=True)):
            away = np.where(seen[true] >= 0, i - seen[true] - 1, 0)
            returned = true[away > 0]
            awaited[returned], waiting[returned] = latest[returned], away[away > 0] >= self.frames
            latest[returned] = -1  # before the gap is before the gap: a match must be of the visit just ended
            returns += int(np.count_nonzero(away >= self.frames))
            match = np.flatnonzero(frame.iou >= 0.5)
            rows, columns = true[frame.pair_true[match]], predicted[frame.pair_predicted[match]]
            kept += int(np.count_nonzero(waiting[rows] & (awaited[rows] == columns)))
            waiting[rows], latest[rows] = False, columns
            seen[true] = i
        return float(kept), float(returns)
