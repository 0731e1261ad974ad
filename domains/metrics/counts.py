"""How many entities were right, wrong and missed, and how densely they lie: numbers that no ratio in [0, 1] says.

A pair matches at IoU >= 0.5, as in `F1`. Counts are sums over images, densities sums of entities over sums of labelled
area. An interval comes from resampled groups: how far the number could move had other slides been photographed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.metrics.matching import Comparison
from domains.metrics.metric import divide
from domains.metrics.state import Stateful

COUNTS = ("true_positives", "false_positives", "false_negatives")
RATIOS = ("precision", "recall", "predicted_per_image", "true_per_image", "predicted_per_mm2", "true_per_mm2")
MM2_PER_M2 = 1e6


class EntityCounts(Stateful):
    """`observe` once per image; `resample` as metrics do, but a value per name of `COUNTS` and `RATIOS`.

    Densities are over the images whose pixel size is known, nan where it is known of none.
    """

    HELD = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []

    def observe(self, comparisons: Sequence[Comparison], pixel_size_m: float | None = None) -> None:
        """One image held against its annotators, over whom counts are averaged. pixel_size_m: side of a pixel."""
        self._rows.append(np.mean([count_row(comparison, pixel_size_m) for comparison in comparisons], axis=0))

    def compute(self) -> dict[str, float]:
        """Each number over all images, each once."""
        return {key: float(values[0]) for key, values in self.resample(np.ones((1, len(self._rows)))).items()}

    def resample(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """{name: (R,)}, image i counted weights[r, i] times; weights (R, images)."""
        if not self._rows:
            return {key: np.full(len(weights), np.nan) for key in (*COUNTS, *RATIOS)}
        right, predicted, true, measured_predicted, measured_true, area_mm2 = (weights @ np.stack(self._rows)).T
        images = weights.sum(axis=1)
        counts = (right, predicted - right, true - right)
        ratios = (
            divide(right, predicted), divide(right, true), divide(predicted, images), divide(true, images),
            divide(measured_predicted, area_mm2), divide(measured_true, area_mm2),
        )  # fmt: skip
        return dict(zip((*COUNTS, *RATIOS), (*counts, *ratios), strict=True))


def count_row(comparison: Comparison, pixel_size_m: float | None) -> tuple[float, ...]:
    """(right, predicted, true, predicted and true where the area is known, labelled square millimetres)."""
    predicted, true = len(comparison.predicted_areas), len(comparison.true_areas)
    area_mm2 = 0.0 if pixel_size_m is None else float(comparison.labelled.sum()) * pixel_size_m**2 * MM2_PER_M2
    measurable = area_mm2 > 0
    return float(len(comparison.matches)), predicted, true, predicted * measurable, true * measurable, area_mm2
