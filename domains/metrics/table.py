"""The metrics by short key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from domains.errors import InputError, suggest
from domains.metrics.aggregated_jaccard import AggregatedJaccard, AggregatedJaccardPlus
from domains.metrics.average_precision import AveragePrecision
from domains.metrics.average_recall import AverageRecall
from domains.metrics.boundary_f import BoundaryF
from domains.metrics.boundary_iou import BoundaryIoU, BoundaryPrecision
from domains.metrics.centre_line import CentreLineDice, CentreLineRecall
from domains.metrics.class_iou import ClassIoU
from domains.metrics.covering import Covering
from domains.metrics.cut_covering import BestCovering, CutCovering, ImageCovering, PredictedCovering
from domains.metrics.detection import F1, SegmentationAccuracy
from domains.metrics.dice import ForegroundDice
from domains.metrics.false_alarms import BestImageF1, FalseAlarms, ImageF1
from domains.metrics.foreground_iou import ForegroundIoU
from domains.metrics.hierarchy import Hierarchy
from domains.metrics.image_auroc import ImageAUROC
from domains.metrics.metric import EntityMetric
from domains.metrics.panoptic_quality import PanopticQuality
from domains.metrics.pixel_scores import AUPRO, PixelAP, PixelAUROC
from domains.metrics.polis import Polis
from domains.metrics.size_classes import SIZES_PX, RegionRecall, SizeF1, SizeRecall
from domains.metrics.sized_precision import COCO_PX, GROUND_M2, SizedPrecision
from domains.metrics.tolerant_f1 import TolerantF1

METRICS: dict[str, Callable[[], EntityMetric]] = {
    "ap": AveragePrecision,
    "ap50": partial(AveragePrecision, thresholds=(0.5,)),
    "ap_e": partial(AveragePrecision, max_entities=100),
    **{f"ar{most}": partial(AverageRecall, most) for most in (1, 10, 100, 1000)},
    "f1": F1,
    "sa": SegmentationAccuracy,
    "pq": PanopticQuality,
    "aji": AggregatedJaccard,
    "aji_plus": AggregatedJaccardPlus,
    "dice": ForegroundDice,
    "iou": ForegroundIoU,
    "covering": Covering,
    "best_covering": BestCovering,
    "covering_ods": CutCovering,
    "covering_ois": ImageCovering,
    "covering_predicted": PredictedCovering,
    "hierarchy": Hierarchy,
    "boundary_f": BoundaryF,
    "boundary_ap": BoundaryPrecision,
    "boundary_iou": BoundaryIoU,
    "polis_px": Polis,
    "polis_m": partial(Polis, in_metres=True),
    **{f"ap_{size}": partial(SizedPrecision, size) for size in COCO_PX},
    **{f"ap_{size}_m2": partial(SizedPrecision, size, in_metres=True) for size in GROUND_M2},
    "f1_2px": TolerantF1,
    "image_auroc": ImageAUROC,
    "image_f1": ImageF1,
    "image_f1_max": BestImageF1,
    "false_alarms": FalseAlarms,
    "class_iou": ClassIoU,
    "region_recall": RegionRecall,
    "pixel_auroc": PixelAUROC,
    "pixel_ap": PixelAP,
    "aupro": AUPRO,
    "aupro_05": partial(AUPRO, limit=0.05),
    "cldice": CentreLineDice,
    "line_recall_2px": CentreLineRecall,
    **{f"recall_{size}": partial(SizeRecall, size) for size in SIZES_PX},
    **{f"f1_{size}": partial(SizeF1, size) for size in SIZES_PX},
}


def build_metrics(keys: Iterable[str]) -> dict[str, EntityMetric]:
    """Fresh metrics by short key. Raises InputError for a key that is not in `METRICS`."""
    keys = list(keys)
    for key in keys:
        if key not in METRICS:
            raise InputError(f"metric is {key!r}; {suggest(key, METRICS)}")
    return {key: METRICS[key]() for key in keys}
