"""What metrics hold goes through JSON and comes back to the last bit."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics import METRICS, MetricSet
from domains.metrics.matching import Comparison
from domains.metrics.state import as_json, from_json


def filled(draw) -> MetricSet:
    metrics = MetricSet()
    for seed in range(6):
        prediction, truth = draw(seed, unlabelled=seed % 2 == 0)
        other = draw(seed + 50)[1]
        labelled = EntityMap(
            truth.ids, labels=np.arange(truth.count, dtype=np.int32) % 2, vocabulary=("dtype", "shape")
        )
        metrics.update(prediction, [labelled, other][: 1 + seed % 2], f"slide {seed // 2}", "odd", 2e-6 * (1 + seed))
    empty = EntityMap(np.zeros((8, 8)))
    metrics.update(empty, [empty], "slide 9")
    return metrics


def test_every_metric_comes_back_from_its_state_to_the_last_bit(draw) -> None:
    metrics, again = filled(draw), MetricSet()
    again.restore(json.loads(json.dumps(metrics.state())))
    assert again.metrics.keys() == METRICS.keys() and len(again) == len(metrics)
    for of_set in (MetricSet.compute, MetricSet.interval, MetricSet.by_stratum, MetricSet.counted):
        assert repr(of_set(again)) == repr(of_set(metrics))
    for key, values in metrics.resample().items():
        np.testing.assert_array_equal(again.resample()[key], values, strict=True)


def test_what_is_seen_after_a_restored_state_counts_with_it(draw) -> None:
    metrics, again = filled(draw), MetricSet()
    again.restore(json.loads(json.dumps(metrics.state())))
    prediction, truth = draw(77)
    for of_both in (metrics, again):
        of_both.resample()
        of_both.update(prediction, [truth], "new")
    assert repr(again.compute()) == repr(metrics.compute()) and repr(again.interval()) == repr(metrics.interval())


def test_images_picked_from_several_sets_count_as_if_each_had_been_measured_so(draw) -> None:
    seen = [(draw(seed)[0], draw(seed + 20)[0], draw(seed)[1], f"slide {seed // 2}") for seed in range(5)]
    left, right, mixed, picked = MetricSet(), MetricSet(), MetricSet(), MetricSet()
    choices = [0, 1, 1, 0, 1]
    for (by_left, by_right, truth, slide), choice in zip(seen, choices, strict=True):
        left.update(by_left, [truth], slide)
        right.update(by_right, [truth], slide)
        mixed.update((by_left, by_right)[choice], [truth], slide)
    picked.pick([left, right], choices)
    for of_set in (MetricSet.compute, MetricSet.interval, MetricSet.counted):
        assert repr(of_set(picked)) == repr(of_set(mixed))
    assert picked.compute()["pq"] not in (left.compute()["pq"], right.compute()["pq"])
    right.groups[0] = "slide 9"
    with pytest.raises(ValueError, match="same images"):
        picked.pick([left, right], choices)


class Entities:
    """A metric of a package: the number of images, kept in a way of its own."""

    def __init__(self) -> None:
        self.images = 0

    def update(self, prediction: EntityMap, truths: Sequence[EntityMap]) -> None:
        self.images += 1

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        self.images += 1

    def compute(self) -> float:
        return float(self.images)

    def resample(self, weights: np.ndarray) -> np.ndarray:
        return weights.sum(1)


def test_a_set_with_a_metric_that_keeps_no_state_has_none() -> None:
    assert MetricSet({"entities": Entities()}).state() is None
    with pytest.raises(TypeError, match="entities"):
        MetricSet({"entities": Entities()}).restore({"metrics": {"entities": {}}})
    with pytest.raises(TypeError, match="entities"):
        MetricSet({"entities": Entities()}).pick([MetricSet({"entities": Entities()})], [])


def test_arrays_keep_type_shape_and_values() -> None:
    rng = np.random.default_rng(0)
    many = [rng.random((4, 9)).T, rng.random((2, 40)) < 0.5, rng.integers(0, 99, 70).astype(np.uint16)]
    arrays = [
        *many,
        np.array([[0.1, np.nan, np.inf]], np.float32),
        np.zeros((0, 2)),
        np.array([True, False]),
        np.arange(3),
    ]
    for array, again in zip(arrays, from_json(json.loads(json.dumps(as_json(arrays)))), strict=True):
        np.testing.assert_array_equal(again, array, strict=True)
    assert from_json(as_json({"dtype": np.zeros(1), "shape": [1], "values": ("a",)}))["shape"] == [1]


@pytest.mark.parametrize("values", ["!", "AAAA", base64.b64encode(zlib.compress(b"x" * 160)[:-4]).decode()])
def test_a_damaged_array_is_a_value_error(values: str) -> None:
    with pytest.raises(ValueError):
        from_json({"dtype": "<f8", "shape": [20], "values": values})
