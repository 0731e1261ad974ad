"""The metrics by short key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from domains.errors import InputError, suggest
from domains.metrics.aggregated_jaccard import AggregatedJaccard, AggregatedJaccardPlus
from domains.metrics.average_precision import AveragePrecision, AverageRecall
from domains.metrics.boundary_f import BoundaryF
from domains.metrics.covering import Covering
from domains.metrics.detection import F1, SegmentationAccuracy
from domains.metrics.dice import ForegroundDice
from domains.metrics.foreground_iou import ForegroundIoU
from domains.metrics.image_auroc import ImageAUROC
from domains.metrics.metric import EntityMetric
from domains.metrics.panoptic_quality import PanopticQuality
from domains.metrics.tolerant_f1 import TolerantF1

METRICS: dict[str, Callable[[], EntityMetric]] = {
    "ap": AveragePrecision,
    "ap50": partial(AveragePrecision, thresholds=(0.5,)),
    "ar100": AverageRecall,
    "f1": F1,
    "sa": SegmentationAccuracy,
    "pq": PanopticQuality,
    "aji": AggregatedJaccard,
    "aji_plus": AggregatedJaccardPlus,
    "dice": ForegroundDice,
    "iou": ForegroundIoU,
    "covering": Covering,
    "boundary_f": BoundaryF,
    "f1_2px": TolerantF1,
    "image_auroc": ImageAUROC,
}


def build_metrics(keys: Iterable[str]) -> dict[str, EntityMetric]:
    """Fresh metrics by short key. Raises InputError for a key that is not in `METRICS`."""
    keys = list(keys)
    for key in keys:
        if key not in METRICS:
            raise InputError(f"metric is {key!r}; {suggest(key, METRICS)}")
    return {key: METRICS[key]() for key in keys}
