"""What is measured of prompts, with a scripted image in place of a network's."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from adapters.decoders.promptable import PromptableImage
from adapters.proposals.mask_set import Bits, MaskSet
from benchmarks.accuracy.prompts import boxed, clicked, deepest, iou, of_granularity
from domains.entities.forest import EntityForest, Nodes


class Script:
    """Answers n points with the first n rows of a square that has `rows` of them, and a box with all of it."""

    def __init__(self, truth: np.ndarray) -> None:
        self.truth = truth
        self.asked: list[Any] = []

    def predict(
        self, points: Any = None, labels: Any = None, boxes: Any = None, several: bool = True, granularity: Any = None
    ) -> MaskSet:
        self.asked.append((points, labels))
        mask = self.truth.copy()
        if points is not None and granularity is None:
            mask[8 + 4 * points.shape[1] :] = False
        masks = [mask, np.zeros_like(mask)]
        return MaskSet.of_bits(mask.shape, [Bits.of(m) for m in masks], np.array([0.9, 0.1]), *np.zeros((3, 2)))


@pytest.fixture
def square() -> np.ndarray:
    """(40, 40) bool: rows 8 to 19, columns 10 to 21."""
    square = np.zeros((40, 40), bool)
    square[8:20, 10:22] = True
    return square


def test_each_click_lies_where_the_error_is_deepest(square) -> None:
    script = Script(square)
    assert [*clicked(cast(PromptableImage, script), square, 3)] == pytest.approx([1 / 3, 2 / 3, 1])
    (begin, _), (corrected, labels), _ = script.asked
    x, y = begin[0, 0]
    assert 10 <= x < 22 and 8 <= y < 20 and labels.tolist() == [[1, 1]] and corrected[0, 1, 1] >= 12
    assert deepest(square)[0] in (15, 16)


def test_the_floor_of_a_box_is_its_ellipse(square) -> None:
    mask, ellipse = boxed(cast(PromptableImage, Script(square)), square)
    assert mask == 1 and ellipse == pytest.approx(np.pi / 4, rel=0.03)
    assert iou(square, ~square) == 0


def test_a_granularity_is_compared_with_the_entity_that_it_means(square) -> None:
    detail = square & (np.arange(40) < 14)
    leaves = square.astype(np.int32) + detail
    forest = EntityForest(leaves, Nodes(np.array([0, 1]), np.array([0.5, 1]), np.full(2, -1.0), np.ones(2)))
    truths = {2: detail, 1: square}
    script = cast(PromptableImage, Script(square))
    assert of_granularity(script, (11, 9), 0.5, forest, truths) == (1, True)
    overlap, alike = of_granularity(script, (11, 9), 1.0, forest, truths)
    assert overlap == pytest.approx(1 / 3) and not alike
