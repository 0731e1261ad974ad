"""AR at k of proposals that lie in one another, beside pycocotools with its `maxDets` set to k."""

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
from domains.entities.forest import EntityForest, Nodes
from domains.metrics import MetricSet
from domains.metrics.matching import compare

KEYS = {1: "ar1", 10: "ar10", 100: "ar100", 1000: "ar1000"}
Scored = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Masks (N, H, W) of proposals, their scores, and masks (T, H, W) of the truth."""


def plain_recall(images: Sequence[Scored], most: int) -> float:
    """The recall that pycocotools accumulates with so many detections an image."""
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for side in ("truth", "proposals"):
            coco = COCO()
            frames = [{"id": i, "height": 48, "width": 48} for i in range(len(images))]
            coco.dataset = {"images": frames, "categories": [{"id": 1}], "annotations": []}
            for i, (masks, scores, truth) in enumerate(images):
                for k, mask in enumerate(truth if side == "truth" else masks):
                    coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
                    about = {"id": len(coco.dataset["annotations"]) + 1, "image_id": i, "category_id": 1, "iscrowd": 0}
                    score = float(scores[k]) if side == "proposals" else 1.0
                    row = {**about, "segmentation": coded, "area": float(mask.sum()), "score": score}
                    coco.dataset["annotations"].append(row)
            coco.createIndex()
            sides.append(coco)
        evaluator = COCOeval(*sides, "segm")
        evaluator.params.maxDets = [most]
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.evaluate()
        evaluator.accumulate()
    return float(evaluator.eval["recall"].mean())


@pytest.mark.parametrize("seed", range(3))
def test_of_all_nodes_of_a_forest_it_equals_pycocotools(draw, draw_forest, masks_of, seed: int) -> None:
    metrics, images = MetricSet(list(KEYS.values())), []
    for i in range(3):
        forest = draw_forest(10 * seed + i, nodes=25)
        truth = EntityMap.from_ids(np.maximum(forest.cut(0.6).ids, 0) * (draw(i)[1].ids % 5 > 0))  # cut, and torn
        metrics.update(forest.cut(0.3), [truth], "a", forest=forest)
        is_entity = (forest.nodes.gone < forest.nodes.g) & (forest.areas > 0)
        images.append((masks_of(forest)[is_entity], forest.nodes.scores[is_entity], truth.masks()))
    values = metrics.compute()
    expected = {key: plain_recall(images, most) for most, key in KEYS.items()}
    assert values == pytest.approx(expected, abs=1e-12) and values["ar10"] < values["ar100"]


def test_a_whole_before_its_parts_uses_up_a_proposal() -> None:
    """Two true halves; the whole comes first and matches neither by more than 1/2, then one half exactly."""
    leaves = np.array([[2, 2, 3, 3]], np.int32)
    columns = (np.array([values], np.float32)[0] for values in ([0.5, 1, 1], [-1, -1, -1], [0.9, 0.8, 0.1]))
    forest = EntityForest(leaves, Nodes(np.array([0, 1, 1], np.int32), *columns))
    truth = EntityMap(np.array([[1, 1, 2, 2]]))
    comparison = compare(forest.cut(1), truth, forest=forest)
    # At .5 the whole takes a half (IoU 1/2: the later of two alike); the better half takes the other; the last is late.
    assert comparison.proposed.ranks[0].tolist() == [1, 0] and comparison.proposed.ranks[1].tolist() == [1, 2]
    metrics = MetricSet(["ar1", "ar10"])
    metrics.update(forest.cut(1), [truth], "a", forest=forest)
    assert metrics.compute() == {"ar1": pytest.approx(0.1 * 1 / 2), "ar10": 1}


def test_nodes_are_judged_where_the_truth_is_labelled() -> None:
    """A node is cut at unlabelled pixels, and one with more than half of it there does not count."""
    forest = EntityForest.flat(EntityMap(np.array([[1, 1, 1, 2, 2, 2]]), np.array([0.5, 0.9], np.float32)))
    truth = EntityMap(np.array([[1, 1, -1, -1, -1, 2]]))
    proposed = compare(forest.cut(1), truth, forest=forest).proposed
    assert proposed.counts.tolist() == [True, False] and proposed.covered() == pytest.approx(2 / 3)
    assert proposed.ranks.max(1).tolist() == [1000] * 10 and proposed.ranks[:, 0].tolist() == [0] * 10
