"""Of masks that overlap the surest that nest are a forest."""

from __future__ import annotations

import numpy as np

from adapters.proposals.mask_set import MaskSet
from benchmarks.accuracy.laminar import laminar, laminar_forest


def boxes(*corners: tuple[int, int, int, int], scores: list[float]) -> MaskSet:
    """Masks (20, 30) of boxes y0, x0, y1, x1."""
    masks = np.zeros((len(corners), 20, 30), bool)
    for mask, (y0, x0, y1, x1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return MaskSet.of(masks, np.array(scores))


def test_a_part_may_be_surer_than_its_whole_and_what_cuts_a_surer_one_goes() -> None:
    masks = boxes((2, 2, 18, 14), (4, 4, 10, 10), (3, 8, 9, 24), (2, 20, 6, 28), (4, 4, 8, 8), scores=[6, 9, 5, 3, 7])
    masks = masks.take(np.arange(5))
    assert laminar(masks).tolist() == [1, 4, 0, 3]
    forest = laminar_forest(masks, least_px=4)
    assert forest.nodes.parents.tolist() == [0, 1, 0, 2] and forest.areas.tolist() == [192, 36, 32, 16]
    assert forest.nodes.g.tolist() == [0, 0.5, 1, 1] and forest.nodes.levels == ["whole", "part", "whole", "subpart"]
    assert forest.cut(0.0).count == 2 and forest.leaves[5, 5] == 4 and forest.leaves[17, 13] == 1


def test_nodes_share_no_pixel_and_specks_are_left_out() -> None:
    masks = boxes((0, 0, 10, 11), (0, 10, 10, 21), (2, 2, 4, 4), scores=[0.9, 0.8, 0.7])
    forest = laminar_forest(masks, least_px=12)
    assert forest.areas.tolist() == [110, 100] and forest.nodes.scores.tolist() == [np.float32(0.9), np.float32(0.8)]
    assert laminar_forest(MaskSet.of([], shape=(4, 5))).count == 0
