"""A clip of three tracks, one of which is hidden for a frame and one of which divides, for the tests of formats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from domains.entities.tracks import Track, Tracks
from domains.exports.tracked import TrackedClip
from domains.tiling.clip_journal import TrackedFrame

SHAPE = (21, 31)
TRACKS = Tracks(
    4,
    (Track(1, 0, 3), Track(2, 0, 1, exit="divided"), Track(7, 2, 3, parent=2), Track(9, 2, 2, parent=2, exit="lost")),
)


def maps() -> list[np.ndarray]:
    """(H, W) int32 of the four frames."""
    frames = [np.zeros(SHAPE, np.int32) for _ in range(4)]
    for at, ids in enumerate(frames):
        if at != 2:
            ids[2:6, 2 + 3 * at : 6 + 3 * at] = 1
        if at < 2:
            ids[12:18, 10:20] = 2
        else:
            ids[12:18, 8:13] = 7
    frames[2][12:18, 17:22] = 9
    return frames


def frames() -> Iterator[TrackedFrame]:
    """The frames, as a journal gives them."""
    for number, ids in enumerate(maps()):
        present = np.unique(ids[ids > 0]).astype(np.int64)
        yield TrackedFrame(number, float(number), ids, present, np.full(len(present), 0.5, np.float32))


def images() -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 of each frame."""
    return (np.full((*SHAPE, 3), 100, np.uint8) for _ in range(4))


CLIP = TrackedClip("clip", "clip.mp4", SHAPE, 2.0, 0.5e-6, TRACKS, frames, images)
