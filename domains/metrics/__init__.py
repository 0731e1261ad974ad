"""Metrics on entity maps. Every one is in [0, 1], 1 for a perfect prediction, nan where it is undefined.

Pixels where the truth is unlabelled are ignored: predictions are cut there, and dropped when more than half of them
lies there. With several annotators, counts and scores are averaged over them per image, unless a metric says otherwise
(`ap`, `ap50`, `ar100` and their like: each annotator's map counts as an image; `boundary_f`: pooled as BSDS500 does).

Metrics of all that is proposed (`ar1` to `ar1000`, `best_covering`, `covering_ods`, `covering_ois`,
`covering_predicted`, `hierarchy`) see the forest of which the prediction is a cut, where `update` is given it.
"""

from __future__ import annotations

from domains.metrics.metric import EntityMetric, ImageMetric
from domains.metrics.metric_set import MetricSet
from domains.metrics.table import METRICS, build_metrics

__all__ = ["METRICS", "EntityMetric", "ImageMetric", "MetricSet", "build_metrics"]
