"""PoLiS, a distance of polygons: Avbelj, Mueller, Bamler, A Metric for Polygon Comparison and Building Extraction
Evaluation, IEEE GRSL 12(1), 170-174 (2015), https://doi.org/10.1109/LGRS.2014.2330695, equation 4.

The mean distance from the corners of one outline to the other outline, taken both ways and halved. Entities are maps,
so corners are those of the pixel outlines, all parts and holes included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects

from domains.entities.outlines import outlines
from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide

AT_ONCE = 2**20  # distances of corners to sides


class Polis(ImageMetric):
    """`polis_px`, and `polis_m` over the images whose pixel size is known: the mean over the pairs that match at IoU >=
    0.5, 0 where all are drawn alike; nan where none matches.
    """

    best = 0.0

    def __init__(self, in_metres: bool = False) -> None:
        super().__init__()
        self.in_metres = in_metres

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(sum of the distances of matched pairs, in pixels or metres, number of the pairs)."""
        size = comparison.pixel_size_m if self.in_metres else 1.0
        if size is None:
            return 0.0, 0.0
        distances = [polis(*pair) for pair in matched_outlines(comparison)]
        return size * float(sum(distances)), float(len(distances))

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The mean distance (R,) of a pair from sums (2, R), nan where no pair matches."""
        return divide(sums[0], sums[1])


Rings = Sequence[np.ndarray]
"""Closed rings, each (K, 2) x, y."""


def polis(outline: Rings, reference: Rings) -> float:
    """The distance of two outlines, in the unit of their corners."""
    return (_mean_distance(outline, reference) + _mean_distance(reference, outline)) / 2


def _mean_distance(corners: Rings, outline: Rings) -> float:
    """Mean over the corners of the distance to the nearest side."""
    points = np.concatenate([ring[:-1] for ring in corners]).astype(float)
    starts = np.concatenate([ring[:-1] for ring in outline]).astype(float)
    sides = np.concatenate([np.diff(ring, axis=0) for ring in outline]).astype(float)
    squares = np.maximum((sides**2).sum(axis=1), 1e-12)
    nearest = []
    step = max(1, AT_ONCE // len(starts))
    for i in range(0, len(points), step):
        off = points[i : i + step, None] - starts  # (P, S, 2)
        share = ((off * sides).sum(axis=2) / squares).clip(0, 1)
        nearest.append(np.hypot(*np.moveaxis(off - share[..., None] * sides, -1, 0)).min(axis=1))
    return float(np.concatenate(nearest).mean())


def matched_outlines(comparison: Comparison) -> list[tuple[Rings, Rings]]:
    """(predicted, true) rings in pixels, of the pairs that match."""
    boxes = find_objects(comparison.predicted), find_objects(comparison.true)
    pairs = []
    for pair in comparison.matches:
        predicted, true = int(comparison.pair_predicted[pair]), int(comparison.pair_true[pair])
        pairs.append((
            _rings(comparison.predicted, predicted + 1, boxes[0][predicted]),
            _rings(comparison.true, true + 1, boxes[1][true]),
        ))  # fmt: skip
    return pairs


def _rings(ids: np.ndarray, entity: int, box: tuple[slice, ...]) -> list[np.ndarray]:
    ((_, polygons),) = outlines((ids[box] == entity).astype(np.int32))
    corner = (box[1].start, box[0].start)
    return [np.asarray(ring) + corner for rings in polygons for ring in rings]
