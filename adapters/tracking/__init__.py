"""From entities of frames to tracks of a clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adapters.options.tracking import MemoryTracking, Sam2Tracking, TrackingOptions
from adapters.tracking.baselines import NearestTracker, OverlapTracker
from adapters.tracking.motion import MotionTracker
from adapters.tracking.tracker import FrameEntities, State, Step, Tracker

if TYPE_CHECKING:  # torch, which the tracker by motion does without
    from adapters.decoders.slot_decoder import FittedMemory


def with_memory(options: MemoryTracking, memory: FittedMemory | None = None) -> Tracker:
    """A trained memory decoder on its base; transformers loads slowly, and the other trackers do without. memory: the
    adapter's, which is taken in place of the base's unless options say otherwise.
    """
    from adapters.tracking.slot_tracker import MemoryTracker

    return MemoryTracker(options, fitted=memory if options.fitted else None)


def with_sam2(options: Sam2Tracking, device: str) -> Tracker:
    """SAM 2 with its weights, as above."""
    from adapters.tracking.sam2_tracker import Sam2Tracker

    return Sam2Tracker(options, device)


TRACKERS: dict[str, Callable[[Any], Tracker]] = {
    "motion": MotionTracker,
    "iou": OverlapTracker,
    "nearest": NearestTracker,
}
ON_DEVICE: dict[str, Callable[[Any, str], Tracker]] = {"sam2": with_sam2}
"""Those with a network that is worth a GPU."""


def build_tracker(options: TrackingOptions, device: str = "cpu", memory: FittedMemory | None = None) -> Tracker:
    """The tracker of these options. device: of torch, for those that run on it; memory: of the adapter, where it has
    one. Raises InputError for weights that are not there or do not fit.
    """
    if isinstance(options, MemoryTracking):
        return with_memory(options, memory)
    if options.name in ON_DEVICE:
        return ON_DEVICE[options.name](options, device)
    return TRACKERS[options.name](options)


__all__ = ["TRACKERS", "FrameEntities", "State", "Step", "Tracker", "build_tracker"]
