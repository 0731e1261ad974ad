"""Of nested candidates the best are the entities; parts lie in them, groups hold them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adapters.decoders import Dense
from adapters.proposals.pixel_sets import PixelSets
from adapters.proposals.region_choice import Candidates, RegionChoice
from adapters.proposals.regions import FEATURES, Regions, RegionScorer


def prepared(pixels: list[np.ndarray], iou: list[float]) -> Candidates:
    """Candidates of a 10 x 10 image."""
    features = np.zeros((len(pixels), len(FEATURES)), np.float32)
    return Candidates(
        Regions(features, PixelSets.of(pixels), (10, 10)), np.array(iou, np.float32), np.zeros((10, 10), np.float16)
    )


CHOICE = RegionChoice(Dense(least_iou=0.2, min_area_px=4), RegionScorer())
TWO = prepared(
    [np.arange(0, 40), np.arange(0, 15), np.arange(20, 36), np.arange(50, 80), np.arange(0, 90), np.arange(30, 60)],
    [0.9, 0.8, 0.7, 0.85, 0.6, 0.3],
)
"""Two entities; two parts of the first; a group of both; a candidate across both, which is neither."""


def test_parts_entities_and_groups_are_of_other_granularities() -> None:
    forest = CHOICE.forest(TWO)
    fine, middle, coarse = (forest.cut(granularity) for granularity in (1, 0.5, 0.1))
    assert sorted(fine.areas.tolist()) == [15, 16, 30]  # the second entity has no parts
    assert sorted(middle.areas.tolist()) == [30, 40]
    assert coarse.areas.tolist() == [90]
    assert np.allclose(fine.scores, [0.85, 0.8, 0.7]) and np.allclose(coarse.scores, [0.6])  # type: ignore[arg-type]
    assert forest.count == 5


def test_the_flat_map_is_the_middle_cut_to_the_pixel() -> None:
    flat, middle = CHOICE.cut(TWO), CHOICE.forest(TWO).cut(CHOICE.granularity)
    assert np.array_equal(flat.ids, middle.ids) and np.array_equal(flat.scores, middle.scores)


def test_the_granularity_of_the_options_is_where_the_flat_map_is_cut() -> None:
    coarse = RegionChoice(replace(CHOICE.options, granularity=0.1), CHOICE.scorer)  # type: ignore[type-var]
    assert coarse.cut(TWO).areas.tolist() == [90] and coarse.levels.finest_first[coarse.levels.flat] == 0.1
    assert np.array_equal(coarse.cut(TWO, 0.5).ids, CHOICE.cut(TWO).ids)


def test_calibration_may_join_regions() -> None:
    tuned = CHOICE.tuned()["granularity"]
    assert CHOICE.granularity in tuned and min(tuned) < CHOICE.granularity < max(tuned)


def test_a_candidate_almost_as_large_is_no_part_and_no_group() -> None:
    forest = CHOICE.forest(prepared([np.arange(0, 40), np.arange(0, 38), np.arange(0, 42)], [0.9, 0.8, 0.7]))
    assert forest.count == 1


def test_nothing_is_admitted_of_nothing() -> None:
    assert CHOICE.forest(prepared([], [])).count == 0
    assert CHOICE.cut(prepared([np.arange(40)], [0.1])).count == 0
