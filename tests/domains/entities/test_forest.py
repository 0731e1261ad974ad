"""A forest is cut by one lookup; every level is a flat map of nodes that are born and not yet held by another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.entities import EntityMap
from domains.entities.forest import EntityForest

INF = np.inf


def forest() -> EntityForest:
    """Two parts of a whole, which with a third entity forms a group; a speck that is gone at 0.3; unlabelled pixels."""
    leaves = np.array([[1, 1, 2, 2, 3], [4, 4, 5, 0, -1], [6, 6, 6, 5, -1]], np.int32)
    parents = np.array([3, 3, 5, 5, 0, 0], np.int32)
    born = np.array([0, 0, 0.4, 0, 0.8, 0], np.float32)
    gone = np.array([INF, INF, INF, INF, INF, 0.3], np.float32)
    return EntityForest(leaves, parents, born, gone, np.linspace(0.1, 0.6, 6, dtype=np.float32))


@pytest.mark.parametrize(
    ("granularity", "ids", "scores"),
    [
        (0, [[1, 1, 2, 2, 0], [3, 3, 0, 0, -1], [4, 4, 4, 0, -1]], [0.1, 0.2, 0.4, 0.6]),
        (0.3, [[1, 1, 2, 2, 0], [3, 3, 0, 0, -1], [0, 0, 0, 0, -1]], [0.1, 0.2, 0.4]),
        (0.4, [[1, 1, 1, 1, 1], [2, 2, 0, 0, -1], [0, 0, 0, 0, -1]], [0.3, 0.4]),
        (1, [[1, 1, 1, 1, 1], [1, 1, 1, 0, -1], [0, 0, 0, 1, -1]], [0.5]),
    ],
)
def test_a_cut_shows_the_highest_node_that_is_born(granularity: float, ids: list, scores: list) -> None:
    entities = forest().cut(granularity)
    assert entities.ids.tolist() == ids
    assert entities.scores is not None and np.allclose(entities.scores, scores)


def test_a_cut_changes_only_where_a_node_is_born_or_gone() -> None:
    trees, levels = forest(), [0.0, 0.3, 0.4, 0.8, 1.0]
    for before, after in zip(levels, levels[1:], strict=False):
        middle = trees.cut((before + after) / 2).ids
        assert np.array_equal(middle, trees.cut(before).ids)


def test_a_flat_map_is_a_forest_of_itself_at_every_granularity() -> None:
    entities = EntityMap(
        np.array([[1, 0], [2, -1]]), np.array([0.4, 0.9], np.float32), pixel_scores=np.full((2, 2), 0.5, np.float16)
    )
    for granularity in (0, 0.5, 1):
        again = EntityForest.flat(entities).cut(granularity)
        assert np.array_equal(again.ids, entities.ids) and np.array_equal(again.scores, entities.scores)
        assert again.pixel_scores is entities.pixel_scores


@given(st.integers(0, 10_000))
def test_a_coarser_cut_is_a_union_of_finer_entities_and_of_pixels_of_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    born = np.sort(rng.choice(20, count).astype(np.float32) / 20)
    later = [np.flatnonzero(born > birth) + 1 for birth in born]
    parents = np.array([rng.choice([0, *choices]) for choices in later], np.int32)
    trees = EntityForest(
        rng.integers(0, count + 1, (6, 6)).astype(np.int32), parents, born, np.full(count, INF, np.float32), born
    )
    fine, coarse = (trees.cut(granularity).ids for granularity in sorted(rng.random(2)))
    for entity in range(1, fine.max() + 1):
        assert len(np.unique(coarse[fine == entity])) == 1 and coarse[fine == entity].min() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.zeros(2, np.float32)}, "tables of one length"),
        ({"leaves": np.full((1, 1), 7, np.int32)}, "tables of one length"),
        ({"parents": np.array([3, 3, 9, 5, 0, 0], np.int32)}, "parents"),
        ({"born": np.zeros(6, np.float32)}, "born after its children"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(forest(), **change)
