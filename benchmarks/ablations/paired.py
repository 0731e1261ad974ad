"""Differences between two arms with an interval: the groups of all folds resampled, alike for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.accuracy.table import short
from domains.metrics import MetricSet
from domains.metrics.bootstrap import percentile_interval

RESAMPLES = 400


def drawn_text(metrics: MetricSet, keys: Sequence[str]) -> dict[str, str]:
    """Each metric over resampled groups, as a result's file holds it: values apart by blanks.

    Arms that were measured on the same images in one order are resampled alike.
    """
    drawn = metrics.resample(RESAMPLES)
    return {key: " ".join(f"{value:.4f}" for value in drawn[key]) for key in keys}


def drawn_of(result: Mapping[str, Any], key: str) -> np.ndarray:
    """(RESAMPLES,) a metric of a result over resampled groups."""
    return np.array(result["drawn"][key].split(), float)


def paired_span(fits: Mapping[int, Mapping[str, Any]], plainly: Mapping[int, Mapping[str, Any]], key: str) -> str:
    """`, -.010 to +.023`: 95 % of the mean difference over the folds that both arms have; nothing where there is none.

    Folds share no group, and each is resampled by itself: the mean of their differences holds what the groups matter,
    not what another draw of crops would.
    """
    folds = [seed for seed in fits if seed in plainly and "drawn" in fits[seed] and "drawn" in plainly[seed]]
    if not folds:
        return ""
    rng = np.random.default_rng(0)
    differences = [
        rng.permutation(drawn_of(fits[seed], key) - drawn_of(plainly[seed], key)) for seed in folds
    ]  # the order of one fold's resamples has nothing to do with another's
    low, high = percentile_interval(np.mean(differences, 0), 0.95)
    return f", {short(low, '+')} to {short(high, '+')}"
