"""Group bootstrap: how far a number could move had other slides, scenes or patients been photographed.

Images of one group resemble each other, so groups are drawn, not images (Efron & Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13: percentile intervals; Field & Welsh, JRSS B 69, 2007: resampling of clusters).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def group_weights(groups: Sequence[str], resamples: int, seed: int) -> np.ndarray:
    """(resamples, images) float64: how often each image is in each resample, when as many groups as there are get drawn
    with replacement. Equal groups and seed give equal weights, so that two methods can be compared pair by pair.
    """
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return draws[:, member].astype(float)


def percentile_interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """(low, high) holding `level` of the resampled values; undefined ones are left out, (nan, nan) if all are."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
