"""Entities keep their ids through crossing and hiding; divisions and merges are told; a state is all that is needed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from adapters.options.tracking import Motion
from adapters.tracking import FrameEntities, build_tracker, moving
from adapters.tracking.motion import MotionTracker
from adapters.tracking.moving import laid
from domains.entities.tracks import Track
from tests.adapters.tracking.clips import Disc, drawn, followed


def test_crossing_discs_keep_their_ids() -> None:
    discs = [Disc(20, 10, 1, 3), Disc(46, 16, -1, 3), Disc(32, 85, 0, -3)]
    ids = list(followed(MotionTracker(), [drawn(discs, at) for at in range(25)]))
    assert {frozenset(frame.items()) for frame in ids if len(frame) == 3} == {frozenset(ids[0].items())}


@pytest.mark.parametrize("gap", [10, 20])
def test_an_id_outlasts_an_occlusion(gap: int) -> None:
    speed = 2.0
    width = int(gap * speed + 12)  # a wall behind which the disc, 13 px wide, is hidden for `gap` frames
    maps = []
    for at in range(gap + 40):
        truth = drawn([Disc(32, 10, 0.2, speed)], at, (64, 160))
        truth[10:60, 40 : 40 + width] = 2
        maps.append(truth)
    hidden = sum(1 not in np.unique(truth) for truth in maps)
    assert gap <= hidden <= gap + 2
    frames = list(followed(MotionTracker(), maps))
    assert {frame[1] for frame in frames if 1 in frame} == {frames[0][1]}
    assert {frame[2] for frame in frames} == {frames[0][2]}


def test_what_is_hidden_for_longer_than_the_memory_is_new_and_the_old_is_lost() -> None:
    maps = [drawn([Disc(30, 40)], 0) * (at < 6 or at > 12) for at in range(20)]
    tracker = MotionTracker(Motion(memory_frames=4))
    ended, ids = [], set()
    for at, truth in enumerate(maps):
        step = tracker.step(FrameEntities(truth, float(at)))
        ended += step.ended
        ids |= set(step.ids.tolist())
    assert ids == {1, 2}
    assert ended == [Track(1, 0, 5, exit="lost")]
    assert tracker.close() == [Track(2, 13, 19)]


def test_a_division_ends_the_mother_and_begins_two_daughters() -> None:
    maps = [drawn([Disc(30, 40, radius=9)], at) for at in range(5)]
    maps += [drawn([Disc(30, 34, 0, -0.5), Disc(30, 46, 0, 0.5)], at) for at in range(8)]
    tracker = MotionTracker()
    ended, last = [], np.zeros(0)
    for at, truth in enumerate(maps):
        step = tracker.step(FrameEntities(truth, float(at)))
        ended, last = ended + step.ended, step.ids
    assert ended == [Track(1, 0, 4, exit="divided")] and sorted(last.tolist()) == [2, 3]
    assert tracker.close() == [Track(2, 5, 12, parent=1), Track(3, 5, 12, parent=1)]


def test_without_divisions_the_larger_piece_keeps_the_id() -> None:
    maps = [drawn([Disc(30, 40, radius=9)], 0)] * 4 + [drawn([Disc(30, 35, radius=7), Disc(30, 47, radius=4)], 0)] * 2
    frames = list(followed(build_tracker(Motion(divisions=False)), maps))
    assert frames[-1] == {1: frames[0][1], 2: frames[0][1] + 1}


def test_something_in_front_of_the_middle_is_no_division() -> None:
    maps = []
    for at in range(12):
        truth = drawn([Disc(32, 48, radius=12)], at)
        ids = np.where(truth == 1, 1 + (np.arange(96) > 48), 0).astype(np.int32) if at >= 5 else truth
        ids[:, 44:53] = np.where(at >= 5, 3, ids[:, 44:53])
        maps.append(ids)
    tracker = MotionTracker()
    ended = [track for at, ids in enumerate(maps) for track in tracker.step(FrameEntities(ids, float(at))).ended]
    assert not [track for track in [*ended, *tracker.close()] if track.parent]


def test_a_merge_is_told_and_what_parts_again_has_its_id() -> None:
    apart = drawn([Disc(30, 34), Disc(30, 48)], 0)
    merged = np.minimum(apart, 1)
    merged[27:34, 34:48] = 1
    frames = list(followed(MotionTracker(), [apart] * 4 + [merged] * 6 + [apart] * 2))
    assert frames[-1] == frames[0]
    tracker = MotionTracker()
    for at, ids in enumerate([apart] * 4 + [merged] * 3):
        tracker.step(FrameEntities(ids, float(at)))
    exits = {track.exit: track.into for track in tracker.close()}
    assert exits in ({"end": 0, "merged": 1}, {"end": 0, "merged": 2})


def test_looks_decide_where_places_do_not() -> None:
    looks = np.eye(2, dtype=np.float32)
    swapped = [Disc(30, 40, radius=5), Disc(30, 52, radius=5)]
    maps = [drawn(swapped, 0)] * 3 + [np.zeros((64, 96), np.int32)] * 3 + [drawn([swapped[1], swapped[0]], 0)] * 2
    place = Motion(position=0.2, likeness=0.8, reach=3.0)
    frames = list(followed(build_tracker(place), maps, looks))
    assert frames[-1] == frames[0]
    assert [*followed(MotionTracker(), maps)][-1] == {1: frames[0][2], 2: frames[0][1]}


def test_what_went_on_otherwise_while_it_was_hidden_is_known_by_its_colours() -> None:
    """Two discs go into a tunnel and come out in each other's lane."""
    maps, images = [], []
    for at in range(40):
        inside = at >= 16
        truth = drawn([Disc(22 + 20 * inside, 10, 0, 2.5), Disc(42 - 20 * inside, 10, 0, 2.5)], at, (64, 128))
        truth[8:56, 40:75] = 3
        maps.append(truth)
        images.append(np.array([[20, 90, 40], [200, 60, 60], [60, 60, 200], [120, 120, 120]], np.uint8)[truth])
    for shown, expected in ((images, {1: 1, 2: 2, 3: 3}), ([None] * 40, {1: 2, 2: 1, 3: 3})):
        tracker = MotionTracker()
        for at, (truth, image) in enumerate(zip(maps, shown, strict=True)):
            present = np.unique(truth[truth > 0])
            dense = np.searchsorted(present, truth) + 1
            step = tracker.step(FrameEntities((dense * (truth > 0)).astype(np.int32), float(at), image=image))
        assert dict(zip(present.tolist(), step.ids.tolist(), strict=True)) == expected


def test_a_clip_goes_on_where_looks_of_another_width_come() -> None:
    truth, image = drawn([Disc(30, 40)], 0), np.zeros((64, 96, 3), np.uint8)
    tracker = MotionTracker()
    for at, features in enumerate([None, np.ones((1, 4), np.float32) / 2, None]):
        assert tracker.step(FrameEntities(truth, float(at), features, image)).ids.tolist() == [1]


def test_a_state_holds_looks_of_several_widths() -> None:
    left, right = (drawn([Disc(30, x)], 0) for x in (20, 70))
    image, tracker, restored = np.zeros((*left.shape, 3), np.uint8), MotionTracker(), MotionTracker()
    tracker.step(FrameEntities(left, 0.0, image=image))
    tracker.step(FrameEntities(right, 1.0, np.ones((1, 4), np.float32) / 2, image))
    restored.restore(tracker.state())
    for before, after in zip(tracker.tracks, restored.tracks, strict=True):
        assert before.looks is not None and np.array_equal(before.looks, after.looks)
    assert [track.looks.shape for track in restored.tracks if track.looks is not None] == [(6,), (10,)]


@pytest.mark.parametrize("visible", [9, 6, 3])
def test_a_mask_is_laid_over_what_still_shows_of_it(visible: int) -> None:
    truth = drawn([Disc(30, 40, radius=6)], 0, (64, 80))
    rows, columns = np.nonzero(truth)
    mask = truth[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] > 0
    corner = np.array([rows.min(), columns.min()], float)
    frame = np.roll(truth, (1, 4), (0, 1))
    frame[10:50, 38 + visible : 60] = 2  # a wall, in front of all but `visible` columns of it
    step, shown, ground = laid(FrameEntities(frame, 1.0), 0, mask, corner, np.array([0.0, 2.0]), 4)
    assert step.tolist() == [1, 4] and (shown, ground) == ((frame == 1).sum(), 0)
    assert abs(np.nonzero(frame == 1)[1].mean() - 44) > 1  # the centre of what shows is elsewhere


def test_the_search_for_a_large_mask_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    margins: list[int] = []

    def counting(*arguments: Any) -> tuple[np.ndarray, int, int]:
        margins.append(arguments[-1])
        return laid(*arguments)

    monkeypatch.setattr(moving, "laid", counting)
    tracker = MotionTracker()
    for at, width in ((0, 300), (3, 150)):  # away for two frames, and half of it is back
        frame = np.zeros((320, 320), np.int32)
        frame[:, :width] = 1
        tracker.step(FrameEntities(frame, float(at)))
    assert margins == [moving.FARTHEST]


def test_colours_are_those_of_the_pixels_less_the_images() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    ids = np.array([[0, 1, 1, 2, 2, 2, 0, 2]] * 6)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(float)
    means = np.array([lab[ids == number].mean(0) for number in (1, 2)]) - lab.reshape(-1, 3).mean(0)
    spread = np.array([lab[ids == number].std(0) for number in (1, 2)])
    expected = np.hstack([means, spread - spread.mean(0)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    looks = FrameEntities(ids.astype(np.int32), 0.0, image=image).looks
    assert looks is not None and np.allclose(looks, expected, atol=1e-5)
    features = np.array([[0, 1], [1, 0]], np.float32)
    both = FrameEntities(ids.astype(np.int32), 0.0, features, image).looks
    assert both is not None and both.shape == (2, 8) and np.allclose(np.linalg.norm(both, axis=1), 1)
    assert FrameEntities(np.zeros((4, 4), np.int32), 0.0, image=image[:4, :4]).looks.shape == (0, 6)


def test_a_gap_in_the_numbering_is_one_in_time() -> None:
    disc = Disc(30, 10, 0, 4, radius=4)
    frames = [0, 1, 2, 6, 7]  # 16 px from frame to frame, twice its diameter
    tracker = MotionTracker()
    ids = [tracker.step(FrameEntities(drawn([disc], at), float(at))).ids.tolist() for at in frames]
    assert ids == [[1]] * 5


@pytest.mark.parametrize("name", ["motion", "iou", "nearest"])
def test_a_restored_tracker_goes_on_as_if_nothing_had_been(name: str) -> None:
    from adapters.options.section import checked
    from adapters.options.tracking import Motion, Nearest, Overlap

    kind = {"motion": Motion, "iou": Overlap, "nearest": Nearest}[name]
    discs = [Disc(20, 10, 1, 3), Disc(44, 10, -1, 3), Disc(32, 85, 0, -3), Disc(10, 50, 2, 0, begin=6)]
    maps = [drawn(discs, at) for at in range(24)]
    looks = np.eye(4, dtype=np.float32)
    whole = build_tracker(checked(kind, {"name": name}))
    expected = list(followed(whole, maps, looks))
    tracker = build_tracker(checked(kind, {"name": name}))
    frames = list(followed(tracker, maps[:11], looks))
    following = build_tracker(checked(kind, {"name": name}))
    following.restore({key: values.copy() for key, values in tracker.state().items()})
    frames += list(followed(following, maps[11:], looks, begin=11))
    assert frames == expected and following.close() == whole.close()
