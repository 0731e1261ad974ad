"""From entities of frames to tracks of a clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.options.tracking import TrackingOptions
from adapters.tracking.baselines import NearestTracker, OverlapTracker
from adapters.tracking.motion import MotionTracker
from adapters.tracking.tracker import FrameEntities, State, Step, Tracker

TRACKERS: dict[str, Callable[[Any], Tracker]] = {
    "motion": MotionTracker,
    "iou": OverlapTracker,
    "nearest": NearestTracker,
}


def build_tracker(options: TrackingOptions) -> Tracker:
    """The tracker of these options."""
    return TRACKERS[options.name](options)


__all__ = ["TRACKERS", "FrameEntities", "State", "Step", "Tracker", "build_tracker"]
