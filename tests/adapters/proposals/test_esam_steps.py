"""The steps on scenes of rectangles, where a script stands for SAM and every result is known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.proposals.automatic import grid
from adapters.proposals.esam_steps import (
    ESamOptions,
    Gallery,
    mask_generation,
    merged,
    nested_in,
    prompts_for_gaps,
    repaired,
    resolved,
    similarity,
)
from adapters.proposals.mask_set import MaskSet

SHAPE = (16, 32)
OPTIONS = ESamOptions()
Rectangle = tuple[int, int, int, int]
Answer = tuple[list[Rectangle], list[float]]


def rectangle(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


class Script:
    """For points within a place, three rectangles and their scores; elsewhere three empty masks. Counts its points."""

    def __init__(self, answers: dict[Rectangle, Answer]) -> None:
        self.answers = answers
        self.asked = 0

    def __call__(self, points: np.ndarray) -> MaskSet:
        self.asked += len(points)
        masks, scores = [], []
        for x, y in points.tolist():
            inside = (a for (y0, x0, y1, x1), a in self.answers.items() if y0 <= y < y1 and x0 <= x < x1)
            rectangles, sureness = next(inside, ([(0, 0, 0, 0)] * 3, [0.1] * 3))
            masks += [rectangle(*sides) for sides in rectangles]
            scores += sureness
        return MaskSet.of(masks, np.array(scores), SHAPE)


def points_of(count: int) -> np.ndarray:
    return grid(count) * np.array(SHAPE[::-1])


def squares(side: int = 4) -> np.ndarray:
    """(16, 32) superpixels: squares of a side."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] // side
    return y * (SHAPE[1] // side) + x


def assert_masks(masks: MaskSet, *expected: np.ndarray) -> None:
    assert len(masks) == len(expected)
    for mask, wanted in zip(masks, expected, strict=True):
        assert np.array_equal(mask, wanted)


CUP, BODY, LABEL, BALL = (2, 2, 14, 12), (5, 2, 14, 12), (6, 4, 10, 8), (4, 20, 12, 28)


def test_generation_finds_each_level_once() -> None:
    script = Script({CUP: ([LABEL, CUP, BODY], [0.7, 0.9, 0.8]), BALL: ([BALL] * 3, [0.8, 0.9, 0.95])})
    levels = mask_generation(script, points_of(8), squares(), OPTIONS)
    assert_masks(levels.objects, rectangle(*CUP), rectangle(*BALL))  # by score: .9, then the largest of equals, .8
    assert_masks(levels.parts, rectangle(*BALL), rectangle(*BODY))
    assert_masks(levels.subparts, rectangle(*BALL), rectangle(*LABEL))
    assert len(levels.best) == 64 and script.asked == 64


def test_an_object_that_no_best_mask_confirms_is_none() -> None:
    script = Script({CUP: ([LABEL, CUP, BODY], [0.95, 0.6, 0.8])})  # the surest is a sixth of the cup
    assert_masks(mask_generation(script, points_of(8), squares(), OPTIONS).objects)


def test_parts_are_thinned_less_where_superpixels_are_dense() -> None:
    a, b = (2, 2, 14, 12), (2, 4, 14, 12)  # IoU .8
    script = Script({(0, 0, 16, 5): ([a] * 3, [0.9] * 3), (0, 5, 16, 16): ([b] * 3, [0.8] * 3)})
    coarse = np.zeros(SHAPE, np.int64)
    assert len(mask_generation(script, points_of(8), coarse, OPTIONS).parts) == 1
    assert len(mask_generation(script, points_of(8), squares(2), OPTIONS).parts) == 2


def gallery(script: Script, count: int = 16) -> Gallery:
    return Gallery.of(script, points_of(count), OPTIONS.score_gap)


NOTHING = Script({})


def test_a_small_overlap_is_taken_from_the_larger_mask() -> None:
    large, small = rectangle(0, 0, 16, 16), rectangle(6, 15, 12, 22)  # 6 of 256 px
    for scores in ((0.9, 0.8), (0.8, 0.9)):
        entities = resolved(MaskSet.of([large, small], np.array(scores)), gallery(NOTHING), OPTIONS)
        expected = [large & ~small, small]
        assert_masks(entities, *(expected if scores[0] > scores[1] else expected[::-1]))


LEFT, RIGHT, BOTH = (0, 0, 16, 18), (0, 10, 16, 30), (0, 10, 16, 18)


def test_a_large_overlap_goes_to_the_mask_that_the_prompts_in_it_match() -> None:
    pair = MaskSet.of([rectangle(*LEFT), rectangle(*RIGHT)], np.array([0.9, 0.8]))
    narrower = rectangle(0, 0, 16, 10)
    guided = gallery(Script({BOTH: ([RIGHT] * 3, [0.8] * 3)}))
    assert_masks(resolved(pair, guided, OPTIONS), narrower, rectangle(*RIGHT))
    guided = gallery(Script({BOTH: ([LEFT] * 3, [0.8] * 3)}))
    assert_masks(resolved(pair, guided, OPTIONS), rectangle(*LEFT), rectangle(0, 18, 16, 30))


@pytest.mark.parametrize("sureness, winner", [(0.85, "object"), (0.95, "best")])
def test_the_best_mask_speaks_for_a_point_only_where_it_is_surer_by_the_gap(sureness: float, winner: str) -> None:
    pair = MaskSet.of([rectangle(*LEFT), rectangle(*RIGHT)], np.array([0.9, 0.8]))
    # the largest of a point is RIGHT (320 px) at .8, the surest LEFT (288 px)
    guided = gallery(Script({BOTH: ([RIGHT, LEFT, LEFT], [0.8, sureness, 0.1])}))
    whole = rectangle(*RIGHT) if winner == "object" else rectangle(*LEFT)
    assert any(np.array_equal(mask, whole) for mask in resolved(pair, guided, OPTIONS))


def test_an_overlap_without_a_prompt_goes_to_the_surer() -> None:
    pair = MaskSet.of([rectangle(*RIGHT), rectangle(*LEFT)], np.array([0.6, 0.7]))
    assert_masks(resolved(pair, gallery(NOTHING, 1), OPTIONS), rectangle(*LEFT), rectangle(0, 18, 16, 30))


def test_a_mask_that_loses_all_of_its_pixels_goes() -> None:
    pair = MaskSet.of([rectangle(0, 0, 8, 8), rectangle(0, 0, 8, 7)], np.array([0.9, 0.8]))
    assert_masks(resolved(pair, gallery(NOTHING, 1), OPTIONS), rectangle(0, 0, 8, 8))


HALVES = (rectangle(0, 0, 16, 12), rectangle(0, 12, 16, 24), rectangle(0, 24, 16, 32))


PAIRED = np.array([i % 4 + 4 * (i // 8) if i % 8 < 3 else i % 8 - 3 + 4 * (i // 8) for i in range(32)])
"""Of squares of 4 px, a direction: a square of the left third has that of one in the middle third."""


def features(directions: np.ndarray) -> np.ndarray:
    return np.eye(int(directions.max()) + 1)[directions]


def test_similar_entities_merge_where_one_mask_holds_both() -> None:
    entities, options = MaskSet.of(HALVES, np.array([0.7, 0.9, 0.8])), ESamOptions(neighbours=1)
    whole = gallery(Script({(0, 0, 16, 24): ([(0, 0, 16, 24)] * 3, [0.9] * 3)}))
    column = np.arange(32) % 8
    paired = features(np.where(column < 6, PAIRED, 16))
    joined = merged(entities, whole, squares(), paired, options)
    assert_masks(joined, HALVES[0] | HALVES[1], HALVES[2])
    assert joined.scores == pytest.approx([0.9, 0.8])
    assert_masks(merged(entities, whole, squares(), features(column // 3), options), *HALVES)  # each like itself
    assert_masks(merged(entities, gallery(NOTHING), squares(), paired, options), *HALVES)


def test_similarity_counts_the_neighbours_that_lie_in_the_other() -> None:
    # superpixels on a circle at these angles; the two nearest of each are counted
    angles = np.radians([0, 1, 3, 90, 92, 93])
    features = np.stack([np.cos(angles), np.sin(angles)], 1)
    inside = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]], bool)
    expected = [[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    assert similarity(inside, features, 2) == pytest.approx(np.array(expected))


def test_a_gap_joins_the_entity_that_its_mask_overlaps() -> None:
    script = Script({(0, 12, 16, 16): ([(0, 0, 16, 16)] * 3, [0.9] * 3)})
    entities = MaskSet.of([rectangle(0, 0, 16, 12), rectangle(0, 16, 16, 32)], np.array([0.8, 0.7]))
    filled = repaired(entities, MaskSet.of([], shape=SHAPE), squares(), script, OPTIONS)
    assert_masks(filled, rectangle(0, 0, 16, 16), rectangle(0, 16, 16, 32))
    assert script.asked == 4  # superpixels, all without a part; the answer to the first covers the others


def test_a_gap_whose_mask_overlaps_nothing_is_an_entity() -> None:
    script = Script({(0, 12, 16, 16): ([(0, 12, 16, 16)] * 3, [0.6] * 3)})
    entities = MaskSet.of([rectangle(0, 0, 16, 12), rectangle(0, 16, 16, 32)], np.array([0.8, 0.7]))
    filled = repaired(entities, MaskSet.of([], shape=SHAPE), squares(), script, OPTIONS)
    assert_masks(filled, rectangle(0, 0, 16, 12), rectangle(0, 16, 16, 32), rectangle(0, 12, 16, 16))
    assert filled.scores == pytest.approx([0.8, 0.7, 0.6])


def test_the_fewest_prompts_are_at_parts_that_hold_most_of_the_gaps() -> None:
    covered = rectangle(0, 8, 16, 32)  # eight superpixels of 4 px are open
    parts = MaskSet.of([rectangle(0, 0, 4, 8), rectangle(0, 0, 12, 8)])
    points = prompts_for_gaps(covered, parts, squares())
    assert len(points) == 3  # the second part's six, then two that no part holds
    assert rectangle(0, 0, 12, 8)[int(points[0][1]), int(points[0][0])]
    assert sorted(points[1:].tolist()) == [[2.5, 14.5], [6.5, 14.5]] or points[1:, 1].min() >= 12
    assert len(prompts_for_gaps(np.ones(SHAPE, bool), parts, squares())) == 0


def test_an_image_that_is_covered_is_asked_nothing() -> None:
    script = Script({})
    whole = MaskSet.of([np.ones(SHAPE, bool)])
    assert_masks(repaired(whole, whole, squares(), script, OPTIONS), np.ones(SHAPE, bool))
    assert script.asked == 0


def test_parts_of_a_whole_share_no_pixel_and_leave_none() -> None:
    whole = rectangle(0, 0, 16, 16)
    top, crossing, outside = rectangle(0, 0, 8, 16), rectangle(2, 0, 16, 8), rectangle(0, 12, 16, 32)
    candidates = MaskSet.of([crossing, top, outside, whole], np.array([0.5, 0.9, 0.8, 0.99]))
    (parts,) = nested_in([whole], candidates, 12)
    (first, rest) = parts
    assert np.array_equal(first[0], top) and first[1] == pytest.approx(0.9)
    assert np.array_equal(rest[0], rectangle(8, 0, 16, 16))


def test_a_remainder_that_is_too_small_goes_to_the_largest_part() -> None:
    whole = rectangle(0, 0, 16, 16)
    candidates = MaskSet.of([rectangle(0, 0, 8, 16), rectangle(8, 0, 16, 15)], np.array([0.9, 0.8]))
    (parts,) = nested_in([whole], candidates, 12)
    assert np.array_equal(parts[0][0], rectangle(0, 0, 8, 16) | rectangle(8, 15, 16, 16))
    assert np.array_equal(parts[1][0], rectangle(8, 0, 16, 15))
