"""What a clip's tracks are, and what cannot be."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from domains.entities.tracks import Exit, Track, Tracks, TrackTally
from domains.errors import InputError


def clip(*rows: list[int]) -> list[np.ndarray]:
    """Frames of 3 x N pixels with these ids in the middle row."""
    return [np.pad(np.array([row], np.int32), ((1, 1), (0, 0))) for row in rows]


def test_tracks_of_maps_know_when_and_how_each_ends() -> None:
    maps = clip([0, 1, 2, 0, 5], [0, 1, 2, -1, 5], [0, 3, 4, 0, 0], [0, 3, 4, 7, 0], [0, 3, 4, 0, 0])
    tracks = Tracks.of_maps(maps, parents={3: 1, 4: 1}, into={2: 4})
    assert tracks.frames == 5
    assert tracks.tracks == (
        Track(1, 0, 1, exit="divided"),
        Track(2, 0, 1, exit="merged", into=4),
        Track(3, 2, 4, parent=1),
        Track(4, 2, 4, parent=1),
        Track(5, 0, 1, exit="left"),
        Track(7, 3, 3, exit="lost"),
    )
    assert tracks.children == {1: (3, 4)}


def test_a_track_that_is_hidden_for_a_while_is_one() -> None:
    tally = TrackTally()
    present = [tally.add(ids).tolist() for ids in clip([0, 6, 0], [0, 0, 0], [0, 6, 0])]
    assert present == [[6], [], [6]]
    assert tally.tracks().tracks == (Track(6, 0, 2),) and tally.visible == {6: 2}


@pytest.mark.parametrize(
    "tracks, told",
    [
        ((Track(0, 0, 1),), "track 0 is no id"),
        ((Track(2, 0, 1), Track(2, 1, 1)), "track 2 comes twice"),
        ((Track(1, 0, 4),), "track 1 lasts from frame 0 to 4; the clip has frames 0 to 3"),
        ((Track(1, 2, 1),), "from frame 2 to 1"),
        ((Track(1, 0, 1, parent=9),), "parent 9, which is no track"),
        ((Track(1, 0, 2, exit="divided"), Track(2, 2, 3, parent=1)), "a mother ends before her daughters"),
        ((Track(1, 0, 1, exit="merged"),), "into 0"),
        ((Track(1, 0, 1, exit="left"), Track(2, 2, 3, parent=1)), "exit 'left' and 1 daughters"),
        ((Track(1, 0, 1, exit=cast(Exit, "gone")),), "wanted one of end, left"),
    ],
)
def test_what_can_be_no_tracks_of_a_clip_is_told(tracks: tuple[Track, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Tracks(4, tracks)


def test_a_daughter_without_pixels_is_told() -> None:
    with pytest.raises(InputError, match="track 8 has no pixel"):
        Tracks.of_maps(clip([1, 1]), parents={8: 1})
