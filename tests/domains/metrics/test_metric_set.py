from __future__ import annotations

import pickle
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from domains.entities import EntityMap
from domains.errors import InputError
from domains.metrics import METRICS, ImageMetric, MetricSet
from domains.metrics.bootstrap import group_weights
from domains.metrics.size_classes import SIZES_PX

EMPTY = EntityMap(np.zeros((8, 8)))
unhurried = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
small_maps = arrays(np.int32, (7, 7), elements=st.integers(-1, 4))


def filled(draw, images: int = 6) -> MetricSet:
    metrics = MetricSet()
    for seed in range(images):
        prediction, truth = draw(seed, unlabelled=seed % 2 == 0)
        group, stratum = f"slide {seed // 2}", "even" if seed % 2 == 0 else "odd"
        metrics.update(prediction, [truth], group, stratum)
        if seed % 3 == 0:  # an image without entities, in which some are found
            metrics.update(prediction, [EntityMap(np.zeros_like(truth.ids))], group, stratum)
    return metrics


def one(prediction: EntityMap, *truths: EntityMap) -> dict[str, float]:
    metrics = MetricSet()
    metrics.update(prediction, truths, group="a")
    return metrics.compute()


def test_a_perfect_prediction_scores_one_on_every_metric(draw) -> None:
    metrics = MetricSet()
    for seed in range(4):
        truth = draw(seed, unlabelled=True)[1]
        metrics.update(EntityMap(np.maximum(truth.ids, 0)), [truth], group="a")
    metrics.update(EMPTY, [EMPTY], group="a")
    values = metrics.compute()
    assert values.pop("false_alarms") == values.pop("polis_px") == 0
    assert np.isnan(values.pop("polis_m"))  # no pixel size
    assert np.isnan(values.pop("hierarchy"))  # the truth is not nested
    assert 0 < values.pop("ar1") < values.pop("ar10") < 1  # of more than ten entities
    unseen = [key for key, value in values.items() if np.isnan(value)]
    assert set(unseen) <= set(SIZED) - {"recall_tiny", "f1_tiny"}
    assert values == pytest.approx(dict.fromkeys(values, 1.0) | dict.fromkeys(unseen, np.nan), nan_ok=True)


def test_values_lie_between_zero_and_one_and_equal_their_own_resampling(draw) -> None:
    metrics = filled(draw)
    values = metrics.compute()
    assert all(0 <= values[key] <= 1 for key in (*WITHIN, *OVER_PIXELS, "image_auroc", "image_f1_max"))
    for key, metric in metrics.metrics.items():
        again = metric.resample(np.ones((1, len(metrics))))[0]
        assert again == pytest.approx(values[key], abs=1e-12, nan_ok=key in (*SIZED, *NESTED, "polis_m"))


def test_a_resampling_is_worked_out_once_until_another_image_comes(draw) -> None:
    metrics = filled(draw)
    before = metrics.resample(20)
    assert metrics.resample(20) is before and metrics.resample(20, seed=1) is not before
    metrics.update(EMPTY, [EMPTY], group="another")
    assert metrics.resample(20) is not before and len(metrics.resample(21)["pq"]) == 21


def test_equal_resamples_are_computed_once_and_counted_as_often(draw) -> None:
    metrics = filled(draw, images=3)  # of two slides: three ways to draw two of them
    expected = {key: metric.resample(group_weights(metrics.groups, 50, 0)) for key, metric in metrics.metrics.items()}
    precision, rows = metrics.metrics["ap"], []
    resample = precision.resample
    precision.resample = lambda weights: rows.append(len(weights)) or resample(weights)
    for key, values in metrics.resample(50).items():
        np.testing.assert_allclose(values, expected[key], rtol=1e-12)
    assert rows == [3]


@given(small_maps, small_maps, st.permutations(range(1, 5)), st.permutations(range(1, 5)))
@unhurried
def test_the_numbering_of_entities_changes_nothing(
    predicted: np.ndarray, true: np.ndarray, first: list[int], second: list[int]
) -> None:
    scores = np.array([0.2, 0.4, 0.6, 0.8])
    renumbering = np.array([0, *first, -1]), np.array([0, *second, -1])
    rescored = np.zeros(4)
    rescored[np.array(first) - 1] = scores
    plain = one(EntityMap.from_ids(predicted, scores), EntityMap.from_ids(true))
    other = one(EntityMap.from_ids(renumbering[0][predicted], rescored), EntityMap.from_ids(renumbering[1][true]))
    assert plain == pytest.approx(other, nan_ok=True)


@given(small_maps, small_maps, st.integers(0, 4))
@unhurried
def test_what_is_predicted_wholly_on_unlabelled_pixels_changes_nothing(
    predicted: np.ndarray, true: np.ndarray, paint: int
) -> None:
    known = np.where(true == -1, 0, np.maximum(predicted, 0))
    painted = np.where((true == -1) & (paint > 0), paint + 4, known)
    assert one(EntityMap.from_ids(known), EntityMap.from_ids(true)) == pytest.approx(
        one(EntityMap.from_ids(painted), EntityMap.from_ids(true)), nan_ok=True
    )


SIZED = [f"{kind}_{size}" for kind in ("recall", "f1") for size in SIZES_PX]
"""Undefined where no entity has that size: their own tests draw them."""
SIZED += [f"ap_{size}{unit}" for size in ("small", "medium", "large") for unit in ("", "_m2")]
OVER_PAIRS = ["boundary_iou", "polis_px", "polis_m"]
"""Only entities that were found are measured."""
OVER_IMAGES = ["image_auroc", "image_f1_max", "false_alarms"]
"""They compare images, or judge good ones."""
NESTED = ["hierarchy"]
"""Only of a truth that is nested: its own tests draw it."""
OVER_PIXELS = ["pixel_auroc", "pixel_ap", "aupro", "aupro_05"]
"""Every pixel without an entity counts, also of an image that has none; nothing found is chance, not 0."""
WITHIN = [key for key in METRICS if key not in (*SIZED, *OVER_PAIRS, *OVER_IMAGES, *OVER_PIXELS, *NESTED)]
"""What an image with entities alone decides."""


@pytest.mark.parametrize("key", WITHIN)
def test_empty_maps_are_zero_when_something_was_missed_and_undefined_when_there_was_nothing(key: str) -> None:
    full = EntityMap(np.kron([[1, 0], [0, 2]], np.ones((4, 4), int)))
    assert one(EMPTY, full)[key] == 0
    assert np.isnan(one(EMPTY, EMPTY)[key])
    nothing_true = one(full, EMPTY)[key]
    undefined = ("ap", "ap50", "boundary_ap", "class_iou", "region_recall", "line_recall_2px")
    undefined += ("ap_e", "ar1", "ar10", "ar100", "ar1000", *(key for key in WITHIN if "covering" in key))
    assert np.isnan(nothing_true) if key in undefined else nothing_true == 0


@pytest.mark.parametrize("key", WITHIN)
def test_an_image_without_anything_leaves_the_others_value(draw, key: str) -> None:
    prediction, truth = draw(0)
    metrics = MetricSet([key])
    metrics.update(prediction, [truth], group="a")
    before = metrics.compute()
    metrics.update(EMPTY, [EMPTY], group="b")
    assert metrics.compute() == pytest.approx(before)


def test_no_image_at_all_is_undefined() -> None:
    metrics = MetricSet()
    assert np.isnan(list(metrics.compute().values())).all()
    assert np.isnan(list(metrics.interval().values())).all()


def test_intervals_repeat_with_the_seed_and_hold_the_value(draw) -> None:
    metrics = filled(draw, images=12)
    for key in (*SIZED, *NESTED, "polis_m"):
        del metrics.metrics[key]
    intervals = metrics.interval(resamples=200, seed=3)
    assert intervals == metrics.interval(resamples=200, seed=3) != metrics.interval(resamples=200, seed=4)
    for key, value in metrics.compute().items():
        assert intervals[key][0] <= value <= intervals[key][1]
        assert intervals[key][0] < intervals[key][1]


def test_one_group_has_no_interval(draw) -> None:
    metrics = MetricSet(["pq"])
    for seed in range(3):
        prediction, truth = draw(seed)
        metrics.update(prediction, [truth], group="the only slide")
    assert np.isnan(metrics.interval()["pq"]).all()


def test_a_stratum_and_an_image_equal_a_set_of_their_own(draw) -> None:
    metrics, odd, last = filled(draw), MetricSet(), MetricSet()
    for seed in (1, 3, 5):
        prediction, truth = draw(seed)
        odd.update(prediction, [truth], group="a")
        if seed == 3:
            odd.update(prediction, [EntityMap(np.zeros_like(truth.ids))], group="a")
        if seed == 5:
            last.update(prediction, [truth], group="a")
    assert metrics.by_stratum()["odd"] == pytest.approx(odd.compute(), nan_ok=True)
    of_last = {key: values[-1] for key, values in metrics.per_image().items()}
    assert of_last == pytest.approx(last.compute(), nan_ok=True)


def test_a_ratio_of_sums_of_each_image_equals_that_of_the_image_alone_and_others_have_none(draw) -> None:
    metrics = filled(draw)
    by_resampling = metrics.per_image()
    for key, metric in metrics.metrics.items():
        values = metrics.of_each_image(key)
        assert (values is not None) == isinstance(metric, ImageMetric)
        if values is not None:
            assert values == pytest.approx(by_resampling[key], nan_ok=True)
    assert metrics.of_each_image("ap50") is None
    fresh = MetricSet(["pq"]).of_each_image("pq")
    assert fresh is not None and fresh.shape == (0,)


def test_metrics_survive_pickling(draw) -> None:
    metrics = filled(draw)
    assert pickle.loads(pickle.dumps(metrics)).compute() == pytest.approx(metrics.compute(), nan_ok=True)


def test_a_metric_of_one_s_own_joins_by_measure_and_ratio(draw) -> None:
    class Found(ImageMetric):
        def measure(self, comparison):
            return len(comparison.matches), len(comparison.true_areas)

    metrics = MetricSet({"found": Found()})
    prediction, truth = draw(0)
    metrics.update(truth, [truth], group="a")
    assert metrics.compute() == {"found": 1.0}


def test_an_unknown_metric_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"'ap5'.*did you mean 'ap50'"):
        MetricSet(["ap5"])


def test_all_metrics_of_a_crowded_tile_take_a_fraction_of_a_second(draw) -> None:
    prediction, truth = draw(0, entities=500, side=512)
    assert truth.count > 300
    metrics = MetricSet()
    start = time.process_time()
    metrics.update(prediction, [truth], group="a")
    assert time.process_time() - start < 1.0  # 0.03 s measured
