from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics.covering import Covering


def test_one_region_for_two_is_known() -> None:
    metric = Covering()
    metric.update(EntityMap(np.ones((1, 4))), [EntityMap(np.array([[1, 1, 1, 2]]))])
    assert metric.compute() == pytest.approx((3 * 3 / 4 + 1 * 1 / 4) / 4)


def test_annotators_average_within_an_image_before_images_do() -> None:
    whole, halves = EntityMap(np.ones((1, 4))), EntityMap(np.array([[1, 1, 2, 2]]))
    metric = Covering()
    metric.update(whole, [whole, halves])  # 1 and 1/2
    metric.update(whole, [whole])
    assert metric.compute() == pytest.approx((0.75 + 1) / 2)


def test_it_equals_the_definition_region_by_region(draw) -> None:
    metric, expected = Covering(), []
    for seed in range(10):
        prediction, truth = draw(seed)
        other = draw(seed + 100)[1]
        metric.update(prediction, [truth, other])
        annotators = []
        for annotator in (truth, other):
            best = [max((p & t).sum() / (p | t).sum() for p in prediction.masks()) for t in annotator.masks()]
            annotators.append(annotator.areas @ best / annotator.areas.sum())
        expected.append(np.mean(annotators))
    assert metric.compute() == pytest.approx(np.mean(expected), abs=1e-12)


def test_pixels_without_an_entity_cover_nothing() -> None:
    metric = Covering()
    metric.update(EntityMap(np.zeros((2, 2))), [EntityMap(np.ones((2, 2)))])
    assert metric.compute() == 0
