"""Average precision by size, as COCO has it: entities of another size are neither asked for nor held against anybody.

COCO's areas in pixels (https://cocodataset.org/#detection-eval), and classes in square metres for images of known pixel
size. A prediction that matches a true entity of another size is left out, as is one of another size that matches none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.entities import EntityMap
from domains.metrics.average_precision import mean_defined, mean_precision, run_accumulate
from domains.metrics.matching import Comparison, compare_all
from domains.metrics.proposed import IOU_THRESHOLDS
from domains.metrics.state import Stateful

COCO_PX: dict[str, tuple[float, float]] = {
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}
"""Class -> area in pixels, both ends belonging to it."""
GROUND_M2: dict[str, tuple[float, float]] = {
    "small": (0, 100),  # vehicles, sheds
    "medium": (100, 1000),  # houses
    "large": (1000, 1e10),  # halls, blocks
}
"""Class -> area in square metres."""


class SizedPrecision(Stateful):
    """`ap_<class>`, mean over IoU .5:.95, and `ap_<class>_m2` over the images whose pixel size is known.

    nan when there is no true entity of that size.
    """

    HELD = ("_images",)

    def __init__(self, size: str, in_metres: bool = False, max_entities: int = 1000) -> None:
        self.range = (GROUND_M2 if in_metres else COCO_PX)[size]
        self.in_metres, self.max_entities = in_metres, max_entities
        self.thresholds = np.asarray(IOU_THRESHOLDS)
        self._images: list[list[dict[str, np.ndarray]]] = []  # per image and annotator, as COCOeval keeps them

    def update(self, prediction: EntityMap, truths: Sequence[EntityMap]) -> None:
        """Takes one image with its annotators' truths. Raises InputError for other shapes, or without a truth."""
        self.observe(compare_all(prediction, truths))

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        """Keeps what COCOeval wants of each comparison; in metres, of those whose pixel size is known."""
        measurable = [
            comparison for comparison in comparisons if not self.in_metres or comparison.pixel_size_m is not None
        ]
        self._images.append([self._evaluated(comparison) for comparison in measurable])

    def _evaluated(self, comparison: Comparison) -> dict[str, np.ndarray]:
        """What COCOeval.evaluateImg gives for this range of areas."""
        iou = np.zeros(len(comparison.scores))
        partner = np.full(len(comparison.scores), -1)
        matched = comparison.pair_predicted[comparison.matches]
        iou[matched], partner[matched] = comparison.matched_iou, comparison.pair_true[comparison.matches]
        beside = self._outside(comparison.true_areas, comparison)
        order = np.argsort(-comparison.scores, kind="stable")[: self.max_entities]
        iou, partner = iou[order], partner[order]
        matches = iou >= self.thresholds[:, None]  # (T, P)
        partner_beside = np.append(beside, False)[partner]
        own_beside = self._outside(comparison.predicted_areas, comparison)[order]
        return {
            "dtScores": comparison.scores[order],
            "dtMatches": matches,
            "dtIgnore": np.where(matches, partner_beside, own_beside),
            "gtIgnore": beside.astype(int),
        }

    def _outside(self, areas: np.ndarray, comparison: Comparison) -> np.ndarray:
        unit = (comparison.pixel_size_m or 1.0) ** 2 if self.in_metres else 1.0
        return (areas * unit < self.range[0]) | (areas * unit > self.range[1])

    def compute(self) -> float:
        """The value by pycocotools over all (image, annotator) pairs; nan without a true entity of the size."""
        return self._value([pair for image in self._images for pair in image])

    def _value(self, pairs: list[dict[str, np.ndarray]]) -> float:
        return mean_defined(run_accumulate(pairs, self.thresholds)["precision"])

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) by numpy, tested equal to `compute`: images are sorted once for all resamples."""
        pairs = [(i, pair) for i, image in enumerate(self._images) for pair in image]
        if not pairs:
            return np.full(len(weights), np.nan)
        order = np.argsort(-np.concatenate([pair["dtScores"] for _, pair in pairs]), kind="stable")
        right, beside = (
            np.concatenate([pair[key] for _, pair in pairs], axis=1)[:, order] for key in ("dtMatches", "dtIgnore")
        )
        owner = np.concatenate([np.full(len(pair["dtScores"]), i) for i, pair in pairs]).astype(int)[order]
        truths = np.array([sum(int((pair["gtIgnore"] == 0).sum()) for pair in image) for image in self._images], float)
        values = np.full(len(weights), np.nan)
        for r, weight in enumerate(weights):
            if (total := weight @ truths) > 0:
                counted = ~beside * weight[owner]  # (T, P)
                hits, seen = np.cumsum(right * counted, axis=1), np.cumsum(counted, axis=1)
                values[r] = mean_precision(hits / total, hits / (seen + np.spacing(1)))
        return values
