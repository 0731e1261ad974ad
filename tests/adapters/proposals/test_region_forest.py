"""Candidates of any kind become one laminar forest, in which those of the flat map are as they were chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.decoders import Dense
from adapters.proposals.pixel_sets import PixelSets
from adapters.proposals.region_choice import Candidates, RegionChoice
from adapters.proposals.region_forest import COARSEST, coarseness
from adapters.proposals.regions import FEATURES, THRESHOLDS, Regions, RegionScorer
from adapters.proposals.watershed import HEIGHTS
from domains.entities.forest import EntityForest

CHOICE = RegionChoice(Dense(least_iou=0.4, min_area_px=2), RegionScorer())
SEEDS = st.integers(0, 10**6)


def candidates(
    pixels: list[np.ndarray], iou: list[float], merged: list[tuple[float, float]] | None = None
) -> Candidates:
    """Candidates of a 10 x 10 image. merged: threshold and saddle depth of each, at which it came to be."""
    features = np.zeros((len(pixels), len(FEATURES)), np.float32)
    features[:, -2:] = merged or (0.8, 0.01)
    regions = Regions(features, PixelSets.of(pixels), (10, 10))
    return Candidates(regions, np.array(iou, np.float32), np.zeros((10, 10), np.float16))


def drawn(seed: int) -> Candidates:
    """Up to 40 random rectangles, which cross, with random scores and places in the order."""
    rng = np.random.default_rng(seed)
    grid = np.arange(100).reshape(10, 10)
    pixels = []
    for _ in range(int(rng.integers(1, 40))):
        (y, x), (height, width) = rng.integers(0, 8, 2), rng.integers(2, 11, 2)
        pixels.append(grid[y : y + height, x : x + width].ravel())
    merged = [(rng.choice(THRESHOLDS), rng.choice(HEIGHTS)) for _ in pixels]
    return candidates(pixels, rng.random(len(pixels)).tolist(), merged)


def pixels_of(forest: EntityForest) -> list[frozenset[int]]:
    """The pixels of each node, with those of all in it."""
    leaves = forest.leaves.ravel()
    held = [{node, *(inner for inner in range(1, forest.count + 1) if node in forest.ancestors(inner))}
            for node in range(1, forest.count + 1)]  # fmt: skip
    return [frozenset(np.flatnonzero(np.isin(leaves, list(nodes))).tolist()) for nodes in held]


@given(SEEDS)
def test_the_chosen_entities_are_nodes_and_nothing_crosses_them(seed: int) -> None:
    prepared = drawn(seed)
    flat, forest = CHOICE.cut(prepared), CHOICE.forest(prepared)
    middle = forest.cut(CHOICE.granularity)
    assert np.array_equal(flat.ids, middle.ids) and np.array_equal(flat.scores, middle.scores)
    nodes = pixels_of(forest)
    assert [set(np.flatnonzero(flat.ids.ravel() == id)) for id in range(1, flat.count + 1)] == nodes[: flat.count]
    assert all(a <= b or b <= a or not a & b for a in nodes for b in nodes)


@given(SEEDS)
def test_every_cut_is_of_a_level_and_a_finer_one_lies_in_it(seed: int) -> None:
    forest, levels = CHOICE.forest(drawn(seed)), CHOICE.levels.finest_first
    changes = {float(g) for column in (forest.nodes.g, forest.nodes.gone[forest.nodes.gone > 0]) for g in column}
    assert changes <= {float(np.float32(level)) for level in levels}
    for finer, coarser in zip(levels, levels[1:], strict=False):
        fine, coarse = forest.cut(finer).ids, forest.cut(coarser).ids
        for id in range(1, int(fine.max()) + 1):
            assert len(set(coarse[fine == id].tolist())) == 1  # in one of the coarser cut, or gone


def test_nodes_nest_as_deep_as_candidates_do() -> None:
    nest = [
        np.arange(0, 100),
        np.arange(0, 60),
        np.arange(0, 40),
        np.arange(0, 20),
        np.arange(20, 32),
        np.arange(60, 80),
    ]
    merged = [(0.2, 0.5), (0.5, 0.2), (0.8, 0.4), (0.8, 0.01), (0.8, 0.01), (0.5, 0.01)]
    forest = CHOICE.forest(candidates(nest, [0.5, 0.9, 0.8, 0.7, 0.6, 0.85], merged))
    assert [sorted(forest.cut(g).areas.tolist()) for g in (1.0, 0.7, 0.5, 0.1)] == [
        [12, 20, 20],
        [20, 40],
        [20, 60],
        [100],
    ]
    areas = forest.areas.tolist()
    assert [areas[node - 1] for node in (areas.index(20) + 1, *forest.ancestors(areas.index(12) + 1))][1:] == [
        40,
        60,
        100,
    ]


@pytest.mark.parametrize(("other", "areas"), [((30, 60), [40]), ((36, 60), [20, 40])])
def test_what_crosses_a_chosen_entity_gives_way(other: tuple[int, int], areas: list[int]) -> None:
    forest = CHOICE.forest(candidates([np.arange(40), np.arange(*other)], [0.9, 0.3]))
    assert sorted(forest.areas.tolist()) == areas


def test_what_is_doubtful_is_there_in_finer_cuts_the_more_doubtful_the_finer() -> None:
    forest = CHOICE.forest(candidates([np.arange(0, 20), np.arange(30, 50), np.arange(60, 80)], [0.9, 0.3, 0.02]))
    assert [forest.cut(g).count for g in (0.1, 0.5, 0.6, 0.7, 0.9, 1.0)] == [1, 1, 1, 2, 2, 3]


def test_lower_thresholds_and_deeper_saddles_are_coarser() -> None:
    merged = [(threshold, height) for threshold in THRESHOLDS for height in HEIGHTS]
    steps = coarseness(candidates([np.arange(4)] * len(merged), [0.5] * len(merged), merged).regions)
    assert steps.min() == 0 and steps.max() == COARSEST
    for a, step in zip(merged, steps, strict=True):
        assert all(step <= other for b, other in zip(merged, steps, strict=True) if a[0] >= b[0] and a[1] <= b[1])
