"""The baselines link what follows, forget what is hidden, and say how tracks end."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.options.tracking import Nearest, Overlap, TrackingOptions
from adapters.tracking import FrameEntities, build_tracker
from domains.entities.tracks import Track
from tests.adapters.tracking.clips import Disc, drawn


@pytest.mark.parametrize("options", [Overlap(), Nearest(most_px=8)])
def test_baselines_follow_what_moves_slowly_and_lose_what_is_hidden(options: TrackingOptions) -> None:
    discs = [Disc(20, 12, 0, 2), Disc(45, 60, radius=5)]
    maps = [drawn(discs if at != 4 else discs[:1], at) for at in range(8)]
    tracker = build_tracker(options)
    steps = [tracker.step(FrameEntities(ids, float(at))) for at, ids in enumerate(maps)]
    assert [step.ids.tolist() for step in steps] == [[1, 2]] * 4 + [[1]] + [[1, 3]] * 3
    assert steps[4].ended == [Track(2, 0, 3, exit="lost")]
    assert tracker.close() == [Track(1, 0, 7), Track(3, 5, 7)]


def test_by_overlap_a_leap_is_a_new_entity_and_by_nearness_it_is_not() -> None:
    leap = [drawn([Disc(30, 30, 0, 20)], at) for at in range(2)]
    ids = {}
    for options in (Overlap(), Nearest()):
        tracker = build_tracker(options)
        ids[options.name] = [tracker.step(FrameEntities(np.asarray(frame), float(at))).ids.tolist()
                             for at, frame in enumerate(leap)]  # fmt: skip
    assert ids == {"iou": [[1], [2]], "nearest": [[1], [1]]}


def test_an_empty_frame_ends_all_tracks() -> None:
    for options in (Overlap(), Nearest()):
        tracker = build_tracker(options)
        tracker.step(FrameEntities(drawn([Disc(30, 3)], 0), 0.0))
        step = tracker.step(FrameEntities(np.zeros((64, 96), np.int32), 1.0))
        assert step.ids.tolist() == [] and step.ended == [Track(1, 0, 0, exit="left")] and tracker.close() == []
