from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from domains.entities import EntityMap
from domains.metrics.tolerant_f1 import TolerantF1


def line(row: int) -> EntityMap:
    ids = np.zeros((20, 30), np.int32)
    ids[row, 3:27] = 1
    return EntityMap(ids)


def f1_of(prediction: EntityMap, truth: EntityMap) -> float:
    metric = TolerantF1()
    metric.update(prediction, [truth])
    return metric.compute()


@pytest.mark.parametrize(("offset", "value"), [(0, 1.0), (2, 1.0), (3, 0.0)])
def test_a_line_two_pixels_off_is_right_and_three_pixels_off_is_wrong(offset: int, value: float) -> None:
    assert f1_of(line(8 + offset), line(8)) == value


def test_half_a_line_has_half_the_recall() -> None:
    half = line(8)
    half.ids[:, 15:] = 0
    recall = (15 - 3 + 2) / 24  # two pixels beyond its end are near it
    assert f1_of(half, line(8)) == pytest.approx(2 * recall / (1 + recall))


def test_nothing_found_is_zero_and_nothing_there_undefined() -> None:
    nothing = EntityMap(np.zeros((20, 30), np.int32))
    assert f1_of(nothing, line(4)) == 0 == f1_of(line(4), nothing)
    assert np.isnan(f1_of(nothing, nothing))


def test_it_equals_distances_measured_by_a_distance_transform(draw) -> None:
    metric, sums = TolerantF1(), np.zeros(4)
    for seed in range(10):
        prediction, truth = draw(seed, entities=3)
        metric.update(prediction, [truth])
        predicted, true = prediction.foreground, truth.foreground
        to_true, to_predicted = distance_transform_edt(~true), distance_transform_edt(~predicted)
        sums += [(to_true[predicted] <= 2).sum(), predicted.sum(), (to_predicted[true] <= 2).sum(), true.sum()]
    precision, recall = sums[0] / sums[1], sums[2] / sums[3]
    assert metric.compute() == pytest.approx(2 * precision * recall / (precision + recall))
