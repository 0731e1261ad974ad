"""The hierarchy score, beside numbers worked out by hand and a way by masks."""

from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.entities.forest import EntityForest, Nodes
from domains.metrics import MetricSet
from domains.metrics.proposed import inside

BOTTLE = np.array([[1, 1, 1, 2, 2, 0, 3, 3, 3, 3]], np.int32)
"""A bottle (1) with its cap (2) in it, and a glass (3) beside."""


def truth(ids: np.ndarray = BOTTLE, parents: tuple[int, ...] = (0, 1, 0)) -> EntityMap:
    return EntityMap(ids, parents=np.array(parents, np.int32))


def forest(leaves: np.ndarray, *parents: int) -> EntityForest:
    count = len(parents)
    table = np.array(parents, np.int32)
    g = 1 - 0.5 ** (1 + Nodes(table, *(np.arange(count) + 1.0,) * 3).depths) if count else np.zeros(0)
    return EntityForest(leaves, Nodes(table, g.astype(np.float32), np.full(count, -1.0), np.ones(count, np.float32)))


def score(prediction: EntityForest, *truths: EntityMap) -> float:
    metrics = MetricSet(["hierarchy"])
    metrics.update(prediction.cut(1), truths, "a", forest=prediction)
    return metrics.compute()["hierarchy"]


def test_the_truth_s_own_forest_is_right_whatever_its_numbers() -> None:
    assert score(forest(BOTTLE, 0, 1, 0), truth()) == 1
    other = np.array([0, 2, 3, 1])[BOTTLE].astype(np.int32)
    assert score(forest(other, 0, 0, 2), truth()) == 1


def test_a_flat_map_has_what_lies_beside_and_nothing_inside() -> None:
    """The bottle is found by its body, 3 of 5 pixels; of the pairs beside both are right: bottle or cap, and glass."""
    assert score(EntityForest.flat(EntityMap(BOTTLE)), truth()) == pytest.approx((0 / 1 + 2 / 2) / 2)


def test_what_is_not_found_is_in_no_right_pair() -> None:
    """The cap is missing: neither it in the bottle nor it beside the glass is right; bottle beside glass is."""
    leaves = np.where(BOTTLE == 2, 1, np.where(BOTTLE == 3, 2, BOTTLE)).astype(np.int32)
    assert score(forest(leaves, 0, 0), truth()) == pytest.approx((0 / 1 + 1 / 2) / 2)
    assert score(forest(np.zeros_like(BOTTLE)), truth()) == 0


def test_what_lies_beside_but_is_predicted_inside_is_wrong() -> None:
    """The glass is put into the bottle too, which then has 9 pixels and is 5 / 9 like itself."""
    assert score(forest(BOTTLE, 0, 1, 1), truth()) == pytest.approx((1 / 1 + 1 / 2) / 2)


def test_two_that_share_their_best_node_are_neither_inside_nor_beside() -> None:
    """A cap of 3 of 5 pixels, and one node for bottle and cap; the glass is beside both."""
    ids = np.array([[1, 1, 2, 2, 2, 0, 3, 3, 3, 3]], np.int32)
    leaves = np.where(ids == 2, 1, np.where(ids == 3, 2, ids)).astype(np.int32)
    assert score(forest(leaves, 0, 0), truth(ids)) == pytest.approx((0 / 1 + 2 / 2) / 2)


def test_a_whole_that_its_parts_fill_counts_by_their_pixels() -> None:
    """Entity 1 has no pixel but those of its parts, and entity 2 none at all."""
    true = truth(np.array([[3, 3, 4, 4]], np.int32), (0, 1, 1, 1))
    assert score(forest(np.array([[2, 2, 3, 3]], np.int32), 0, 1, 1), true) == 1
    assert score(EntityForest.flat(EntityMap.from_ids(true.ids)), true) == pytest.approx((0 / 2 + 1 / 1) / 2)


def test_a_truth_that_is_not_nested_says_nothing_and_one_inside_alone_is_its_share() -> None:
    assert np.isnan(score(forest(BOTTLE, 0, 1, 0), EntityMap(BOTTLE)))
    pair = truth(BOTTLE[:, :5], (0, 1))
    assert score(forest(BOTTLE[:, :5], 0, 1), pair) == 1 and score(forest(BOTTLE[:, :5], 0, 0), pair) == 0


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_a_way_by_masks(draw_forest, masks_of, seed: int) -> None:
    predicted, true = draw_forest(seed), draw_forest(seed, nodes=15)  # the same at first, then more
    masks, true_masks = masks_of(predicted), masks_of(true)
    iou = np.array([[(p & t).sum() / max((p | t).sum(), 1) for p in masks] for t in true_masks])
    iou[:, predicted.nodes.gone >= predicted.nodes.g] = 0
    best = [int(row.argmax()) if row.max() >= 0.5 else None for row in iou]
    lines = [set(predicted.ancestors(node)) for node in range(1, predicted.count + 1)]
    true_lines = [set(true.ancestors(node)) for node in range(1, true.count + 1)]
    rights, totals = [0, 0], [0, 0]
    for a in range(true.count):
        for b in range(a):
            is_inside = b + 1 in true_lines[a]  # a parent has the lower number
            totals[is_inside] += 1
            if best[a] is None or best[b] is None or best[a] == best[b]:
                continue
            inside = best[b] + 1 in lines[best[a]], best[a] + 1 in lines[best[b]]
            rights[is_inside] += inside == (is_inside, False)
    expected = (rights[0] / totals[0] + rights[1] / totals[1]) / 2
    nested = EntityMap(true.leaves, parents=true.nodes.parents[: int(true.leaves.max())])
    assert 0 < score(predicted, nested) == pytest.approx(expected, abs=1e-12)


def test_parents_in_a_circle_are_refused() -> None:
    with pytest.raises(ValueError, match="node [12] lies in itself: the parents go in a circle"):
        inside(np.array([2, 1, 0]), np.array([0]))
