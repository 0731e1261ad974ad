from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from domains.entities import EntityMap
from domains.metrics.average_precision import AveragePrecision
from domains.metrics.average_recall import AverageRecall
from domains.metrics.metric import EntityMetric
from domains.metrics.table import build_metrics

Pair = tuple[EntityMap, EntityMap]


def plain_cocoeval(pairs: Sequence[Pair], max_dets: tuple[int, int, int] = (1, 10, 100)) -> np.ndarray:
    """The twelve numbers that pycocotools itself reports, from run-length coded masks."""
    images = [{"id": i, "height": truth.shape[0], "width": truth.shape[1]} for i, (_, truth) in enumerate(pairs)]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for side in (1, 0):
            coco = COCO()
            coco.dataset = {"images": images, "categories": [{"id": 1}], "annotations": []}
            for i, pair in enumerate(pairs):
                for k, mask in enumerate(pair[side].masks()):
                    coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
                    scores = pair[side].scores
                    coco.dataset["annotations"].append(
                        {
                            "id": len(coco.dataset["annotations"]) + 1,
                            "image_id": i,
                            "category_id": 1,
                            "segmentation": coded,
                            "area": float(mask.sum()),
                            "iscrowd": 0,
                            "score": 1.0 if scores is None else float(scores[k]),
                        }
                    )
            coco.createIndex()
            sides.append(coco)
        evaluator = COCOeval(sides[0], sides[1], "segm")
        evaluator.params.maxDets = list(max_dets)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        if max_dets[2] != 100:  # `summarize` reads its headline at 100
            evaluator.stats[0] = evaluator.eval["precision"][..., 0, 2].mean()
    return evaluator.stats


def ours(pairs: Sequence[Pair]) -> dict[str, EntityMetric]:
    metrics = build_metrics(("ap", "ap50", "ar100"))
    for metric in metrics.values():
        for prediction, truth in pairs:
            metric.update(prediction, [truth])
    return metrics


def test_a_wrong_entity_ranked_between_two_right_ones_is_known() -> None:
    truth = EntityMap(np.array([[1, 1, 0, 2, 2, 0, 0]]))
    prediction = EntityMap(np.array([[1, 1, 0, 2, 2, 0, 3]]), scores=np.array([0.9, 0.3, 0.6], np.float32))
    metrics = ours([(prediction, truth)])
    # Precision 1 up to recall 1/2 (51 of the 101 recalls), 2/3 from there on.
    assert metrics["ap"].compute() == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert metrics["ar100"].compute() == 1


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_plain_pycocotools_below_a_hundred_entities(draw, seed: int) -> None:
    pairs = [draw(100 * seed + i, entities=3 + 5 * i) for i in range(6)]
    stats, metrics = plain_cocoeval(pairs), ours(pairs)
    assert metrics["ap"].compute() == pytest.approx(stats[0], abs=1e-12)
    assert metrics["ap50"].compute() == pytest.approx(stats[1], abs=1e-12)
    assert metrics["ar100"].compute() == pytest.approx(stats[8], abs=1e-12)


def test_equal_scores_and_halves_at_exactly_one_half_agree_with_pycocotools() -> None:
    halves = EntityMap(np.array([[1, 1, 2, 2], [3, 3, 3, 3]]), scores=np.array([0.5, 0.5, 0.5], np.float32))
    whole = EntityMap(np.array([[1, 1, 1, 1], [2, 2, 3, 3]]))
    stats, metrics = plain_cocoeval([(halves, whole)]), ours([(halves, whole)])
    assert [metrics[key].compute() for key in ("ap", "ap50", "ar100")] == pytest.approx([stats[0], stats[1], stats[8]])


def test_more_than_a_hundred_entities_count_for_ap_and_are_cut_for_ar100() -> None:
    ids = np.zeros((24, 24), np.int32)
    ids[::2, ::2] = np.arange(1, 145).reshape(12, 12)
    prediction = EntityMap(ids, np.linspace(1, 0, 144, dtype=np.float32))
    pairs = [(prediction, EntityMap(np.where(ids <= 125, ids, 0)))]  # the best 125 are right
    metrics = ours(pairs)
    assert metrics["ap"].compute() == pytest.approx(1)
    assert metrics["ap"].compute() == pytest.approx(plain_cocoeval(pairs, (1, 100, 1000))[0])
    assert metrics["ar100"].compute() == pytest.approx(100 / 125)
    assert plain_cocoeval(pairs)[0] < 0.81  # what the cap of 100 says, which EntitySeg's AP^e has
    capped = build_metrics(["ap_e"])["ap_e"]
    capped.update(*pairs[0][:1], pairs[0][1:])
    assert capped.compute() == pytest.approx(plain_cocoeval(pairs)[0], abs=1e-12)


@pytest.mark.parametrize("key", ["ap", "ap50", "ar100"])
def test_resampling_equals_pycocotools_on_the_images_drawn(draw, key: str) -> None:
    rng = np.random.default_rng(0)
    pairs = [draw(seed, entities=2 + seed) for seed in range(8)]
    weights = rng.multinomial(8, np.full(8, 1 / 8), size=6).astype(float)
    resampled = ours(pairs)[key].resample(weights)
    for weight, value in zip(weights, resampled, strict=True):
        drawn = [pair for pair, times in zip(pairs, weight, strict=True) for _ in range(int(times))]
        assert value == pytest.approx(ours(drawn)[key].compute(), abs=1e-12)


def test_each_annotator_s_map_counts_as_an_image(draw) -> None:
    prediction, truth = draw(1)
    other = draw(2)[1]
    both = AveragePrecision()
    both.update(prediction, [truth, other])
    assert both.compute() == pytest.approx(plain_cocoeval([(prediction, truth), (prediction, other)])[0], abs=1e-12)
    assert both.resample(np.ones((1, 1)))[0] == pytest.approx(both.compute(), abs=1e-12)


def test_no_truth_at_all_is_undefined_and_no_prediction_is_zero() -> None:
    empty, full = EntityMap(np.zeros((4, 4))), EntityMap(np.ones((4, 4)))
    for make in (AveragePrecision, AverageRecall):
        none, missed = make(), make()
        none.update(full, [empty])
        missed.update(empty, [full])
        assert np.isnan(none.compute()) and np.isnan(none.resample(np.ones((1, 1)))[0])
        assert missed.compute() == 0 and missed.resample(np.ones((1, 1)))[0] == 0
