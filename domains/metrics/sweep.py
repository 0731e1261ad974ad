"""Metrics of forests cut at several granularities, all of one prediction of each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from domains.entities import EntityMap
from domains.entities.forest import EntityForest
from domains.metrics.cut_covering import CutCovering, ImageCovering, PredictedCovering
from domains.metrics.metric import EntityMetric
from domains.metrics.metric_set import MetricSet
from domains.metrics.table import build_metrics

EVERYWHERE = ("covering", "ap_e")
"""Metrics of every cut beside the domain's own."""
OF_FORESTS = ("ar1", "ar10", "ar100", "ar1000", "best_covering", "hierarchy")
"""Metrics of all nodes of a forest, beside covering at ODS, at OIS and at the predicted granularity."""


class Sweep(MetricSet):
    """The metrics of the flat maps, as `MetricSet` has them without any forest; beside these `at` each granularity
    those of its cuts, and `of_forest` those of all that is proposed.

    metrics: fresh ones by key, asked for once a granularity. granularities: in [0, 1], of all cuts that differ.
    """

    def __init__(self, metrics: Callable[[], Mapping[str, EntityMetric]], granularities: Sequence[float]) -> None:
        super().__init__(metrics())
        cuts = {g: {**metrics(), **build_metrics(EVERYWHERE)} for g in sorted(granularities)}
        self.at = {g: MetricSet(of_cut) for g, of_cut in cuts.items()}
        self.ods = CutCovering(granularities)
        of_cuts = {
            "covering_ods": self.ods,
            "covering_ois": ImageCovering(granularities),
            "covering_predicted": PredictedCovering(granularities),
        }
        self.of_forest = MetricSet({**of_cuts, **build_metrics(OF_FORESTS)})

    def update(
        self,
        prediction: EntityMap,
        truths: Sequence[EntityMap],
        group: str,
        stratum: str = "",
        pixel_size_m: float | None = None,
        forest: EntityForest | None = None,
    ) -> None:
        """One image, as `MetricSet.update` has it. Raises ValueError without its forest."""
        if forest is None:
            raise ValueError("wanted the forest of which the prediction is a cut")
        about = truths, group, stratum, pixel_size_m
        super().update(prediction, *about)
        self.of_forest.update(prediction, *about, forest)
        for granularity, metrics in self.at.items():
            metrics.update(forest.cut(granularity), *about)

    def curve(self, key: str) -> list[tuple[float, float]]:
        """(granularity, value) of a metric at each, the wholes first; nan where it is undefined."""
        return [(granularity, metrics.compute()[key]) for granularity, metrics in self.at.items()]

    def best(self, key: str) -> float:
        """The granularity at which a metric is greatest; of several the finest, as where it is undefined everywhere."""
        values = [-np.inf if np.isnan(value) else value for _, value in self.curve(key)]
        return max(g for g, value in zip(self.at, values, strict=True) if value == max(values))
