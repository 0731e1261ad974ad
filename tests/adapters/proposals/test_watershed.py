"""Nested basins are those of each height alone, and the flat map is one cut of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from adapters.decoders import Dense
from adapters.proposals.basins import basins, merge_shallow
from adapters.proposals.watershed import HEIGHTS, LEVELS, Watershed, core_field
from domains.entities import EntityMap


def fields(seed: int, sigma: float = 2.5) -> dict[str, np.ndarray]:
    """Smooth noise for each field, (64, 80) in [0, 1]."""
    rng = np.random.default_rng(seed)
    names = ("foreground", "boundary_distance", "centre_distance", "boundary")
    noise = {name: ndimage.gaussian_filter(rng.random((64, 80)), sigma) for name in names}
    return {name: ((field - field.min()) / np.ptp(field)).astype(np.float32) for name, field in noise.items()}


def by_one_height(noise: dict[str, np.ndarray], options: Dense) -> EntityMap:
    """The map as it is cut for one height, without a forest: the reference."""
    mask = noise["foreground"] > options.foreground_threshold
    level = np.round(core_field(noise, options.smoothing_px) * LEVELS).astype(np.int32)
    ids, peaks = merge_shallow(*basins(level, mask), level, round(options.seed_height * LEVELS))
    areas = np.bincount(ids.ravel(), minlength=len(peaks))[1:]
    mean = np.bincount(ids.ravel(), noise["foreground"].ravel(), len(peaks))[1:] / np.maximum(areas, 1)
    scores = mean * peaks[1:] / LEVELS
    dropped = np.flatnonzero((areas < options.min_area_px) | (scores < options.min_score)) + 1
    ids[np.isin(ids, dropped)] = 0
    return EntityMap.from_ids(ids, np.clip(scores, 0, 1).astype(np.float32))


@pytest.mark.parametrize("height", [*HEIGHTS, 0.123])
@pytest.mark.parametrize("seed", range(4))
def test_the_flat_map_is_that_of_its_height_to_the_pixel(seed: int, height: float) -> None:
    noise = fields(seed)
    options = Dense(seed_height=height, foreground_threshold=0.4, min_area_px=20, min_score=0.1)
    flat, reference = Watershed(options).cut(noise), by_one_height(noise, options)
    assert np.array_equal(flat.ids, reference.ids) and np.array_equal(flat.scores, reference.scores)
    assert flat.pixel_scores is not None and flat.pixel_scores.dtype == np.float16


@pytest.mark.parametrize("seed", range(4))
def test_every_cut_of_the_nested_forest_is_the_flat_map_of_that_height(seed: int) -> None:
    noise, options = fields(seed), Dense(foreground_threshold=0.4, min_area_px=20, min_score=0.1, seed_height=0.123)
    forest = Watershed(options).forest(noise)
    counts = []
    for height in sorted({*HEIGHTS, 0.123}):
        nested, flat = forest.cut(1 - height), Watershed(replace(options, seed_height=height)).cut(noise)
        assert np.array_equal(nested.ids, flat.ids)
        assert np.allclose(nested.scores, flat.scores, atol=1e-6)  # type: ignore[arg-type]
        counts.append(flat.count)
    assert counts[0] > counts[-2] > 0 and (forest.nodes.parents > 0).any()


@pytest.mark.parametrize("height", [*HEIGHTS, 0.123])
def test_a_granularity_takes_the_place_of_the_seed_height(height: float) -> None:
    noise, options = fields(2), Dense(foreground_threshold=0.4, min_area_px=20)
    by_height = Watershed(replace(options, seed_height=height))
    by_granularity = Watershed(replace(options, granularity=1 - height, seed_height=0.9))
    assert np.array_equal(by_granularity.cut(noise).ids, by_height.cut(noise).ids)
    assert by_granularity.levels == by_height.levels


def test_a_forest_changes_at_its_levels_alone() -> None:
    choice = Watershed(Dense(foreground_threshold=0.4, min_area_px=20, min_score=0.1, seed_height=0.123))
    forest, levels = choice.forest(fields(0)), choice.levels
    finer = choice.granularity + 1e-3
    assert levels.finest_first[levels.flat] == choice.granularity == 1 - 0.123
    assert {*forest.nodes.g.tolist(), *forest.nodes.gone.tolist()} <= {-1.0, *map(np.float32, levels.finest_first)}
    assert np.array_equal(choice.cut(fields(0), finer).ids, forest.cut(levels.finest_first[levels.flat - 1]).ids)


def test_parts_that_are_too_small_come_back_within_their_whole() -> None:
    noise = fields(1)
    options = Dense(foreground_threshold=0.4, min_area_px=60, min_score=0.0)
    forest = Watershed(options).forest(noise)
    fine, coarse = (forest.cut(granularity).foreground.sum() for granularity in (1, 0.9))
    assert 0 < fine < coarse


def test_without_foreground_there_is_no_node() -> None:
    forest = Watershed(Dense(foreground_threshold=0.99)).forest(fields(0) | {"foreground": np.zeros((64, 80))})
    assert forest.count == 0 and forest.cut(0.2).count == 0 and forest.shape == (64, 80)
