"""What more labelled images would buy: a learning curve carried on by a power law, with an interval of its own.

The error falls by a power of the number of images, down to what no number helps: y = a - b n^-c (Hestness et al.,
https://arxiv.org/abs/1712.00409; Viering and Loog, The Shape of Learning Curves, TPAMI 45(6), 2023). Of few points it
is a guess, so it is drawn again for every resampling of the test groups and of the seeds, and their spread is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from domains.metrics.bootstrap import percentile_interval

MORE_IMAGES = 20
ENOUGH = 0.01
"""A gain that is not worth so many labels."""
POWERS = np.geomspace(0.1, 2, 40)
"""Tried for c; 1/2 is what a mean does, published curves have .07 to .7."""
FEWEST_POINTS = 3
LEVEL = 0.95


@dataclass(frozen=True)
class Outlook:
    """metric: of which the gain is; images: of the last point; gain: of `added` images, by the points' means; interval:
    95 % over resampled test groups and seeds; limit: what the curve comes to with ever more images.
    """

    metric: str
    images: int
    added: int
    gain: float
    interval: tuple[float, float]
    limit: float

    @property
    def verdict(self) -> str:
        """stop where all of the interval is below `ENOUGH`; go on where the gain is above that, and all of the interval
        above nothing; else undecided.
        """
        if self.interval[1] < ENOUGH:
            return "stop"
        return "go on" if self.interval[0] > 0 and self.gain >= ENOUGH else "undecided"

    def __str__(self) -> str:
        low, high = self.interval
        advice = {
            "stop": f"less than {ENOUGH:g}: stop labelling at random, look at what fails",
            "go on": "beyond chance: go on",
            "undecided": "which may be chance; a further point of the curve, or more test groups, would tell",
        }[self.verdict]
        return (
            f"{self.added} more images: {self.metric} {self.gain:+.3f} [{low:+.3f}, {high:+.3f}] by a power law "
            f"through the points, towards {self.limit:.3f}; {advice}"
        )


def outlook(metric: str, points: Sequence[Sequence[dict[str, Any]]], added: int = MORE_IMAGES) -> Outlook | None:
    """What so many more images would buy; None of fewer than three points, or without groups to resample.

    points: the results of each number of images, from few to many, a seed each, as `timed_fit` writes them.
    """
    numbers = np.array([results[0]["train_images"] for results in points], float)
    if len(points) < FEWEST_POINTS or points[0][0]["groups"] < 2:
        return None
    means = np.array([[np.mean([result["metrics"][metric] for result in results])] for results in points])
    drawn = np.stack([resampled(results, seed) for seed, results in enumerate(points)])
    count = numbers[-1]
    (gain,), (limit,) = carried_on(numbers, means, count, count + added)
    gains, _ = carried_on(numbers, drawn, count, count + added, may_fall=True)
    if not np.isfinite(gains).any() or math.isnan(gain):
        return None
    return Outlook(metric, int(count), added, float(gain), percentile_interval(gains, LEVEL), float(limit))


def resampled(results: Sequence[dict[str, Any]], seed: int) -> np.ndarray:
    """(R,) a point's value over resampled test groups, alike at every point, and over its fits, drawn anew too."""
    values = np.array([result["resampled"] for result in results], float)  # (S, R)
    fits, draws = values.shape
    chosen = np.random.default_rng(seed).integers(fits, size=(fits, draws))
    return np.take_along_axis(values, chosen, 0).mean(0)


def carried_on(
    numbers: np.ndarray, values: np.ndarray, begin: float, end: float, may_fall: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(gains, limits) (R,): how much y = a - b n^-c rises from `begin` to `end` images, and a.

    numbers: (P,) images; values: (P, R). a is no more than 1, c of `POWERS`, the nearest to all points, and b no less
    than 0 unless the curve may fall, as one that is drawn by chance may.
    """
    best = np.full(values.shape[1], np.inf)
    gains, limits = np.full_like(best, np.nan), np.full_like(best, np.nan)
    for power in POWERS:
        falls = -(numbers**-power)
        spread = falls - falls.mean()
        b = np.maximum(spread @ values / (spread @ spread), -np.inf if may_fall else 0)
        a = values.mean(0) - b * falls.mean()
        b = np.where(a > 1, np.maximum(falls @ (values - 1) / (falls @ falls), 0), b)
        a = np.minimum(a, 1)
        error = ((values - a - falls[:, None] * b) ** 2).sum(0)
        nearer = error < best
        best = np.where(nearer, error, best)
        gains = np.where(nearer, b * (begin**-power - end**-power), gains)
        limits = np.where(nearer, a, limits)
    return gains, limits
