from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics.class_iou import ClassIoU
from domains.metrics.foreground_iou import ForegroundIoU

KINDS = ("blowhole", "crack", "fray")


def image(classes: list[int], found: np.ndarray) -> tuple[EntityMap, list[EntityMap]]:
    """One true entity of 4 px per class, in a row of a map of 4 columns; found: (rows, 4) of 0 or 1."""
    ids = np.arange(1, len(classes) + 1, dtype=np.int32)[:, None].repeat(4, 1)
    ids = np.concatenate([ids, np.zeros((len(found) - len(classes), 4), np.int32)])
    truth = EntityMap(ids, labels=np.array(classes, np.int32), vocabulary=KINDS)
    return EntityMap(found.astype(np.int32)), [truth]


def test_a_class_weighs_the_same_however_rare() -> None:
    metric = ClassIoU()
    for _ in range(3):  # a blowhole of 4 px of which 2 are found, and 1 px beside it: 2 / 5
        metric.update(*image([0], np.array([[1, 1, 0, 0], [1, 0, 0, 0]])))
    metric.update(*image([1], np.array([[1, 1, 1, 1], [0, 0, 0, 0]])))  # a crack found whole
    assert metric.compute() == pytest.approx((2 / 5 + 1) / 2)


def test_pixels_of_a_class_are_pooled_over_its_images() -> None:
    metric = ClassIoU()
    metric.update(*image([2], np.array([[1, 1, 1, 1]])))
    metric.update(*image([2], np.array([[1, 0, 0, 0]])))
    assert metric.compute() == pytest.approx(5 / 8)


def test_what_is_found_of_another_class_in_the_image_is_no_false_alarm() -> None:
    metric = ClassIoU()
    metric.update(*image([0, 1], np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])))
    assert metric.compute() == pytest.approx((4 / 5 + 2 / 5) / 2)


def test_good_images_say_nothing() -> None:
    metric = ClassIoU()
    metric.update(*image([], np.ones((2, 4))))
    assert np.isnan(metric.compute())
    metric.update(*image([0], np.array([[1, 1, 0, 0]])))
    assert metric.compute() == pytest.approx(1 / 2)


def test_with_one_class_in_every_image_it_is_the_mean_of_foreground_iou_by_class(draw) -> None:
    metric, apart = ClassIoU(), {kind: ForegroundIoU() for kind in KINDS}
    for seed in range(9):
        prediction, truth = draw(seed, unlabelled=True)
        kind = seed % 3
        labelled = EntityMap(truth.ids, labels=np.full(truth.count, kind, np.int32), vocabulary=KINDS)
        metric.update(prediction, [labelled])
        apart[KINDS[kind]].update(prediction, [truth])
    assert metric.compute() == pytest.approx(np.mean([one.compute() for one in apart.values()]))
    weights = np.array([[1, 0, 0, 1, 0, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0, 0, 0, 1]], float)  # one class alone, all three
    rows = [[one.resample(weights[:, kind::3]) for kind, one in enumerate(apart.values())]]
    np.testing.assert_allclose(metric.resample(weights), np.nanmean(rows[0], axis=0))


def test_without_labels_it_is_foreground_iou(draw) -> None:
    metric, other = ClassIoU(), ForegroundIoU()
    for seed in range(3):
        prediction, truth = draw(seed)
        metric.update(prediction, [truth])
        other.update(prediction, [truth])
    assert metric.compute() == pytest.approx(other.compute())
