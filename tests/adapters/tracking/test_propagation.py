"""Entities that optical flow carries from keyframe to keyframe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from adapters.options.tracking import Motion
from adapters.tracking.propagation import Detected, Propagation

SIDE = 64
TEXTURE = np.random.default_rng(0).integers(0, 255, (SIDE // 4, SIDE // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)


def ids_at(shift: int) -> np.ndarray:
    """Two squares, the first of which moved right by so many pixels; the second stays."""
    ids = np.zeros((SIDE, SIDE), np.int32)
    ids[10:30, 8 + shift : 28 + shift] = 1
    ids[40:56, 4:20] = 2
    return ids


def image_at(shift: int) -> np.ndarray:
    """Both with the pattern of their own, over a plain ground."""
    image, ids = np.full((SIDE, SIDE, 3), 90, np.uint8), ids_at(shift)
    image[ids == 1] = TEXTURE[10:30, 8:28].reshape(-1, 3)
    image[ids == 2] = TEXTURE[40:56, 4:20].reshape(-1, 3)
    return image


def network(shift: int, asked: list[int]) -> Callable[[], Detected]:
    """What says where the squares are, and notes that it was asked."""

    def find() -> Detected:
        asked.append(shift)
        return Detected(ids_at(shift), np.array([0.5, 0.75]), np.eye(2, dtype=np.float32))

    return find


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two masks."""
    return (a & b).sum() / (a | b).sum()


def test_the_network_sees_keyframes_alone_and_entities_move_between_them() -> None:
    propagation, asked = Propagation(Motion(realtime=True, keyframe_frames=4, keyframe_change=1.0)), []
    for shift in range(9):
        found = propagation.step(image_at(shift), network(shift, asked))
        assert iou(found.ids == 1, ids_at(shift) == 1) > 0.85 and iou(found.ids == 2, ids_at(shift) == 2) > 0.85
        assert found.scores.tolist() == [0.5, 0.75] and found.features is not None and found.features.shape == (2, 2)
    assert asked == [0, 4, 8] and propagation.keyframes == 3


@pytest.mark.parametrize("following", [255 - image_at(0)[::-1], np.zeros((48, SIDE, 3), np.uint8)], ids=["cut", "size"])
def test_what_the_keyframe_does_not_explain_is_a_keyframe(following: np.ndarray) -> None:
    propagation, asked = Propagation(Motion(realtime=True)), []
    for shift, image in enumerate((image_at(0), following)):
        propagation.step(image, network(shift, asked))
    assert asked == [0, 1]


def test_an_entity_that_left_is_no_entity_and_the_others_keep_their_rows() -> None:
    propagation = Propagation(Motion(realtime=True, keyframe_frames=64, keyframe_change=1.0))
    for shift in range(0, 40, 2):
        image = np.roll(image_at(0), -shift, axis=1)
        image[:, SIDE - shift :] = 90
        found = propagation.step(image, network(shift, []))
    assert found.ids.max() == len(found.scores) == 0 or set(found.scores.tolist()) <= {0.5, 0.75}
    assert not (found.ids == 2).any() or found.scores.tolist() == [0.5, 0.75]


def test_a_state_goes_on_as_if_nothing_had_been() -> None:
    options, asked = Motion(realtime=True, keyframe_frames=5), []
    whole, first = Propagation(options), Propagation(options)
    assert Propagation(options).state() == {}
    for shift in range(3):
        whole.step(image_at(shift), network(shift, asked))
        first.step(image_at(shift), network(shift, asked))
    second = Propagation(options)
    second.restore(first.state())
    asked.clear()
    for shift in range(3, 7):
        expected, found = (of.step(image_at(shift), network(shift, asked)) for of in (whole, second))
        assert np.array_equal(expected.ids, found.ids)
    assert asked == [5, 5]
