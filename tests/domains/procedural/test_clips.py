from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from domains.entities import EntityMap, EntitySample, Place
from domains.entities.tracks import Tracks
from domains.errors import InputError
from domains.procedural.clips import SCENARIOS, Clip, draw_clip
from domains.procedural.still_clips import clip_of_still

SIDE = 64


def maps_of(clip: Clip) -> np.ndarray:
    return np.stack(list(clip.maps()))


def visible(maps: np.ndarray) -> dict[int, np.ndarray]:
    """The frames in which each track is visible."""
    return {int(i): np.flatnonzero((maps == i).any(axis=(1, 2))) for i in np.unique(maps[maps > 0])}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_clip_depends_on_its_seed_alone_and_a_frame_on_the_clip(scenario: str) -> None:
    clip, again = (draw_clip(scenario, (5, 1), 20, SIDE, SIDE) for _ in range(2))
    late = again.frame(17)  # before any other frame
    assert all(np.array_equal(a, b) for a, b in zip(clip.frame(17), late, strict=True))
    assert not np.array_equal(clip.frame(17)[0], draw_clip(scenario, (5, 2), 20, SIDE, SIDE).frame(17)[0])
    image, ids = clip.frame(0)
    assert (image.shape, image.dtype, ids.dtype) == ((SIDE, SIDE, 3), np.uint8, np.int32) and ids.max() > 1


def test_an_actor_is_hidden_for_as_many_frames_as_asked_and_returns_under_its_id() -> None:
    for hidden in (4, 10):
        gaps = []
        for seed in range(3):
            frames = visible(maps_of(draw_clip("occlusion", seed, 26, 128, 128, hidden))).values()
            gaps += [int(gap) - 1 for times in frames for gap in np.diff(times) if gap > 2]
        assert (
            len(gaps) >= 6 and sum(hidden <= gap <= hidden + 2 for gap in gaps) >= 5
        )  # less than 6 px are no more seen


def test_a_mother_ends_where_her_two_daughters_begin() -> None:
    divisions = 0
    for seed in range(3):
        clip = draw_clip("division", seed, 24, SIDE, SIDE)
        times = visible(maps_of(clip))
        parents = {child: mother for child, mother in clip.parents.items() if child in times and mother in times}
        assert {[*clip.parents.values()].count(mother) for mother in clip.parents.values()} == {2}
        assert all(times[mother][-1] < times[child][0] for child, mother in parents.items())
        divisions += len(set(parents.values()))
        Tracks.of_maps(clip.maps(), parents)  # they can be those of a clip
    assert divisions >= 6


def test_births_come_in_and_exits_go_out_over_the_rim() -> None:
    for scenario, end in (("births", 0), ("exits", -1)):
        passed = 0
        for seed in range(3):
            maps = maps_of(draw_clip(scenario, seed, 24, SIDE, SIDE))
            for number, times in visible(maps).items():
                if times[end] not in (0, 23):
                    rim = maps[times[end]] == number
                    passed += rim[[0, -1]].any() or rim[:, [0, -1]].any()
        assert passed >= 6, scenario


def test_crossing_actors_cover_each_other_and_part_again() -> None:
    hidden = 0
    for seed in range(3):
        maps = maps_of(draw_clip("crossing", seed, 24, SIDE, SIDE))
        areas = np.stack([(maps == number).sum(axis=(1, 2)) for number in range(1, 5)])
        hidden += int((areas[:, 5:-5].min(1) < 0.6 * np.maximum(areas[:, :3].max(1), 1)).sum())
    assert hidden >= 4


def test_the_ground_drifts_the_light_changes_and_memory_is_that_of_a_frame() -> None:
    clip = draw_clip("births", 1, 100, SIDE, SIDE)
    tracemalloc.start()
    for _ in clip.images():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * SIDE * SIDE * 3  # the pictures' bytes
    means = [draw_clip("births", seed, 40, SIDE, SIDE).light.std() for seed in range(8)]
    drifts = [np.ptp(draw_clip("births", seed, 40, SIDE, SIDE).drifts, axis=0).max() for seed in range(8)]
    assert max(means) > 0.02 and max(drifts) > 1 and min(drifts) == 0


def test_a_pseudo_clip_moves_the_labels_with_the_picture() -> None:
    ids = np.zeros((60, 80), np.int32)
    ids[10:30, 12:30], ids[35:55, 50:78] = 1, 2
    image = np.stack([np.where(ids == 1, 200, 20), np.where(ids == 2, 200, 20), ids * 0], 2).astype(np.uint8)
    sample = EntitySample(image, (EntityMap(ids),), Place("still"))
    clip = clip_of_still(sample, 3, 12, 48, 48)
    moved = 0
    for picture, frame in (clip.frame(index) for index in range(len(clip))):
        for number in (1, 2):
            agree = (picture[..., number - 1] > 90) == (frame == number)
            assert agree[frame >= 0].mean() > 0.97  # all but interpolated rims
        moved += not np.array_equal(frame, clip.frame(0)[1])
    assert moved >= 10
    still = clip_of_still(sample, 3, 2, 60, 60, strength=0)
    assert np.array_equal(still.frame(0)[1], still.frame(1)[1])
    gone = [clip_of_still(sample, seed, 12, 40, 40, strength=2.5) for seed in range(6)]
    assert any(len(times) < 12 for clip in gone for times in visible(np.stack(list(clip.maps()))).values())


def test_what_no_clip_can_be_drawn_of_is_refused() -> None:
    with pytest.raises(InputError, match="scenario it knows; got 'crosing'.*did you mean 'crossing'"):
        draw_clip("crosing", 0, 10, SIDE, SIDE)
    with pytest.raises(InputError, match="occlusion of 10 frames wants a clip of at least 18 frames; got 12"):
        draw_clip("occlusion", 0, 12, SIDE, SIDE)
    with pytest.raises(InputError, match="hidden=3 is for clips of 'occlusion'"):
        draw_clip("births", 0, 12, SIDE, SIDE, hidden=3)
    sample = EntitySample(np.zeros((8, 8, 3), np.uint8), (EntityMap(np.zeros((8, 8))),), Place("still"))
    with pytest.raises(InputError, match="frames >= 1"):
        clip_of_still(sample, 0, 0, 8, 8)
