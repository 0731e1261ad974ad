"""Several metrics over one set of images: overlaps are counted once per image, intervals come from groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from domains.entities import EntityMap
from domains.entities.forest import EntityForest
from domains.metrics.bootstrap import group_weights, percentile_interval
from domains.metrics.counts import EntityCounts
from domains.metrics.matching import compare_all
from domains.metrics.metric import EntityMetric
from domains.metrics.resampled_set import ResampledSet
from domains.metrics.state import Stateful
from domains.metrics.table import METRICS, build_metrics


class MetricSet(ResampledSet):
    """`update` once per image, then ask: `compute`, `interval`, `by_stratum`, `per_image`.

    metrics: short keys of `METRICS`, or metrics of one's own by key. Raises InputError for an unknown key.
    """

    def __init__(self, metrics: Iterable[str] | Mapping[str, EntityMetric] = tuple(METRICS)) -> None:
        super().__init__()
        self.metrics: dict[str, EntityMetric] = (
            dict(metrics) if isinstance(metrics, Mapping) else build_metrics(metrics)
        )
        self.counts = EntityCounts()

    def update(
        self,
        prediction: EntityMap,
        truths: Sequence[EntityMap],
        group: str,
        stratum: str = "",
        pixel_size_m: float | None = None,
        forest: EntityForest | None = None,
    ) -> None:
        """One image. group: images of one group are drawn together; stratum: a kind of image to report apart;
        pixel_size_m: for densities and what is measured in metres, where known. forest: of which the prediction is a
        cut, for metrics of all that is proposed; those of an image without are of its flat map.
        """
        comparisons = compare_all(prediction, truths, pixel_size_m, forest)
        for metric in self.metrics.values():
            metric.observe(comparisons)
        self.counts.observe(comparisons, pixel_size_m)
        self.groups.append(group)
        self.strata.append(stratum)

    def counted(self, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> dict[str, dict[str, float]]:
        """{name: {value, low, high}} of `EntityCounts`, intervals by group bootstrap as above."""
        drawn = self.counts.resample(group_weights(self.groups, resamples, seed)) if len(set(self.groups)) > 1 else {}
        unknown = np.full(1, np.nan)
        table = {}
        for key, value in self.counts.compute().items():
            low, high = percentile_interval(drawn.get(key, unknown), level)
            table[key] = {"value": value, "low": low, "high": high}
        return table

    def state(self) -> dict[str, Any] | None:
        """All that was seen, as JSON holds it; None where a metric of a package cannot give its part away."""
        metrics = {key: metric.state() for key, metric in self.metrics.items() if isinstance(metric, Stateful)}
        if len(metrics) < len(self.metrics):
            return None
        return {"groups": self.groups, "strata": self.strata, "metrics": metrics, "counts": self.counts.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes what `state` of a set of the same metrics gave, in place of what was seen: every number comes out as of
        that one, to the last bit. Raises KeyError, TypeError or ValueError for other.
        """
        for key, metric in self.metrics.items():
            if not isinstance(metric, Stateful):
                raise TypeError(f"the metric {key!r} keeps no state")
            metric.restore(state["metrics"][key])
        self.counts.restore(state["counts"])
        self.groups, self.strata = list(state["groups"]), list(state["strata"])
        self._resampled = {}

    def pick(self, sets: Sequence[MetricSet], choices: Sequence[int]) -> None:
        """Takes of image i what `sets[choices[i]]` saw of it, in place of what was seen: every number comes out as if
        each image had been measured so. All have this set's metrics. Raises TypeError for a metric of a package that
        keeps nothing of each image, ValueError for sets that did not see the same images in one order.
        """
        if any(picked.groups != sets[0].groups for picked in sets) or len(choices) != len(sets[0]):
            raise ValueError("wanted sets that saw the same images in one order, and a choice for each image")
        for key, metric in self.metrics.items():
            if not isinstance(metric, Stateful):
                raise TypeError(f"the metric {key!r} keeps no state")
            sources = [picked.metrics[key] for picked in sets]
            metric.pick([source for source in sources if isinstance(source, Stateful)], choices)
        self.counts.pick([picked.counts for picked in sets], choices)
        self.groups, self.strata = list(sets[0].groups), list(sets[0].strata)
        self._resampled = {}
