from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from domains.entities import EntityMap
from domains.metrics.matching import compare
from domains.metrics.size_classes import SIZES_PX, RegionRecall, SizeF1, SizeRecall, of_size


def test_size_classes_meet_without_gap() -> None:
    areas = np.array([1, 99, 100, 999, 1000, 9999, 10_000, 10**6])
    assert np.array([of_size(areas, size) for size in SIZES_PX]).sum(0).tolist() == [1] * 8
    assert of_size(areas, "small").tolist() == [False, False, True, True, False, False, False, False]


def test_recall_and_f1_by_hand() -> None:
    """True: 4 px (found), 9 px (missed), 400 px (found as 300). Found in vain: 16 px and 150 px."""
    truth, found = np.zeros((60, 60), np.int32), np.zeros((60, 60), np.int32)
    truth[0:2, 0:2], truth[10:13, 0:3], truth[20:40, 0:20] = 1, 2, 3
    found[0:2, 0:2], found[20:35, 0:20], found[0:4, 30:34], found[20:35, 40:50] = 1, 2, 3, 4
    one = EntityMap(found), [EntityMap(truth)]
    values = {}
    for size in SIZES_PX:
        recall, f1 = SizeRecall(size), SizeF1(size)
        recall.update(*one)
        f1.update(*one)
        values[size] = recall.compute(), f1.compute()
    assert values["tiny"] == pytest.approx((1 / 2, 2 / (2 + 1 + 1)))
    assert values["small"] == pytest.approx((1, 2 / (2 + 1)))
    assert np.isnan(values["medium"]).all() and np.isnan(values["large"]).all()


@pytest.mark.parametrize("seed", range(5))
def test_recall_agrees_with_pycocotools_overlaps(draw, seed: int) -> None:
    prediction, truth = draw(seed, entities=20, side=96)
    encoded = [
        [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in entities.masks()]
        for entities in (prediction, truth)
    ]
    iou = np.asarray(coco_mask.iou(encoded[0], encoded[1], [0] * truth.count))  # type: ignore[arg-type]
    small = truth.areas < 100
    metric = SizeRecall("tiny")
    metric.update(prediction, [truth])
    assert metric.compute() == pytest.approx((iou.max(0) >= 0.5)[small].mean())


def test_f1_of_all_sizes_together_counts_every_entity_once(draw) -> None:
    comparison = compare(*draw(3, entities=30, side=96))
    rows = np.array([SizeF1(size).measure(comparison) for size in SIZES_PX]).sum(0)
    right, false = len(comparison.matches), len(comparison.predicted_areas) - len(comparison.matches)
    assert rows.tolist() == [2 * right, right + len(comparison.true_areas) + false]


def test_region_recall_is_the_mean_covered_share(draw) -> None:
    metric, shares = RegionRecall(), []
    for seed in range(4):
        prediction, truth = draw(seed)
        metric.update(prediction, [truth])
        shares += [float(prediction.foreground[truth.ids == i].mean()) for i in range(1, truth.count + 1)]
    assert metric.compute() == pytest.approx(np.mean(shares))
