"""Several metrics of images, or of clips, that saw the same ones in the same order: values, and intervals by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from domains.metrics.bootstrap import group_weights, percentile_interval
from domains.metrics.metric import RatioOfSums


class Resampled(Protocol):
    """A metric that can be computed for any weighting of what it saw; see `EntityMetric`."""

    def compute(self) -> float:
        """The metric over all that was seen, each once."""
        ...

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) the metric over what was seen, item i counted weights[r, i] times; weights (R, items)."""
        ...


class ResampledSet:
    """Base of the sets of metrics: ask `compute`, `interval`, `by_stratum`, `per_image`.

    metrics: by key; groups, strata: of each item, for whoever fills the set to append to.
    """

    metrics: Mapping[str, Resampled]

    def __init__(self) -> None:
        self.groups: list[str] = []
        self.strata: list[str] = []
        self._resampled: dict[tuple[int, int, int], dict[str, np.ndarray]] = {}

    def __len__(self) -> int:
        """Images seen."""
        return len(self.groups)

    def compute(self) -> dict[str, float]:
        """Each metric over all images; nan where it is undefined."""
        return {key: metric.compute() for key, metric in self.metrics.items()}

    def per_image(self) -> dict[str, np.ndarray]:
        """Each metric of each image alone (images,), nan where undefined. For pooled metrics their mean is not
        `compute`.
        """
        return self._resample(np.eye(len(self)))

    def of_each_image(self, key: str) -> np.ndarray | None:
        """(images,) a metric of each image alone, nan where undefined; None for one that is no ratio of sums. Unlike
        `per_image` its time and memory grow with the images, not with their square.
        """
        metric = self.metrics[key]
        return metric.of_each_image() if isinstance(metric, RatioOfSums) else None

    def by_stratum(self) -> dict[str, dict[str, float]]:
        """{stratum: {key: value}}: each metric over the images of one stratum; their plain mean gives rare kinds of
        defect the weight of frequent ones.
        """
        strata = np.asarray(self.strata, dtype=str)
        names = np.unique(strata)
        values = self._resample((strata == names[:, None]).astype(float))
        return {str(name): {key: float(column[i]) for key, column in values.items()} for i, name in enumerate(names)}

    def resample(self, resamples: int = 1000, seed: int = 0) -> dict[str, np.ndarray]:
        """Each metric (resamples,) over resampled groups. Two sets that saw the same images in the same order are
        resampled alike, so the difference of their values is a paired comparison.
        """
        asked = len(self), resamples, seed
        if asked not in self._resampled:  # a fit tells its intervals in three places, each seconds for 3,000 images
            weights = group_weights(self.groups, resamples, seed)
            of_groups = weights[:, np.unique(self.groups, return_index=True)[1]]  # all that rows can differ in
            _, rows, which = np.unique(of_groups, axis=0, return_index=True, return_inverse=True)
            values = self._resample(weights[rows])  # of few groups many of a thousand resamples are alike
            self._resampled = {asked: {key: column[which.reshape(-1)] for key, column in values.items()}}
        return self._resampled[asked]

    def interval(self, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Each metric's percentile interval (low, high) by group bootstrap; (nan, nan) with fewer than two groups, as
        one tells nothing about others.
        """
        if len(set(self.groups)) < 2:
            return dict.fromkeys(self.metrics, (float("nan"), float("nan")))
        return {key: percentile_interval(values, level) for key, values in self.resample(resamples, seed).items()}

    def _resample(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {key: metric.resample(weights) for key, metric in self.metrics.items()}
