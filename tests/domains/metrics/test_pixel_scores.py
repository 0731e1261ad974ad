from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from domains.entities import EntityMap
from domains.metrics import pixel_scores
from domains.metrics.pixel_scores import AUPRO, PixelAP, PixelAUROC, ScoreCurve

Image = tuple[np.ndarray, np.ndarray]  # scores and ids


def images(seed: int = 0, count: int = 4, steps: int = 20) -> list[Image]:
    """Scores that know something of blobs of truth; few different ones, hence ties."""
    rng = np.random.default_rng(seed)
    drawn = []
    for i in range(count):
        ids = np.zeros((24, 30), np.int32)
        if i % 3 != 2:  # the others are good images
            ids, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(24, 30)), 2) > 0.15)
        scores = np.clip(0.3 * (ids > 0) + rng.random(ids.shape) * 0.7, 0, 1)
        drawn.append(((np.round(scores * steps) / steps).astype(np.float16), ids.astype(np.int32)))
    return drawn


def seen(metric: ScoreCurve, shown: list[Image]) -> ScoreCurve:
    for scores, ids in shown:
        metric.update(EntityMap(np.zeros_like(ids), pixel_scores=scores), [EntityMap(ids)])
    return metric


def aupro_by_thresholds(shown: list[Image], limit: float) -> float:
    """Every threshold applied in turn to the masks, and the area summed piece by piece up to the limit."""
    fpr, pro = [0.0], [0.0]
    good = sum(np.count_nonzero(ids == 0) for _, ids in shown)
    for threshold in np.unique(np.concatenate([scores.ravel() for scores, _ in shown]))[::-1]:
        false = sum(np.count_nonzero((scores >= threshold) & (ids == 0)) for scores, ids in shown)
        shares = [(s >= threshold)[ids == i].mean() for s, ids in shown for i in range(1, ids.max() + 1)]
        fpr.append(false / good)
        pro.append(float(np.mean(shares)))
    area = 0.0
    for x0, x1, y0, y1 in zip(fpr, fpr[1:], pro, pro[1:], strict=False):
        if x0 < limit < x1:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2 if x1 <= limit else 0
    return area / limit


@pytest.mark.parametrize("seed", range(4))
def test_auroc_and_ap_equal_scikit_learn(seed: int) -> None:
    shown = images(seed)
    truth = np.concatenate([ids.ravel() > 0 for _, ids in shown])
    scores = np.concatenate([scores.ravel() for scores, _ in shown])
    assert seen(PixelAUROC(), shown).compute() == pytest.approx(roc_auc_score(truth, scores))
    assert seen(PixelAP(), shown).compute() == pytest.approx(average_precision_score(truth, scores))


def test_weights_of_the_images_are_those_of_scikit_learn() -> None:
    shown = images(5, count=6)
    weights = np.random.default_rng(1).integers(0, 4, (5, 6)).astype(float)
    truth = np.concatenate([ids.ravel() > 0 for _, ids in shown])
    scores = np.concatenate([scores.ravel() for scores, _ in shown])
    each = [np.repeat(row, shown[0][1].size) for row in weights]
    wanted = [roc_auc_score(truth, scores, sample_weight=weight) for weight in each]
    np.testing.assert_allclose(seen(PixelAUROC(), shown).resample(weights), wanted)
    wanted = [average_precision_score(truth, scores, sample_weight=weight) for weight in each]
    np.testing.assert_allclose(seen(PixelAP(), shown).resample(weights), wanted)


@pytest.mark.parametrize("limit", [0.3, 0.05, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_aupro_equals_the_curve_drawn_threshold_by_threshold(seed: int, limit: float) -> None:
    shown = images(seed)
    assert seen(AUPRO(limit), shown).compute() == pytest.approx(aupro_by_thresholds(shown, limit))


def test_aupro_by_hand() -> None:
    """Regions of 1 and of 4 px, 10 px of neither. At 0.9 the small one, at 0.5 half of the large one and 1 of the ten,
    at 0.1 all: (0, 1/2), (0.1, 3/4), (1, 1)."""
    ids = np.array([[1, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], np.int32)
    scores = np.array([[0.9, 0.5, 0.5, 0.1, 0.1, 0.5] + [0.1] * 9], np.float16)
    shown = [(scores, ids)]
    to_03 = 0.1 * (0.5 + 0.75) / 2 + 0.2 * (0.75 + (0.75 + 0.25 * 0.2 / 0.9)) / 2
    assert seen(AUPRO(), shown).compute() == pytest.approx(to_03 / 0.3)
    assert seen(AUPRO(0.05), shown).compute() == pytest.approx((0.5 + 0.625) / 2)
    assert seen(AUPRO(1.0), shown).compute() == pytest.approx(0.1 * 0.625 + 0.9 * 0.875)


def test_a_small_region_weighs_as_much_as_a_large_one() -> None:
    ids = np.zeros((20, 20), np.int32)
    ids[:10, :10], ids[15, 15] = 1, 2
    large, small = np.zeros((2, 20, 20), np.float16)
    large[ids == 1], small[ids == 2] = 1, 1
    assert seen(AUPRO(), [(large, ids)]).compute() == pytest.approx(seen(AUPRO(), [(small, ids)]).compute())
    assert seen(PixelAP(), [(large, ids)]).compute() > 3 * seen(PixelAP(), [(small, ids)]).compute()


def test_without_pixel_scores_each_pixel_has_the_score_of_its_entity() -> None:
    ids = np.array([[1, 1, 2, 0]], np.int32)
    truth = EntityMap(np.array([[1, 1, 0, 0]], np.int32))
    one, other = PixelAUROC(), PixelAUROC()
    one.update(EntityMap(ids, np.array([0.5, 0.25], np.float32)), [truth])
    other.update(EntityMap(ids, pixel_scores=np.array([[0.5, 0.5, 0.25, 0]], np.float16)), [truth])
    assert one.compute() == other.compute() == 1


def test_unlabelled_pixels_do_not_count() -> None:
    scores = np.array([[1, 0, 1]], np.float16)
    metric = PixelAUROC()
    metric.update(EntityMap(np.zeros((1, 3)), pixel_scores=scores), [EntityMap(np.array([[1, 0, -1]]))])
    assert metric.compute() == 1


def test_nothing_found_is_chance_and_one_kind_of_pixel_undefined() -> None:
    nothing = np.zeros((4, 4), np.float16)
    half = np.repeat([[1, 1, 0, 0]], 4, 0).astype(np.int32)
    assert seen(PixelAUROC(), [(nothing, half)]).compute() == 0.5
    assert seen(PixelAP(), [(nothing, half)]).compute() == 0.5
    assert seen(AUPRO(), [(nothing, half)]).compute() == pytest.approx(0.15)
    for metric in (PixelAUROC(), PixelAP(), AUPRO()):
        assert np.isnan(metric.compute())
        assert np.isnan(seen(metric, [(nothing, np.zeros((4, 4), np.int32))]).compute())


def test_many_different_scores_are_joined_without_moving_the_area(monkeypatch) -> None:
    shown = images(7, count=6, steps=5000)
    exact = [seen(metric, shown) for metric in (PixelAUROC(), PixelAP(), AUPRO(), AUPRO(0.05))]
    assert len(np.unique(np.concatenate([scores.ravel() for scores, _ in shown]))) > 1500
    before = [metric.compute() for metric in exact]
    monkeypatch.setattr(pixel_scores, "LEVELS", 1024)
    assert [metric.compute() for metric in exact] == pytest.approx(before, abs=1e-3)
    assert [metric.compute() for metric in exact] != before


def test_a_score_of_minus_zero_and_one_beyond_one_are_put_in_their_place() -> None:
    ids = np.array([[1, 0]], np.int32)
    for scores in ([1.5, -0.0], [1.0, -3.0]):
        assert seen(PixelAUROC(), [(np.array([scores], np.float16), ids)]).compute() == 1
