"""The metrics of clips by short key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from domains.errors import InputError, suggest
from domains.metrics.acyclic_oriented_graphs import CellSegmentation, CellTracking
from domains.metrics.clear_mot import IdSwitches, MultiObjectTrackingAccuracy
from domains.metrics.clip_metric import ClipMetric
from domains.metrics.higher_order_tracking import HigherOrderTracking
from domains.metrics.identification_f1 import IdentificationF1
from domains.metrics.ids_kept import IdsKept
from domains.metrics.region_and_contour import RegionAndContour
from domains.metrics.segmentation_and_tracking_quality import SegmentationAndTrackingQuality
from domains.metrics.video_panoptic_quality import VideoPanopticQuality

CLIP_METRICS: dict[str, Callable[[], ClipMetric]] = {
    "veq": VideoPanopticQuality,
    **{f"veq_{frames}": partial(VideoPanopticQuality, (frames,)) for frames in (1, 8)},
    "stq": SegmentationAndTrackingQuality,
    "idf1": IdentificationF1,
    "hota": HigherOrderTracking,
    "det_a": partial(HigherOrderTracking, "detection"),
    "ass_a": partial(HigherOrderTracking, "association"),
    "mota": MultiObjectTrackingAccuracy,
    "id_switches": IdSwitches,
    "ids_kept": IdsKept,
    "ids_kept_10": partial(IdsKept, 10),
    "jf": RegionAndContour,
    "j": partial(RegionAndContour, "region"),
    "f": partial(RegionAndContour, "contour"),
    "ctc_seg": CellSegmentation,
    "ctc_det": partial(CellTracking, "vertices"),
    "ctc_tra": partial(CellTracking, "vertices and edges"),
}


def build_clip_metrics(keys: Iterable[str]) -> dict[str, ClipMetric]:
    """Fresh metrics by short key. Raises InputError for a key that is not in `CLIP_METRICS`."""
    keys = list(keys)
    for key in keys:
        if key not in CLIP_METRICS:
            raise InputError(f"metric of clips is {key!r}; {suggest(key, CLIP_METRICS)}")
    return {key: CLIP_METRICS[key]() for key in keys}
