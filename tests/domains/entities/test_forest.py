"""A forest is cut by one lookup; every level is a flat map of nodes that no other entity of the cut holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.entities import EntityMap
from domains.entities.forest import NEVER, EntityForest, Levels, Nodes


def forest() -> EntityForest:
    """Two parts of a whole, which with a third entity forms a group; a speck that is gone at 0.7; unlabelled pixels."""
    leaves = np.array([[1, 1, 2, 2, 3], [4, 4, 5, 0, -1], [6, 6, 6, 5, -1]], np.int32)
    parents = np.array([3, 3, 5, 5, 0, 0], np.int32)
    g = np.array([1, 1, 0.6, 1, 0.2, 1], np.float32)
    gone = np.array([NEVER, NEVER, NEVER, NEVER, NEVER, 0.7], np.float32)
    return EntityForest(leaves, Nodes(parents, g, gone, np.linspace(0.1, 0.6, 6, dtype=np.float32)))


def grown(seed: int) -> EntityForest:
    """A random forest of up to 30 nodes on 8 x 8 px, none of which is ever gone."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 30))
    g = rng.choice(41, count).astype(np.float32) / 40
    coarser = [np.flatnonzero(g < finest) + 1 for finest in g]
    parents = np.array([rng.choice([0, *choices]) for choices in coarser], np.int32)
    nodes = Nodes(parents, g, np.full(count, NEVER, np.float32), rng.random(count).astype(np.float32))
    return EntityForest(rng.integers(-1, count + 1, (8, 8)).astype(np.int32), nodes)


def test_a_map_with_parents_is_a_forest_whose_steps_are_its_levels() -> None:
    ids = np.array([[1, 1, 2, 3, 4, 0]], np.int32)  # 1 holds 2, which holds 3; 4 stands alone
    nested = EntityForest.nested(EntityMap(ids, scores=np.full(4, 0.5, np.float32), parents=np.array([0, 1, 2, 0])))
    assert nested.nodes.g.tolist() == [0, 0.5, 1, 1] and nested.nodes.scores.tolist() == [0.5] * 4
    cuts = {g: nested.cut(g).ids.tolist() for g in (0.0, 0.5, 1.0)}
    assert cuts == {0.0: [[1, 1, 1, 1, 2, 0]], 0.5: [[0, 0, 1, 1, 2, 0]], 1.0: [[0, 0, 0, 1, 2, 0]]}


def test_a_map_without_parents_is_a_flat_forest() -> None:
    assert EntityForest.nested(EntityMap(np.array([[1, 2]], np.int32))).nodes.g.tolist() == [1, 1]


SEEDS = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("granularity", "ids", "scores"),
    [
        (1, [[1, 1, 2, 2, 0], [3, 3, 0, 0, -1], [4, 4, 4, 0, -1]], [0.1, 0.2, 0.4, 0.6]),
        (0.7, [[1, 1, 2, 2, 0], [3, 3, 0, 0, -1], [0, 0, 0, 0, -1]], [0.1, 0.2, 0.4]),
        (0.6, [[1, 1, 1, 1, 1], [2, 2, 0, 0, -1], [0, 0, 0, 0, -1]], [0.3, 0.4]),
        (0, [[1, 1, 1, 1, 1], [1, 1, 1, 0, -1], [0, 0, 0, 1, -1]], [0.5]),
    ],
)
def test_a_cut_shows_the_coarsest_node_that_is_fine_enough(granularity: float, ids: list, scores: list) -> None:
    entities = forest().cut(granularity)
    assert entities.ids.tolist() == ids
    assert entities.scores is not None and np.allclose(entities.scores, scores)


@pytest.mark.parametrize(
    ("level", "ids"),
    [
        ("whole", [[1, 1, 1, 1, 1], [1, 1, 1, 0, -1], [0, 0, 0, 1, -1]]),
        ("part", [[1, 1, 1, 1, 1], [2, 2, 0, 0, -1], [3, 3, 3, 0, -1]]),
        ("subpart", [[1, 1, 2, 2, 0], [3, 3, 0, 0, -1], [4, 4, 4, 0, -1]]),
    ],
)
def test_a_level_is_a_depth_and_what_has_no_parts_stays(level: str, ids: list) -> None:
    assert forest().cut(level=level).ids.tolist() == ids


def test_lines_areas_and_boxes_of_nodes() -> None:
    trees = forest()
    assert trees.ancestors(1) == [3, 5] and trees.ancestors(5) == []
    assert trees.children(5) == [3, 4] and trees.children(0) == [5, 6] and trees.children(1) == []
    assert trees.nodes.levels == ["subpart", "subpart", "part", "part", "whole", "whole"]
    assert trees.areas.tolist() == [2, 2, 5, 2, 9, 3]
    assert trees.boxes[[0, 4, 5]].tolist() == [[0, 0, 1, 2], [0, 0, 3, 5], [2, 0, 3, 3]]


def test_the_best_entities_of_some_areas_are_those_of_the_greatest_score_by_area() -> None:
    trees = forest()
    assert trees.best().ids.max() == 2 and trees.best().foreground.sum() == 12  # the group and the speck
    assert trees.best((0, 4)).areas.tolist() == [2, 2, 2, 3]
    assert trees.best((3, 5)).areas.tolist() == [5, 3]
    assert trees.best((20, 30)).count == 0


def test_a_cut_changes_only_at_a_g_or_where_a_node_is_gone() -> None:
    trees, levels = forest(), [1.0, 0.7, 0.6, 0.2, 0.0]
    for finer, coarser in zip(levels, levels[1:], strict=False):
        assert np.array_equal(trees.cut((finer + coarser) / 2).ids, trees.cut(finer).ids)


def test_levels_say_which_is_the_flat_one() -> None:
    levels = Levels.of({0.25, 1.0, 0.5}, 0.5)
    assert levels == Levels((1.0, 0.5, 0.25), 1)
    assert Levels.of({0.25, 1.0, 0.5}, 0.3).flat == 1 and Levels.of({0.25, 1.0}, 0.9).flat == 0


def test_a_flat_map_is_a_forest_of_itself_at_every_granularity() -> None:
    entities = EntityMap(
        np.array([[1, 0], [2, -1]]), np.array([0.4, 0.9], np.float32), pixel_scores=np.full((2, 2), 0.5, np.float16)
    )
    for granularity in (0, 0.5, 1):
        again = EntityForest.flat(entities).cut(granularity)
        assert np.array_equal(again.ids, entities.ids) and np.array_equal(again.scores, entities.scores)
        assert again.pixel_scores is entities.pixel_scores


@given(SEEDS)
def test_a_coarser_cut_is_a_union_of_finer_entities_and_of_pixels_of_none(seed: int) -> None:
    trees = grown(seed)
    coarse, fine = (trees.cut(granularity).ids for granularity in sorted(np.random.default_rng(seed).random(2)))
    for entity in range(1, fine.max() + 1):
        assert len(np.unique(coarse[fine == entity])) == 1 and coarse[fine == entity].min() > 0


@given(SEEDS)
def test_every_leaf_has_one_path_to_a_root_and_a_cut_shows_no_two_nodes_of_it(seed: int) -> None:
    trees = grown(seed)
    for granularity in (0.0, 0.3, 0.7, 1.0):
        shown = trees.nodes.lookup(granularity)[1:-1]
        entities = {*shown.tolist()} - {0}
        for node in range(1, trees.count + 1):
            path = [node, *trees.ancestors(node)]
            assert len(path) == len({*path}) == trees.nodes.depths[node - 1] + 1
            assert trees.nodes.parents[path[-1] - 1] == 0
            assert len(entities & {*path}) <= 1 and shown[node - 1] in {0, *path}


@given(SEEDS)
def test_the_best_choice_is_worth_no_less_than_any_cut(seed: int) -> None:
    trees = grown(seed)

    def worth(shown: np.ndarray) -> float:
        chosen = np.unique(shown[1:-1])
        chosen = chosen[chosen > 0] - 1
        return float((trees.nodes.scores * trees.areas)[chosen].sum())

    best = worth(trees.nodes.best(trees.areas))
    assert all(best >= worth(trees.nodes.lookup(granularity)) - 1e-3 for granularity in np.linspace(0, 1, 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.zeros(2, np.float32)}, "columns of one length"),
        ({"parents": np.array([3, 3, 9, 5, 0, 0], np.int32)}, "parents"),
        ({"g": np.ones(6, np.float32)}, "no finer than what holds it"),
        ({"parents": np.array([3, 3, 1, 5, 0, 0], np.int32)}, "circle"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(forest().nodes, **change)


def test_a_leaf_beyond_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="hold node 7"):
        replace(forest(), leaves=np.full((1, 1), 7, np.int32))


def test_a_granularity_or_level_that_is_none_is_refused() -> None:
    for granularity in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="wanted 0, the wholes, to 1"):
            forest().cut(granularity)
    with pytest.raises(ValueError, match="'parts'; known: whole, part, subpart"):
        forest().cut(level="parts")
