"""Covering of forests at ODS, at OIS, at the predicted granularity and at best, beside other ways to the numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.entities.forest import EntityForest, Nodes
from domains.errors import InputError
from domains.metrics import MetricSet
from domains.metrics.covering import Covering
from domains.metrics.cut_covering import GRANULARITIES, CutCovering
from domains.metrics.matching import compare_all

KEYS = ("best_covering", "covering_ods", "covering_ois", "covering_predicted")


@pytest.fixture
def images(draw, draw_forest) -> list[tuple[EntityForest, list[EntityMap]]]:
    """Forests, each with two annotators' truths that divide the whole image."""
    pairs = []
    for seed in range(6):
        forest = draw_forest(seed)
        truths = [
            EntityMap.from_ids(forest.cut(g).ids * 100 + draw(seed + 9)[1].ids + 1)
            for g in ((0.3, 0.5) if seed % 2 else (0.8, 1))
        ]
        pairs.append((forest, truths))
    return pairs


def measured(images: Sequence[tuple[EntityForest, Sequence[EntityMap]]]) -> MetricSet:
    metrics = MetricSet(KEYS)
    for i, (forest, truths) in enumerate(images):
        metrics.update(forest.cut(0.5), truths, str(i), forest=forest)
    return metrics


def covering(prediction: EntityMap, truths: Sequence[EntityMap]) -> float:
    metric = Covering()
    metric.update(prediction, truths)
    return metric.compute()


def test_they_equal_the_flat_covering_of_every_cut(images) -> None:
    table = np.array([[covering(forest.cut(g), truths) for g in GRANULARITIES] for forest, truths in images])
    values = measured(images).compute()
    assert values["covering_ods"] == pytest.approx(table.mean(0).max(), abs=1e-12)
    assert values["covering_ois"] == pytest.approx(table.max(1).mean(), abs=1e-12)
    assert table.mean(0).max() < table.max(1).mean() < values["best_covering"]
    curve = CutCovering()
    for forest, truths in images:
        curve.observe(compare_all(forest.cut(0.5), truths, forest=forest))
    np.testing.assert_allclose(curve.curve(), table.mean(0), atol=1e-12)
    finest = max(g for g, value in zip(GRANULARITIES, table.mean(0), strict=True) if value >= table.mean(0).max())
    assert curve.best_granularity() == finest


def test_they_equal_the_sums_of_the_bsds500_benchmark(images, masks_of) -> None:
    """As `evaluation_reg_image` and `collect_eval_reg` add up: pixels of all regions of all annotators together."""

    def sums(segments: np.ndarray, truths: Sequence[EntityMap]) -> tuple[float, float]:
        regions = [region for truth in truths for region in truth.masks()]
        best = [max((s & r).sum() / (s | r).sum() for s in segments) if len(segments) else 0.0 for r in regions]
        return float(sum(r.sum() * iou for r, iou in zip(regions, best, strict=True))), sum(r.sum() for r in regions)

    granularities = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    at_g = np.array([[sums(f.cut(g).masks(), truths) for g in granularities] for f, truths in images])  # (I, G, 2)
    total, area = at_g.sum(0).T
    chosen = (at_g[..., 0] / at_g[..., 1]).argmax(1)
    ois = at_g[np.arange(len(images)), chosen].sum(0)
    entities = [(f.nodes.gone < f.nodes.g) & (f.areas > 0) for f, _ in images]
    best = np.sum([sums(masks_of(f)[e], truths) for (f, truths), e in zip(images, entities, strict=True)], axis=0)
    metrics = MetricSet({key: type(metric)(granularities) if key in ("covering_ods", "covering_ois") else metric
                         for key, metric in MetricSet(KEYS).metrics.items()})  # fmt: skip
    for i, (forest, truths) in enumerate(images):
        metrics.update(forest.cut(0.5), truths, str(i), forest=forest)
    values = metrics.compute()
    assert values["covering_ods"] == pytest.approx((total / area).max(), abs=1e-12)
    assert values["covering_ois"] == pytest.approx(ois[0] / ois[1], abs=1e-12)
    assert values["best_covering"] == pytest.approx(best[0] / best[1], abs=1e-12)


def whole_and_halves(score: float) -> EntityForest:
    """A whole of that score and its two halves of .6, in one row of four pixels."""
    columns = np.array([[0.4, 1, 1], [-1, -1, -1], [score, 0.6, 0.6]], np.float32)
    return EntityForest(np.array([[2, 2, 3, 3]], np.int32), Nodes(np.array([0, 1, 1], np.int32), *columns))


def test_one_g_for_two_images_one_each_and_what_the_scores_predict() -> None:
    """The first annotation is the whole, the second its halves: flat, each cut covers 1 of one image and 1/2 of the
    other. The scores are right about the first image, wrong about the second.
    """
    whole, halves = EntityMap(np.ones((1, 4))), EntityMap(np.array([[1, 1, 2, 2]]))
    values = measured([(whole_and_halves(0.9), [whole]), (whole_and_halves(0.7), [halves])]).compute()
    assert values == {
        "best_covering": 1, "covering_ods": 0.75, "covering_ois": 1, "covering_predicted": 0.75,
    }  # fmt: skip
    values = measured([(whole_and_halves(0.9), [whole]), (whole_and_halves(0.5), [halves])]).compute()
    assert values["covering_predicted"] == 1


def test_two_annotators_of_one_image_share_a_granularity_but_not_a_node() -> None:
    whole, halves = EntityMap(np.ones((1, 4))), EntityMap(np.array([[1, 1, 2, 2]]))
    values = measured([(whole_and_halves(0.9), [whole, halves])]).compute()
    assert values["covering_ois"] == 0.75 and values["best_covering"] == 1


def test_annotators_who_labelled_other_pixels_are_held_against_the_same_cut() -> None:
    left, right = EntityMap(np.array([[1, 1, -1, -1]])), EntityMap(np.array([[-1, -1, 2, 2]]))
    values = measured([(whole_and_halves(0.5), [left, right])]).compute()
    assert values == dict.fromkeys(KEYS, 1)
    flat = MetricSet(KEYS)
    flat.update(EntityMap(np.array([[1, 1, 2, 2]])), [left, right], "a")
    assert flat.compute() == dict.fromkeys(KEYS, 1)


def test_intervals_hold_the_value(images) -> None:
    metrics = measured(images)
    for key, (low, high) in metrics.interval(resamples=100).items():
        assert low <= metrics.compute()[key] <= high


def test_a_forest_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(1, 4\) cannot be held against a truth of shape \(2, 2\)"):
        compare_all(EntityMap(np.ones((2, 2))), [EntityMap(np.ones((2, 2)))], forest=whole_and_halves(1))
