from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.entities.forest import EntityForest
from domains.procedural.nested import nested
from domains.procedural.truth import MIN_AREA_PX, visible_nodes


@pytest.fixture(scope="module")
def truths() -> list[EntityMap]:
    return [nested(np.random.default_rng((4, i)), 96, 96)[1] for i in range(12)]


def masks_of(truth: EntityMap) -> np.ndarray:
    """(N, H, W) bool: each entity with all that lies in it."""
    masks = truth.masks()
    assert truth.parents is not None
    for number in range(truth.count, 0, -1):  # children are drawn, and numbered, after what holds them
        if parent := truth.parents[number - 1]:
            masks[parent - 1] |= masks[number - 1]
    return masks


def test_every_entity_is_numbered_after_what_holds_it_and_shows_pixels_of_its_own(truths) -> None:
    for truth in truths:
        assert truth.parents is not None and truth.parents.dtype == np.int32
        assert (truth.parents < np.arange(1, truth.count + 1)).all() and (truth.parents >= 0).all()
        assert (truth.areas >= MIN_AREA_PX).all()


def test_entities_are_nested_or_apart_and_each_part_lies_in_its_whole(truths) -> None:
    for truth in truths:
        masks = masks_of(truth).reshape(truth.count, -1)
        shared = masks.astype(np.float32) @ masks.T.astype(np.float32)
        areas = masks.sum(1)
        apart, inside = shared == 0, shared == np.minimum.outer(areas, areas)
        assert (apart | inside).all()
        children = np.flatnonzero(truth.parents)
        assert (shared[children, truth.parents[children] - 1] == areas[children]).all()
        assert (areas[truth.parents[children] - 1] > areas[children]).all()


def test_wholes_have_parts_and_parts_have_details(truths) -> None:
    depths = Counter(depth for truth in truths for depth in EntityForest.nested(truth).nodes.depths.tolist())
    assert set(depths) == {0, 1, 2} and min(depths.values()) >= 12


def test_parts_differ_from_their_wholes_in_the_image() -> None:
    differences = []
    for i in range(8):
        image, truth = nested(np.random.default_rng((4, i)), 96, 96)
        assert truth.parents is not None
        colours = [image[truth.ids == number].mean(0) for number in range(1, truth.count + 1)]
        differences += [np.abs(colours[i] - colours[p - 1]).max() for i, p in enumerate(truth.parents.tolist()) if p]
    assert np.median(differences) > 12


def test_what_hardly_shows_becomes_its_parents() -> None:
    ids = np.zeros((8, 12), np.int32)
    ids[:, :6], ids[2:6, 2:4], ids[0, 0] = 1, 2, 3  # a whole, its part of 8 pixels, its part of one
    ids[7, 10] = 4  # a whole of one pixel
    truth = visible_nodes(ids, np.array([0, 1, 1, 0], np.int32))
    assert truth.count == 2 and truth.parents is not None and truth.parents.tolist() == [0, 1]
    assert truth.ids[0, 0] == 1 and truth.ids[7, 10] == 0 and (truth.ids == 2).sum() == 8


def test_a_part_whose_whole_is_hidden_stands_alone() -> None:
    ids = np.zeros((8, 8), np.int32)
    ids[:4], ids[0, 0] = 2, 1
    truth = visible_nodes(ids, np.array([0, 1], np.int32))
    assert truth.count == 1 and truth.parents is not None and truth.parents.tolist() == [0]
