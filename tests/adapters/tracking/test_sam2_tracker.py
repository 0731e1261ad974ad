"""The tracker by SAM 2's memory: its rules on a model that knows entities by colour, its state on a tiny SAM 2."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from adapters.decoders.sam2_memory import Memorised, MemoryBank
from adapters.decoders.sam2_video import Propagated, Sam2Propagation, Seen
from adapters.options.tracking import Sam2Tracking
from adapters.tracking import FrameEntities, Step, build_tracker
from adapters.tracking.sam2_tracker import Sam2Tracker
from domains.errors import InputError
from tests.adapters.decoders.tiny_sam2 import SIDE_PX, tiny_folder, tiny_sam2
from tests.adapters.tracking.clips import Disc, drawn

COLOURS = np.random.default_rng(5).integers(60, 255, (40, 3)).astype(np.uint8)


class Colours(Sam2Propagation):
    """In SAM 2's place: what is remembered of an entity is its mean colour where it was prompted, its mask is what has
    that colour, and it is there where more than 10 pixels have it.
    """

    def look(self, pixels: Tensor) -> Seen:
        return Seen([], pixels[0].flatten(1).T[:, None], pixels.new_zeros(0))

    def answer(self, seen: Seen, colours: Tensor) -> Propagated:
        distances = (seen.tokens[:, 0] - colours[:, None]).abs().sum(2).view(-1, SIDE_PX, SIDE_PX)
        logits = 8 - 100 * distances
        exists = (logits > 0).sum((1, 2)) - 10.5
        return Propagated(logits, exists.sigmoid(), exists, Memorised(colours[:, None].bfloat16(), colours))

    def prompted(self, seen: Seen, masks: Tensor) -> Propagated:
        shares = masks.flatten(1) / masks.sum((1, 2, 3)).clamp_min(1)[:, None]
        return self.answer(seen, shares @ seen.tokens[:, 0])

    def propagated(self, seen: Seen, bank: MemoryBank, at: int) -> Propagated:
        return self.answer(seen, bank.prompted_pointers)


@pytest.fixture(scope="module")
def colours() -> Colours:
    return Colours(tiny_sam2(), (0.0,) * 3, (1.0,) * 3)


@pytest.fixture(scope="module")
def tiny() -> Sam2Propagation:
    return Sam2Propagation(tiny_sam2(exists=2.0), (0.0,) * 3, (1.0,) * 3)


def frame(discs: list[Disc], at: int, missed: tuple[int, ...] = (), size: int = SIDE_PX) -> FrameEntities:
    """Discs of colours of their own on black; missed: numbers of those that the network does not find."""
    truth = drawn(discs, at, (size, size))
    image = np.concatenate([np.zeros((1, 3), np.uint8), COLOURS])[truth]
    numbers, ids = np.unique(np.where(np.isin(truth, missed), 0, truth), return_inverse=True)
    ids = ids.reshape(truth.shape).astype(np.int32) + (numbers[0] > 0)
    return FrameEntities(ids, float(at), image=image)


def map_of(step: Step) -> np.ndarray:
    assert step.masks is not None
    return step.masks


def tracked(tracker: Sam2Tracker, entities: FrameEntities, discs: list[Disc], at: int) -> dict[int, int]:
    """The track at the centre of each disc that is there, 0 for none; no pixel is a track's that is not there."""
    step = tracker.step(entities)
    masks, numbers = step.tracks(entities)
    assert sorted(numbers.tolist()) == np.unique(masks[masks > 0]).tolist()
    assert {*step.ids.tolist()} <= {0, *numbers.tolist()}
    centres = {n: (round(d.y + d.dy * at), round(d.x + d.dx * at)) for n, d in enumerate(discs, 1) if d.begin <= at}
    return {n: int(masks[place]) for n, place in centres.items() if at < discs[n - 1].end}


def test_entities_are_carried_found_late_and_come_back(colours) -> None:
    discs = [Disc(12, 10, dx=3), Disc(48, 50, dx=-3), Disc(30, 30, begin=3), Disc(52, 10, end=5)]
    tracker, ended = Sam2Tracker(Sam2Tracking(memory_frames=3), model=colours), []
    assert tracked(tracker, frame(discs, 0), discs, 0) == {1: 1, 2: 2, 4: 3}
    for at in range(1, 3):
        assert tracked(tracker, frame(discs, at, missed=(1, 2)), discs, at) == {1: 1, 2: 2, 4: 3}  # carried alone
    for at in range(3, 5):
        assert tracked(tracker, frame(discs, at), discs, at) == {1: 1, 2: 2, 3: 4, 4: 3}
    gone = [discs[0], discs[1], Disc(30, 30, begin=3, end=5), discs[3]]
    for at in (5, 6):
        tracked(tracker, frame(gone, at), gone, at)
    assert tracked(tracker, frame(discs, 7), discs, 7)[3] == 4
    for at in range(8, 11):
        ended += tracker.step(frame(discs, at)).ended
    assert [(track.id, track.first, track.last, track.exit) for track in ended] == [(3, 0, 4, "lost")]
    assert {(track.id, track.exit) for track in tracker.close()} == {(1, "end"), (2, "end"), (4, "end")}
    assert not len(tracker.ids) and tracker.close() == []


def test_pieces_of_what_is_carried_are_no_entities_and_outlines_are_chosen(colours) -> None:
    """The network finds an entity whole, then in halves, then a little too large."""
    discs = [Disc(30, 30, radius=12)]
    carried, proposed = (Sam2Tracker(Sam2Tracking(outlines=word), model=colours) for word in ("propagated", "proposed"))
    for tracker in (carried, proposed):
        tracker.step(frame(discs, 0))
        halves = frame(discs, 1)
        halves.ids[:, 30:] *= 2
        step = tracker.step(halves)
        assert 0 in step.ids.tolist() and {*step.ids.tolist()} <= {0, 1}
    larger, whole = frame([Disc(30, 30, radius=13)], 2), frame(discs, 2)
    image = FrameEntities(larger.ids, 2.0, image=whole.image)
    kept, drawn_anew = (tracker.step(image) for tracker in (carried, proposed))
    assert kept.ids.tolist() == drawn_anew.ids.tolist() == [1]
    assert (map_of(kept) > 0).sum() <= (whole.ids > 0).sum() < (larger.ids > 0).sum()
    assert np.array_equal(map_of(drawn_anew), larger.ids)
    assert drawn_anew.scores_of(np.array([1, 5]), np.array([0.75]))[0] == 0.75


def test_a_slot_on_another_s_entity_is_not_shown_and_ends(colours) -> None:
    """Two entities of one colour part, and one of them goes: both slots see the other."""
    discs = [Disc(20, 20, radius=9)]
    tracker = Sam2Tracker(Sam2Tracking(memory_frames=2), model=colours)
    halves = frame(discs, 0)
    halves.ids[:, 20:] *= 2
    assert tracker.step(halves).ids.tolist() == [1, 2]
    ended = []
    for at in range(1, 5):
        step = tracker.step(frame(discs, at))
        assert len(step.tracks(frame(discs, at))[1]) == 1
        ended += step.ended
    assert len(ended) == 1 and ended[0].last == 0


def test_of_more_than_the_slots_the_largest_are_followed_and_the_hidden_give_way(colours) -> None:
    discs = [Disc(10, 10, radius=4), Disc(10, 40, radius=8, end=2), Disc(45, 12, radius=7), Disc(45, 45, radius=5)]
    tracker = Sam2Tracker(Sam2Tracking(most_slots=2), model=colours)
    assert tracked(tracker, frame(discs, 0), discs, 0) == {1: 0, 2: 1, 3: 2, 4: 0}
    assert tracked(tracker, frame(discs, 1), discs, 1) == {1: 0, 2: 1, 3: 2, 4: 0}
    step = tracker.step(frame(discs, 2))
    assert [(track.id, track.last) for track in step.ended] == [(1, 1)]
    assert sorted(step.ids.tolist()) == [0, 2, 3]


def test_a_slot_may_be_told_its_entity_by_a_box(tiny) -> None:
    discs = [Disc(16, 12, dx=2, radius=9), Disc(44, 44, dx=-2, radius=9)]
    boxed, masked = (Sam2Tracker(Sam2Tracking(prompt=word), model=tiny) for word in ("box", "mask"))
    steps = [tracker.step(frame(discs, 0)) for tracker in (boxed, masked)]
    assert all(step.ids.tolist() == [1, 2] for step in steps) and np.array_equal(map_of(steps[0]), map_of(steps[1]))
    assert boxed.bank is not None and masked.bank is not None and len(boxed.bank) == 2
    assert not torch.equal(boxed.bank.prompted_pointers, masked.bank.prompted_pointers)
    for at in (1, 2):
        assert map_of(boxed.step(frame(discs, at))).shape == (SIDE_PX, SIDE_PX)


def test_a_tracker_of_random_weights_goes_on_from_its_state_which_does_not_grow(tiny) -> None:
    discs = [Disc(16, 12, dx=2, radius=9), Disc(44, 44, dx=-2, radius=9)]
    options = Sam2Tracking(memory_frames=2, most_slots=4)
    whole, stopped, sizes = Sam2Tracker(options, model=tiny), Sam2Tracker(options, model=tiny), []
    for at in range(3):
        assert np.array_equal(map_of(whole.step(frame(discs, at))), map_of(stopped.step(frame(discs, at))))
    resumed = Sam2Tracker(options, model=tiny)
    resumed.restore({name: array.copy() for name, array in stopped.state().items()})
    for at in range(3, 10):
        steps = [tracker.step(frame(discs, at)) for tracker in (whole, resumed)]
        assert np.array_equal(map_of(steps[0]), map_of(steps[1])) and steps[0].ended == steps[1].ended
        sizes.append(sum(array.nbytes for array in whole.state().values()) / max(len(whole.ids), 1))
    for name, array in whole.state().items():
        assert np.array_equal(array, resumed.state()[name]), name
    assert max(sizes) <= 1.01 * min(sizes) and 1 <= len(whole.ids) <= 4
    assert whole.close() == resumed.close()
    with pytest.raises(KeyError):
        Sam2Tracker(options, model=tiny).restore({})


def test_frames_want_images_and_one_size_and_slots_the_room_for_a_state(tiny, monkeypatch, tmp_path) -> None:
    tracker = Sam2Tracker(model=tiny)
    with pytest.raises(ValueError, match="wants the image of each frame"):
        tracker.step(FrameEntities(np.zeros((8, 8), np.int32), 0.0))
    assert tracker.step(frame([], 0)).ids.tolist() == []
    with pytest.raises(InputError, match="frame 1 is 32 x 32 px, those before 64 x 64; .*: predict them apart"):
        tracker.step(frame([], 1, size=32))
    monkeypatch.setattr("adapters.decoders.sam2_memory.MOST_BYTES", 20_000)
    with pytest.raises(InputError, match="tracking.most_slots is 100, of 0.0 MiB each; wanted at most 1"):
        tracker.step(frame([Disc(20, 20)], 1))
    built = build_tracker(Sam2Tracking(weights=str(tiny_folder(tmp_path)), side_px=96))
    assert isinstance(built, Sam2Tracker) and built.model.side_px == 96
    with pytest.raises(InputError, match="tracking.weights is"):
        build_tracker(Sam2Tracking(weights=str(tmp_path / "none")))
    assert torch.is_tensor(built.model.mean)
