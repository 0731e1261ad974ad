"""Curves over a threshold on the score of every pixel, as anomaly detectors are judged.

AUROC and AP pool the pixels of all images. AUPRO is the area under the per-region overlap: Bergmann et al., MVTec AD,
IJCV 129 (2021), section 5.2, https://doi.org/10.1007/s11263-020-01400-4; the limit 0.3 on the false positive rate is
theirs, 0.05 is MVTec AD 2's (Heckler-Kram et al., 2025, https://arxiv.org/abs/2503.21622).

A score is a float16, which knows 15,361 values from 0 to 1: an image is kept as its counts at the values it has, so
that the areas can be had for any number of pixels and any weighting of the images. They are exact up to `LEVELS`
different scores; beyond, neighbours are taken together, which moves an area by less than 0.001.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domains.entities import EntityMap
from domains.metrics.matching import Comparison, compare_all
from domains.metrics.metric import divide
from domains.metrics.state import Stateful

VALUES = 0x3C00 + 1  # the bits of 1.0 in float16, and as many below it
LEVELS = 2048  # scores of a curve at most: see above what more would change
AT_ONCE = 128  # weightings worked out together: each takes 200 KB


class ScoreCurve(Stateful):
    """Base: per image, at each score, the pixels without a defect and the weight of those with one."""

    HELD = ("_levels", "_counts", "_regions")

    def __init__(self) -> None:
        self._levels: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []  # (2, L) per image
        self._regions: list[float] = []

    def defect_weights(self, comparison: Comparison) -> np.ndarray:
        """(T,) what each pixel of a true entity weighs."""
        return np.ones(len(comparison.true_areas))

    def area(self, good: np.ndarray, bad: np.ndarray, regions: np.ndarray) -> np.ndarray:
        """(R,) from pixels without a defect and weight of those with one at or above each score, highest first.

        good, bad: (R, L); regions: (R,) true entities.
        """
        raise NotImplementedError

    def update(self, prediction: EntityMap, truths: Sequence[EntityMap]) -> None:
        """Takes one image with its annotators' truths. Raises InputError for other shapes, or without a truth."""
        self.observe(compare_all(prediction, truths))

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        """Keeps, at each score that a pixel of the image has, sound pixels and the weight of defective ones."""
        counts = np.zeros((2, VALUES))
        for comparison in comparisons:
            bits = score_bits(comparison)
            good = bits[comparison.labelled & (comparison.true == 0)]
            counts[0] += np.bincount(good, minlength=VALUES) / len(comparisons)
            bad = comparison.true > 0
            weights = self.defect_weights(comparison)[comparison.true[bad] - 1]
            counts[1] += np.bincount(bits[bad], weights, VALUES) / len(comparisons)
        levels = np.flatnonzero(counts.any(0))
        self._levels.append(levels.astype(np.uint16))
        self._counts.append(counts[:, levels])
        self._regions.append(float(np.mean([len(comparison.true_areas) for comparison in comparisons])))

    def compute(self) -> float:
        """The area over all images, each once; nan where it is undefined."""
        return float(self.resample(np.ones((1, len(self._levels))))[0])

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) areas, image i counted weights[r, i] times; nan without pixels of both kinds."""
        levels = np.unique(np.concatenate([np.zeros(0, np.uint16), *self._levels]))
        if not levels.size:
            return np.full(len(weights), np.nan)
        starts = joined(levels, self._pooled(levels))
        table = np.zeros((2, len(self._levels), len(starts)))
        for i, (image_levels, counts) in enumerate(zip(self._levels, self._counts, strict=True)):
            at = np.searchsorted(levels[starts], image_levels, side="right") - 1
            np.add.at(table[:, i].T, at, counts.T)
        areas = [self._areas(weights[i : i + AT_ONCE], table) for i in range(0, len(weights), AT_ONCE)]
        return np.concatenate(areas)

    def _pooled(self, levels: np.ndarray) -> np.ndarray:
        """(2, L) counts over all images."""
        pooled = np.zeros((2, len(levels)))
        for image_levels, counts in zip(self._levels, self._counts, strict=True):
            pooled[:, np.searchsorted(levels, image_levels)] += counts
        return pooled

    def _areas(self, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
        good, bad = np.cumsum((weights @ table)[..., ::-1], axis=-1)
        regions = weights @ np.array(self._regions)
        defined = (good[:, -1] > 0) & (regions > 0)
        return np.where(defined, self.area(good, bad, np.maximum(regions, 1e-9)), np.nan)


class PixelAUROC(ScoreCurve):
    """`pixel_auroc`: the chance that a pixel of a defect scores above one of none, ties half.

    nan without pixels of both kinds. 0.5 when nothing is found.
    """

    def area(self, good: np.ndarray, bad: np.ndarray, regions: np.ndarray) -> np.ndarray:
        """(R,) areas under true over false positive rate."""
        return trapezoid(shares(good), shares(bad))


class PixelAP(ScoreCurve):
    """`pixel_ap`: sum over thresholds of the rise in recall times the precision there. nan without both kinds."""

    def area(self, good: np.ndarray, bad: np.ndarray, regions: np.ndarray) -> np.ndarray:
        """(R,) sums of recall steps times precision, without interpolation."""
        precision = np.nan_to_num(divide(bad, bad + good))
        return (np.diff(shares(bad), prepend=0) * precision).sum(1)


class AUPRO(ScoreCurve):
    """`aupro`: the mean share of a true entity's pixels at or above the threshold, against the false positive rate,
    from 0 to `limit`, over `limit`. A small defect weighs as much as a large one.

    nan without a true entity, or without a pixel off them. Between two thresholds the curve is a straight line.
    """

    def __init__(self, limit: float = 0.3) -> None:
        super().__init__()
        self.limit = limit

    def defect_weights(self, comparison: Comparison) -> np.ndarray:
        """(T,) one over the area, so that every true entity weighs 1 in all."""
        return 1 / comparison.true_areas

    def area(self, good: np.ndarray, bad: np.ndarray, regions: np.ndarray) -> np.ndarray:
        """(R,) areas under the per-region overlap, up to the false positive rate `limit`, over it."""
        return trapezoid(shares(good), bad / regions[:, None], self.limit) / self.limit


def joined(levels: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Indices of the levels that begin a group: each alone, or of more than `LEVELS` so many that a group holds no more
    than 2 / `LEVELS` of either kind of pixel, unless one score alone does. pooled: (2, L)."""
    if len(levels) <= LEVELS:
        return np.arange(len(levels))
    shares = np.cumsum(pooled, 1) / np.maximum(pooled.sum(1, keepdims=True), 1e-9)
    group = np.floor(shares * (LEVELS / 2)).sum(0)
    return np.flatnonzero(np.diff(group, prepend=-1) > 0)


def score_bits(comparison: Comparison) -> np.ndarray:
    """(H, W) uint16: the scores' float16 bits, which for numbers of one sign are in the order of the numbers."""
    return np.ascontiguousarray(np.clip(comparison.pixel_scores, 0, 1) + np.float16(0)).view(np.uint16)


def shares(sums: np.ndarray) -> np.ndarray:
    """Running sums (R, L) over the last of them."""
    return sums / np.maximum(sums[:, -1:], 1e-9)


def trapezoid(x: np.ndarray, y: np.ndarray, limit: float = 1.0) -> np.ndarray:
    """(R,) areas under (0, 0) and the points (x, y), both (R, L) and rising, from x = 0 to `limit`."""
    x, y = (np.concatenate([np.zeros((len(x), 1)), values], 1) for values in (x, y))
    step = np.diff(x, axis=1)
    inside = np.clip(divide(limit - x[:, :-1], step), 0, 1)  # the share of each step that lies before the limit
    inside = np.where(step > 0, inside, 0)
    end = y[:, :-1] + np.diff(y, axis=1) * inside
    return (step * inside * (y[:, :-1] + end) / 2).sum(1)
