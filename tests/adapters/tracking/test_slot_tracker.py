"""The tracker with a trained memory: the shipped weights on the embedded base, and the faults of EntitySAM that it has
not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.decoders.slots import Look
from adapters.options.tracking import MemoryTracking
from adapters.tracking import FrameEntities, build_tracker
from adapters.tracking.slot_tracker import MemoryTracker, Overlaps, Size, daughters_of, loaded
from domains.entities.tracks import Track
from domains.errors import InputError
from domains.procedural.clips import draw_clip

COLOURS = np.random.default_rng(5).integers(30, 255, (200, 3), np.uint8)


@pytest.fixture(scope="module")
def parts():
    return loaded("entity-small")


def tracker(parts, **options) -> MemoryTracker:
    return MemoryTracker(MemoryTracking(**options), parts)


def frame(
    tick: float, *squares: tuple[int, int, int], side: int = 64, order: np.ndarray | None = None
) -> FrameEntities:
    """Squares of 12 px, each (colour, y, x), on grey; order: their numbers."""
    ids, image = np.zeros((side, side), np.int32), np.full((side, side, 3), 90, np.uint8)
    for index, (colour, y, x) in enumerate(squares):
        ids[y : y + 12, x : x + 12] = index + 1 if order is None else order[index]
        image[y : y + 12, x : x + 12] = COLOURS[colour]
    return FrameEntities(ids, tick, image=image)


def walk(tick: float) -> FrameEntities:
    """Two squares that move."""
    return frame(tick, (0, 8, 4 + 3 * int(tick)), (1, 40, 40 - 2 * int(tick)))


def test_entities_that_move_keep_their_ids_and_a_new_one_gets_the_next(parts) -> None:
    following = tracker(parts)
    assert [following.step(walk(tick)).ids.tolist() for tick in range(4)] == [[1, 2]] * 4
    late = frame(4, (0, 8, 16), (1, 40, 32), (2, 10, 45))
    assert following.step(late).ids.tolist() == [1, 2, 3]
    assert [(track.id, track.first, track.last, track.exit) for track in following.close()] == [
        *((1, 0, 4, "end"), (2, 0, 4, "end"), (3, 4, 4, "end"))
    ]


def test_a_late_entity_is_followed_as_an_early_one(parts) -> None:
    """EntitySAM scores a track by its mean over the clip, which punishes it."""
    early, late = tracker(parts), tracker(parts)
    for tick in range(12):
        assert late.step(frame(tick)).ids.tolist() == []
    for tick in range(4):
        after = walk(tick)
        shifted = FrameEntities(after.ids, tick + 12.0, image=after.image)
        assert early.step(after).ids.tolist() == late.step(shifted).ids.tolist() == [1, 2]


def test_there_is_a_slot_for_every_entity(parts) -> None:
    """EntitySAM has fifty."""
    places = [(number, 2 + 14 * (number // 9), 2 + 14 * (number % 9)) for number in range(81)]
    following = tracker(parts)
    first = following.step(frame(0, *places, side=128)).ids
    moved = [(number, y + 1, x + 1) for number, y, x in places]
    assert first.tolist() == list(range(1, 82))
    assert following.step(frame(1, *moved, side=128)).ids.tolist() == first.tolist()


def test_other_numbers_of_the_entities_change_no_track(parts) -> None:
    plain, turned = tracker(parts), tracker(parts)
    names: dict[int, int] = {}
    for tick in range(3):
        places = (0, 8, 4 + 3 * tick), (1, 40, 40 - 2 * tick), (2, 24, 20)
        order = np.random.default_rng(tick).permutation(3) + 1
        ids = plain.step(frame(tick, *places)).ids.tolist()
        again = turned.step(frame(tick, *places, order=order)).ids[order - 1].tolist()
        names = names or dict(zip(ids, again, strict=True))
        assert again == [names[number] for number in ids]


def test_a_tracker_goes_on_from_its_state_as_if_it_had_not_stopped(parts) -> None:
    whole, stopped = tracker(parts), tracker(parts)
    for tick in range(3):
        whole.step(walk(tick))
        stopped.step(walk(tick))
    resumed = tracker(parts)
    resumed.restore({name: array.copy() for name, array in stopped.state().items()})
    for tick in range(3, 5):
        assert resumed.step(walk(tick)).ids.tolist() == whole.step(walk(tick)).ids.tolist()
    for name, array in whole.state().items():
        assert np.array_equal(array, resumed.state()[name]), name
    assert resumed.close() == whole.close()
    with pytest.raises(KeyError):
        tracker(parts).restore({})


def test_what_is_hidden_comes_back_under_its_id_and_is_forgotten_in_time(parts) -> None:
    following = tracker(parts, memory_frames=6, paint=False)
    for tick in range(3):
        following.step(walk(tick))
    for tick in range(3, 7):
        assert following.step(frame(tick, (1, 40, 40 - 2 * tick))).ids.tolist() == [2]
    assert following.step(walk(7)).ids.tolist() == [1, 2]
    ended: list[Track] = []
    for tick in range(8, 16):
        ended += following.step(frame(tick, (1, 40, 40 - 2 * tick))).ended
    assert [(track.id, track.last, track.exit) for track in ended] == [(1, 7, "lost")]
    assert following.step(frame(16, (0, 8, 8), (1, 40, 8))).ids.tolist() == [3, 2]


def test_the_state_has_as_many_bytes_after_many_frames(parts) -> None:
    """EntitySAM keeps all frames. What the base sees is one frame's throughout: it is the state that is looked at."""
    following, sizes = tracker(parts), []
    look = Look(
        torch.randn(96, 8, 8),
        torch.cat([torch.nn.functional.normalize(torch.randn(32, 16, 16), dim=0), torch.zeros(3, 16, 16)]),
    )
    for tick in range(150):
        entities = walk(tick % 8) if tick % 40 < 30 else frame(tick)
        following.named(FrameEntities(entities.ids, float(tick), image=entities.image), look, Size((64, 64), (64, 64)))
        sizes.append(sum(array.nbytes for array in following.state().values()))
    assert max(sizes[100:]) <= max(sizes[20:60]) and len(following.slots) < 30


def test_what_the_network_misses_for_a_frame_is_painted_by_its_slot(parts) -> None:
    following = tracker(parts, least_score=0.3)
    for tick in range(3):
        following.step(walk(tick))
    seen = walk(3)
    missed = FrameEntities(np.where(seen.ids == 2, 1, 0).astype(np.int32), 3.0, image=seen.image)
    step = following.step(missed)
    assert step.ids.tolist() == [2] and step.painted is not None
    painted, truth = step.painted == 1, seen.ids == 1
    assert (painted & truth).sum() / (painted | truth).sum() > 0.4
    assert not (step.painted[missed.ids > 0]).any()
    assert tracker(parts, paint=False).step(missed).painted is None


def test_two_daughters_where_a_mother_was_end_her_and_one_that_is_still_there_does_not() -> None:
    logits = np.array([[0.0, 0.0, -9.0], [-9.0, -9.0, -9.0]])
    halves = Overlaps(
        np.array([40.0, 40.0]), np.array([18.0, 16.0, 40.0]), np.array([[17.0, 15.0, 0.0], [0.0, 0.0, 38.0]])
    )
    whole = np.ones(2, bool)
    assert daughters_of(logits, halves, whole) == {0: (0, 1)}
    assert daughters_of(logits, halves, ~whole) == {}
    assert daughters_of(logits - 9, halves, whole) == {}
    there = halves._replace(
        proposals=np.array([38.0, 16.0, 40.0]), shared=np.array([[36.0, 15.0, 0.0], [0.0, 0.0, 38.0]])
    )
    assert daughters_of(logits, there, whole) == {}
    empty = np.zeros((0, 2))
    assert daughters_of(empty, Overlaps(np.zeros(0), np.zeros(2), empty), np.zeros(0, bool)) == {}


def test_a_cell_that_divides_ends_and_is_the_parent_of_its_daughters(parts) -> None:
    clip, following, ended = draw_clip("division", 2, 12, 96, 96), tracker(parts), []
    for tick in range(12):
        image, truth = clip.frame(tick)
        ids = np.unique(truth, return_inverse=True)[1].reshape(truth.shape).astype(np.int32)
        ended += following.step(FrameEntities(ids, float(tick), image=image)).ended
    mothers = [track.id for track in ended if track.exit == "divided"]
    daughters = [track.parent for track in following.close() if track.parent]
    assert mothers and sorted(daughters) == sorted(mothers * 2)


@pytest.mark.parametrize("scenario", ["crossing", "occlusion"])
def test_the_shipped_weights_keep_ids_in_clips_that_they_have_not_learnt_from(parts, scenario) -> None:
    clip = draw_clip(scenario, 77, 20, 96, 96)
    following, names, kept = tracker(parts), {}, []
    for tick in range(20):
        image, truth = clip.frame(tick)
        numbers, ids = np.unique(truth, return_inverse=True)
        ids = ids.reshape(truth.shape).astype(np.int32)
        step = following.step(FrameEntities(ids, float(tick), image=image))
        for number, name in zip(numbers[1:].tolist(), step.ids.tolist(), strict=True):
            kept.append(names.setdefault(number, name) == name)
    assert np.mean(kept) > 0.9


def test_a_frame_wants_its_image_and_a_base_its_memory(parts, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wants the image of each frame"):
        tracker(parts).step(FrameEntities(np.zeros((8, 8), np.int32), 0.0))
    with pytest.raises(InputError):
        build_tracker(MemoryTracking(base=str(tmp_path)))
    assert isinstance(build_tracker(MemoryTracking()), MemoryTracker)
