"""Regions are merged over the faintest rim, and those of all strengths are nested."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.decoders import Dense
from adapters.proposals.rims import NOISE, STRENGTHS, RimMerging, Rims, faintest_first
from adapters.proposals.watershed import Watershed
from tests.adapters.proposals.test_watershed import fields

OPTIONS = {"foreground_threshold": 0.0, "min_area_px": 0}


def tiles(seams: tuple[float, ...], side: int = 12) -> dict[str, np.ndarray]:
    """A row of square regions, all of them foreground; seams: the boundary between each and the next."""
    width = side * (len(seams) + 1)
    x = np.arange(width) % side
    core = np.minimum(x, side - 1 - x)[None].repeat(side, 0) / side * 2
    boundary = np.zeros((side, width))
    for i, seam in enumerate(seams, 1):
        boundary[:, i * side - 1 : i * side + 1] = seam
    return {"foreground": np.ones((side, width)), "boundary_distance": core + boundary, "boundary": boundary}


def by_search(rims: Rims, count: int, most: float) -> np.ndarray:
    """(count,): the least basin that each is one with, by looking at all rims anew for every merge."""
    group = np.arange(count)
    while True:
        means: dict[tuple[int, int], list[float]] = {}
        for a, b, sides, strength in zip(*vars(rims).values(), strict=True):
            pair = tuple(sorted((group[a], group[b])))
            if pair[0] != pair[1]:
                total = means.setdefault(pair, [0, 0.0])
                total[0], total[1] = total[0] + sides, total[1] + strength
        mean, pair = min(((total[1] / total[0], pair) for pair, total in means.items()), default=(np.inf, (0, 0)))
        if mean > most:
            return group
        group[group == pair[1]] = pair[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_merges_are_those_of_a_plain_search(seed: int, most: float) -> None:
    rng = np.random.default_rng(seed)
    ids = np.kron(rng.integers(0, 12, (5, 6)), np.ones((3, 3), int)).astype(np.int32)
    rims = Rims.of(ids, rng.random(ids.shape), 12)
    group = np.arange(12)
    merges = faintest_first(rims, most)
    for _, kept, joined in merges:
        group[group == group[joined]] = group[kept]
    least = np.array([np.flatnonzero(group == g).min() for g in group])
    assert np.array_equal(least, by_search(rims, 12, most))
    assert [strength for strength, _, _ in merges] == sorted(strength for strength, _, _ in merges)


def test_rims_are_measured_on_both_sides_of_what_is_shared() -> None:
    ids = np.array([[1, 1, 2], [0, 3, 2]], np.int32)
    boundary = np.array([[0.0, 0.2, 0.4], [0.9, 0.6, 1.0]])
    rims = Rims.of(ids, boundary, 4)
    rows = [tuple(row) for row in zip(*vars(rims).values(), strict=True)]
    assert rows == [(1, 2, 1, pytest.approx(0.3)), (1, 3, 1, pytest.approx(0.4)), (2, 3, 1, pytest.approx(0.8))]


@pytest.mark.parametrize(("granularity", "count"), [(0.9, 4), (0.75, 3), (0.5, 2), (0.1, 1)])
def test_a_rim_parts_what_it_is_stronger_than(granularity: float, count: int) -> None:
    row = tiles((0.2, 0.8, 0.4))
    choice = RimMerging(Dense(granularity=granularity, smoothing_px=0, **OPTIONS))
    flat = choice.cut(row)
    assert flat.count == count and (flat.ids > 0).all()
    if count == 2:
        assert flat.areas.tolist() == [288, 288]


def test_a_leak_does_not_join_what_a_saddle_would() -> None:
    row = tiles((0.9,))
    row["boundary"][5:7, 6:18] = 0  # the saddle is almost as high there as the cores, by more than noise
    row["boundary_distance"][5:7, 6:18] = row["boundary_distance"][:, :10].max() - 0.1
    rims = RimMerging(Dense(granularity=0.3, smoothing_px=0, **OPTIONS)).cut(row)
    by_saddles = Watershed(Dense(granularity=0.7, smoothing_px=0, **OPTIONS)).cut(row)
    assert (rims.count, by_saddles.count) == (2, 1)


@pytest.mark.parametrize("seed", range(3))
def test_every_cut_of_the_forest_is_the_flat_map_of_that_granularity(seed: int) -> None:
    noise = fields(seed)
    for granularity in (0.55, 0.7):
        choice = RimMerging(Dense(granularity=granularity, foreground_threshold=0.4, min_area_px=20))
        forest = choice.forest(noise)
        flat, middle = choice.cut(noise), forest.cut(choice.granularity)
        assert np.array_equal(flat.ids, middle.ids) and np.allclose(flat.scores, middle.scores, atol=1e-6)  # type: ignore[arg-type]
    counts = [forest.cut(g).count for g in choice.levels.finest_first]
    assert counts[0] > counts[-1] and (forest.nodes.parents > 0).any()
    assert choice.levels.finest_first[0] == 1 and len(choice.levels.finest_first) >= len(STRENGTHS)


def test_the_options_say_what_merges_and_calibration_tries_granularities_of_rims() -> None:
    decoder = Dense(width=8, merging="rims").build(8, 1, 8)
    assert isinstance(decoder.proposals, RimMerging) and 0 < NOISE < STRENGTHS[0]
    assert round(decoder.proposals.granularity, 6) in decoder.proposals.tuned()["granularity"]
