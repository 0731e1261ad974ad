from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from domains.entities import EntityMap
from domains.metrics import MetricSet
from domains.metrics.sized_precision import SizedPrecision

SIZES = ("small", "medium", "large")


def drawn(seed: int, side: int = 256) -> tuple[EntityMap, EntityMap]:
    """Squares of 8 to 120 px, some shifted, some grown over a border of the size classes, some missed."""
    rng = np.random.default_rng(seed)
    truth, prediction = np.zeros((side, side), np.int32), np.zeros((side, side), np.int32)
    for i in range(1, 14):
        size = int(rng.choice([8, 20, 31, 33, 60, 95, 97, 120]))
        y, x = rng.integers(0, side - size, 2)
        truth[y : y + size, x : x + size] = i
        if rng.random() < 0.8:
            dy, dx, grow = rng.integers(-2, 3, 3)
            y, x = max(y + dy, 0), max(x + dx, 0)
            prediction[y : y + size + grow, x : x + size + grow] = i
        if rng.random() < 0.4:
            y, x = rng.integers(0, side - 40, 2)
            prediction[y : y + 34, x : x + 30] = 20 + i
    found = EntityMap.from_ids(prediction)
    return EntityMap(found.ids, rng.permutation(found.count).astype(np.float32) / found.count), EntityMap.from_ids(
        truth
    )


def plain_cocoeval(pairs) -> list[float]:
    """AP small, medium and large as pycocotools reports them."""
    images = [{"id": i, "height": 256, "width": 256} for i in range(len(pairs))]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for side in (1, 0):
            coco, rows = COCO(), []
            for i, pair in enumerate(pairs):
                for k, mask in enumerate(pair[side].masks()):
                    coded = rle.encode(np.asfortranarray(mask, np.uint8))
                    score = 1.0 if pair[side].scores is None else float(pair[side].scores[k])
                    rows.append(
                        {"id": len(rows) + 1, "image_id": i, "category_id": 1, "segmentation": coded, "iscrowd": 0,
                         "area": float(mask.sum()), "score": score}
                    )  # fmt: skip
            coco.dataset = {"images": images, "categories": [{"id": 1}], "annotations": rows}
            coco.createIndex()
            sides.append(coco)
        evaluator = COCOeval(sides[0], sides[1], "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats[3:6].tolist()


def test_the_classes_are_cocos_to_the_last_digit():
    pairs = [drawn(seed) for seed in range(12)]
    metrics = [SizedPrecision(size) for size in SIZES]
    for metric in metrics:
        for prediction, truth in pairs:
            metric.update(prediction, [truth])
    assert [metric.compute() for metric in metrics] == pytest.approx(plain_cocoeval(pairs), abs=1e-12)


def test_resampling_repeats_compute_and_weighs_images():
    pairs = [drawn(seed) for seed in range(6)]
    for size in SIZES:
        metric, twice = SizedPrecision(size), SizedPrecision(size)
        for i, (prediction, truth) in enumerate(pairs):
            metric.update(prediction, [truth])
            for _ in range(2 if i == 0 else 1):
                twice.update(prediction, [truth])
        weights = np.array([[1, 1, 1, 1, 1, 1], [2, 1, 1, 1, 1, 1]])
        assert metric.resample(weights) == pytest.approx([metric.compute(), twice.compute()])


@pytest.mark.parametrize(
    ("size_m", "wanted"),
    [(0.5, (np.nan, 0.5, np.nan)), (1.0, (np.nan, 1.0, 0.0)), (2.0, (np.nan, np.nan, 0.5)), (None, (np.nan,) * 3)],
)
def test_square_metres_decide_where_the_pixel_size_is_known(size_m, wanted):
    ids = np.zeros((80, 80), np.int32)
    ids[:22, :22], ids[30:70, 30:70] = 1, 2  # 484 and 1600 px
    found = EntityMap(np.where(ids == 1, 1, 0), np.ones(1, np.float32))
    metrics = MetricSet([f"ap_{size}_m2" for size in SIZES])
    metrics.update(found, [EntityMap(ids)], "a", pixel_size_m=size_m)
    assert list(metrics.compute().values()) == pytest.approx(wanted, nan_ok=True, abs=0.01)


def test_a_match_of_another_size_is_neither_right_nor_wrong():
    ids = np.zeros((60, 60), np.int32)
    ids[:33, :33] = 1  # 1089 px, medium
    smaller = np.zeros_like(ids)
    smaller[:30, :30] = 1  # 900 px, small, IoU 0.83
    metric = SizedPrecision("small")
    metric.update(EntityMap(smaller, np.ones(1, np.float32)), [EntityMap(ids)])
    assert np.isnan(metric.compute()) and np.isnan(metric.resample(np.ones((1, 1)))[0])
