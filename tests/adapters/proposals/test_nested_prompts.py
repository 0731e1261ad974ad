"""Masks of prompts become parts and groups around the entities of a flat map, which stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.proposals.mask_set import MaskSet
from adapters.proposals.nested_prompts import ENTITIES, nested_masks
from domains.entities import EntityMap


def box(y: int, x: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def test_parts_and_groups_of_two_bottles_are_known() -> None:
    """Two bottles in a crate; one has a cap with a screw in it, a mask of which is there twice; one mask cuts both."""
    bottles = EntityMap((box(2, 2, 12, 8) + 2 * box(2, 14, 12, 8)).astype(np.int32), np.array([0.9, 0.8], np.float32))
    crate, cap, screw, again = box(0, 0, 18, 26), box(2, 2, 6, 8), box(3, 3, 2, 3), box(2, 2, 6, 7)
    masks = [box(2, 2, 12, 8), cap, screw, again, box(8, 5, 4, 14), crate]
    forest = nested_masks(bottles, MaskSet.of(masks, np.array([0.9, 0.7, 0.6, 0.5, 0.4, 1.3], np.float32)))
    assert forest.nodes.parents.tolist() == [5, 5, 1, 3, 0]
    assert forest.nodes.g.tolist() == [0.5, 1, 0.75, 1, 0.25]
    assert forest.nodes.scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 1])  # a predicted IoU may leave [0, 1]
    assert np.array_equal(forest.leaves == 3, cap & ~screw) and np.array_equal(forest.leaves == 4, screw)
    assert forest.areas.tolist() == [96, 96, 48, 6, 18 * 26]
    assert forest.cut(0).count == 1 and forest.cut(1).count == 2  # the screw, and the other bottle
    flat = forest.cut(ENTITIES)
    assert np.array_equal(flat.ids, bottles.ids) and flat.scores is not None
    assert flat.scores.tolist() == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize("seed", range(20))
def test_the_cut_at_entities_is_the_flat_map_whatever_the_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.zeros((20, 30), np.int32)
    for number in range(6):
        ids[box(*rng.integers(0, 16, 2), *rng.integers(3, 9, 2))] = number + 1
    flat = EntityMap.from_ids(ids)
    masks = [box(*rng.integers(0, 14, 2), *rng.integers(1, 6 if i < 40 else 20, 2)) for i in range(60)]
    forest = nested_masks(flat, MaskSet.of(masks, rng.random(60)))
    assert np.array_equal(forest.cut(ENTITIES).ids, flat.ids)
    assert forest.count > flat.count and (forest.areas > 0).all()
    finer = forest.nodes.parents > 0
    assert (forest.nodes.g[forest.nodes.parents[finer] - 1] < forest.nodes.g[finer]).all()


def test_no_masks_are_the_flat_map() -> None:
    flat = EntityMap(np.kron([[1, 0], [0, 2]], np.ones((4, 4), int)))
    forest = nested_masks(flat, MaskSet.of([], shape=(8, 8)))
    assert forest.count == 2 and np.array_equal(forest.cut(1).ids, flat.ids)
