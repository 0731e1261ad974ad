from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from domains.entities import EntityMap
from domains.metrics.image_auroc import ImageAUROC

NOTHING = np.zeros((4, 4), np.int32)
SOMETHING = np.pad(np.ones((2, 2), np.int32), 1)


def seen(scores: list[float | None], defects: list[bool]) -> ImageAUROC:
    """An image per score, None where nothing is found."""
    metric = ImageAUROC()
    for score, defect in zip(scores, defects, strict=True):
        found = EntityMap(NOTHING) if score is None else EntityMap(SOMETHING, np.array([score], np.float32))
        metric.update(found, [EntityMap(SOMETHING if defect else NOTHING)])
    return metric


def test_it_is_the_chance_that_a_defect_outranks_a_good_part() -> None:
    assert seen([0.9, 0.8, 0.1], [True, True, False]).compute() == 1
    assert seen([0.2, 0.8], [True, False]).compute() == 0
    assert seen([0.5, 0.5], [True, False]).compute() == 0.5
    assert seen([None, 0.3], [False, True]).compute() == 1


def test_it_is_undefined_with_images_of_one_kind() -> None:
    assert np.isnan(seen([0.5, 0.4], [True, True]).compute())
    assert np.isnan(ImageAUROC().compute())


def test_it_equals_scikit_learn_under_any_weights_of_the_images() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 40) / 8  # with ties
    defects = rng.random(40) < 0.4
    metric = seen([None if score == 0 else float(score) for score in scores], defects.tolist())
    assert metric.compute() == pytest.approx(roc_auc_score(defects, scores))
    weights = rng.integers(0, 4, (5, 40)).astype(float)
    wanted = [roc_auc_score(defects, scores, sample_weight=weight) for weight in weights]
    np.testing.assert_allclose(metric.resample(weights), wanted)


def test_the_best_of_several_entities_counts() -> None:
    two = np.array([[1, 0, 2, 0]], np.int32)
    metric = ImageAUROC()
    metric.update(EntityMap(two, np.array([0.1, 0.9], np.float32)), [EntityMap(two)])
    metric.update(EntityMap(two, np.array([0.5, 0.6], np.float32)), [EntityMap(np.zeros_like(two))])
    assert metric.compute() == 1


def test_a_heat_map_ranks_images_in_which_nothing_was_found() -> None:
    metric = ImageAUROC()
    for warmth, defect in ((0.4, SOMETHING), (0.1, NOTHING), (0.3, SOMETHING)):
        heat = np.full((4, 4), 0.05, np.float16)
        heat[1, 2] = warmth
        metric.update(EntityMap(NOTHING, pixel_scores=heat), [EntityMap(defect)])
    assert metric.compute() == 1
    unlabelled = NOTHING.copy()
    unlabelled[1, 2] = -1
    heat = np.zeros((4, 4), np.float16)
    heat[1, 2] = 0.9
    metric.update(EntityMap(NOTHING, pixel_scores=heat), [EntityMap(unlabelled)])  # nobody said what is there
    assert metric.compute() == 1
