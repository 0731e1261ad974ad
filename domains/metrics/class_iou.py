"""Mean IoU over the classes of the truth (Everingham et al., PASCAL VOC, IJCV 88, 2010, section 4.1.4).

Predicted entities have no class: a class is judged by the foreground found in the images that show it. So rare kinds of
defect weigh as much as frequent ones, and small ones as much as large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.entities import EntityMap
from domains.metrics.matching import Comparison, compare_all
from domains.metrics.metric import divide
from domains.metrics.state import Stateful


class ClassIoU(Stateful):
    """`class_iou`: per class |P and T| / |P or T| of its pixels, pooled over the images that hold it, then the mean.

    P is the predicted foreground off entities of other classes. A truth without labels is one class. Images without
    any entity say nothing here (`false_alarms` counts what is found there). nan when no image has an entity.
    """

    HELD = ("_rows",)

    def __init__(self) -> None:
        self._rows: list[dict[str, np.ndarray]] = []

    def update(self, prediction: EntityMap, truths: Sequence[EntityMap]) -> None:
        """Takes one image with its annotators' truths. Raises InputError for other shapes, or without a truth."""
        self.observe(compare_all(prediction, truths))

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        """Keeps (shared, union) pixels of each class of the image, averaged over its annotators."""
        row: dict[str, np.ndarray] = {}
        for comparison in comparisons:
            for name, pixels in class_pixels(comparison).items():
                row[name] = row.get(name, np.zeros(2)) + pixels / len(comparisons)
        self._rows.append(row)

    def compute(self) -> float:
        """The mean IoU over classes of all images, each once; nan when no image has an entity."""
        return float(self.resample(np.ones((1, len(self._rows))))[0])

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) image i counted weights[r, i] times; a class that a resample has no image of is left out there."""
        names = sorted({name for row in self._rows for name in row})
        if not names:
            return np.full(len(weights), np.nan)
        pixels = np.array([[row.get(name, np.zeros(2)) for name in names] for row in self._rows])  # (images, C, 2)
        shared, union = np.einsum("ri,ics->src", weights, pixels)
        iou = divide(shared, union)  # (R, C), nan for a class that a resample has no image of
        return divide(np.nansum(iou, 1), np.isfinite(iou).sum(1))


def class_pixels(comparison: Comparison) -> dict[str, np.ndarray]:
    """Class -> (pixels of it that were found, pixels of it or found off other classes)."""
    names = comparison.true_labels or ("",) * len(comparison.true_areas)
    covered = np.bincount(comparison.pair_true, comparison.shared, len(comparison.true_areas))  # (T,)
    alarms = comparison.predicted_areas.sum() - comparison.shared.sum()
    rows: dict[str, np.ndarray] = {name: np.array([0.0, alarms]) for name in names}
    for name, shared, area in zip(names, covered, comparison.true_areas, strict=True):
        rows[name] += (shared, area)
    return rows
