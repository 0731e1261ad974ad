"""Several metrics over one set of clips: each clip is read once, intervals come from clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from domains.metrics.clip_comparison import ClipComparison, compare_clips
from domains.metrics.clip_metric import ClipMetric
from domains.metrics.clip_table import CLIP_METRICS, build_clip_metrics
from domains.metrics.resampled_set import ResampledSet


@dataclass(frozen=True)
class TrackMaps:
    """A clip's tracks. maps: (H, W) int maps of track ids, frame by frame, read once; parents: see `ClipComparison`."""

    maps: Iterable[np.ndarray]
    parents: Mapping[int, int] = field(default_factory=dict)


class ClipMetricSet(ResampledSet):
    """`update` once per clip, then ask as of a `MetricSet`; an image of its methods is here a clip.

    metrics: short keys of `CLIP_METRICS`. Raises InputError for an unknown key.
    """

    def __init__(self, metrics: Iterable[str] = tuple(CLIP_METRICS)) -> None:
        super().__init__()
        self.metrics: dict[str, ClipMetric] = build_clip_metrics(metrics)
        self.frames = self.tracks = 0

    def update(self, prediction: TrackMaps, truth: TrackMaps, group: str, stratum: str = "") -> ClipComparison:
        """One clip with its truth, each frame of which is read once and then forgotten; gives what overlapped.

        group: clips of one group are drawn together, such as two of one scene; stratum: a kind of clip to report apart.
        Raises InputError for clips of two lengths or sizes.
        """
        contours = any(metric.contours for metric in self.metrics.values())
        clip = compare_clips(prediction.maps, truth.maps, prediction.parents, truth.parents, contours)
        for metric in self.metrics.values():
            metric.observe(clip)
        self.groups.append(group)
        self.strata.append(stratum)
        self.frames += len(clip.frames)
        self.tracks += len(clip.true_tracks)
        return clip
