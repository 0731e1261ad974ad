"""What a metric of clips is: a row of numbers per clip, added up over clips, and one ratio of the sums.

As for images (`domains.metrics.metric`) it can so be computed for any weighting of the clips, each of which is a group
of its own: frames of one clip resemble each other, so clips are drawn in a bootstrap, never frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.metric import RatioOfSums


class ClipMetric(RatioOfSums):
    """Base of the metrics of clips: give `measure` and `ratio`, and the rest follows.

    contours: whether the comparisons must tell how contours agree. best: of a prediction without a fault.
    """

    contours = False
    best = 1.0

    def measure(self, clip: ClipComparison) -> Sequence[float]:
        """The clip's row (S,)."""
        raise NotImplementedError

    def observe(self, clip: ClipComparison) -> None:
        """Keeps the clip's row; the comparison may be shared with other metrics."""
        self._rows.append(np.array(self.measure(clip), float))
