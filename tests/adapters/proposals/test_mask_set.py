from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.proposals.mask_set import MaskSet, box_nms, mask_nms

SHAPE = (13, 21)


def drawn(seed: int, count: int = 6, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """(count, H, W) bool: rectangles with holes, the last one empty."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *shape), bool)
    for mask in masks[:-1]:
        y, x = rng.integers(0, shape[0] - 2), rng.integers(0, shape[1] - 2)
        mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 14)] = True
        mask &= rng.random(shape) < 0.8
    return masks


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_packed_masks_have_the_pixels_areas_boxes_and_ious_of_plain_ones(seed: int) -> None:
    masks, others = drawn(seed), drawn(seed + 1)
    packed = MaskSet.of(masks)
    assert np.array_equal(np.stack([*packed]), masks)
    assert np.array_equal(packed.areas, masks.sum((1, 2)))
    for mask, box in zip(masks, packed.boxes.tolist(), strict=True):
        y, x = np.nonzero(mask)
        assert box == ([int(x.min()), int(y.min()), int(x.max()), int(y.max())] if len(y) else [0, 0, 0, 0])
    shared = np.einsum("nyx,myx->nm", masks.astype(int), others.astype(int))
    union = masks.sum((1, 2))[:, None] + others.sum((1, 2)) - shared
    assert np.array_equal(packed.intersections(MaskSet.of(others)), shared)
    assert np.allclose(packed.ious(MaskSet.of(others)), shared / np.maximum(union, 1))
    assert np.array_equal(packed.union([0, 2]), masks[0] | masks[2])


@pytest.mark.parametrize("y, x", [(0, 0), (3, 8), (5, 3), (2, 13)])
def test_masks_of_a_crop_are_placed_in_the_image(y: int, x: int) -> None:
    masks = drawn(3)
    placed = MaskSet.of(masks).placed(y, x, (20, 40))
    expected = np.zeros((len(masks), 20, 40), bool)
    expected[:, y : y + SHAPE[0], x : x + SHAPE[1]] = masks
    assert np.array_equal(np.stack([*placed]), expected)


def test_sets_are_joined_and_taken_from_with_all_that_is_said_of_masks() -> None:
    masks = drawn(4)
    packed = MaskSet.joined([MaskSet.of(masks, np.linspace(0, 1, 6)), MaskSet.of(masks[:2], np.array([0.5, 0.4]))])
    taken = packed.take([6, 1])
    assert np.array_equal(np.stack([*taken]), masks[[0, 1]])
    assert taken.scores == pytest.approx([0.5, 0.2])
    assert np.array_equal(packed.take(packed.scores > 0.45).scores, packed.scores[packed.scores > 0.45])
    with pytest.raises(ValueError, match="one image"):
        MaskSet.joined([packed, MaskSet.of([], shape=(2, 2))])


def test_a_small_mask_on_a_large_image_takes_little_memory() -> None:
    mask = np.zeros((4000, 4000), bool)
    mask[3000:3010, 3000:3010] = True
    assert MaskSet.of([mask]).nbytes <= 10 * 3


def slow_box_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Pair by pair, as the definition says."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        overlaps = []
        for j in kept:
            (a, b, c, d), (e, f, g, h) = boxes[i].astype(float), boxes[j].astype(float)
            shared = max(min(c, g) - max(a, e), 0) * max(min(d, h) - max(b, f), 0)
            union = (c - a) * (d - b) + (g - e) * (h - f) - shared
            overlaps.append(shared / union if union else 0)
        if all(overlap <= threshold for overlap in overlaps):
            kept.append(i)
    return kept


@pytest.mark.parametrize("seed", range(4))
def test_nms_of_boxes_and_masks_equals_that_by_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 20, (40, 2))
    boxes, scores = np.c_[corners, corners + rng.integers(0, 20, (40, 2))], rng.random(40)
    assert box_nms(boxes, scores, 0.4).tolist() == slow_box_nms(boxes, scores, 0.4)
    masks = MaskSet.of(drawn(seed, 25), rng.random(25))
    ious, kept = masks.ious(masks), []
    for i in np.argsort(-masks.scores).tolist():
        if all(ious[i, j] <= 0.3 for j in kept):
            kept.append(i)
    assert mask_nms(masks, 0.3).tolist() == kept
    assert len(kept) < 25


def test_a_looser_threshold_of_a_better_mask_spares_what_a_stricter_one_drops() -> None:
    masks = np.zeros((2, 4, 8), bool)
    masks[0, :, :4], masks[1, :, :6] = True, True
    packed = MaskSet.of(masks, np.array([0.9, 0.8]))
    assert mask_nms(packed, np.array([0.5, 0.9])).tolist() == [0]
    assert mask_nms(packed, np.array([0.9, 0.5])).tolist() == [0, 1]
    assert mask_nms(packed, 0.5, np.array([1, 0])).tolist() == [1]
