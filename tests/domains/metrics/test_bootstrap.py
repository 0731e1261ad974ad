from __future__ import annotations

import numpy as np

from domains.metrics.bootstrap import group_weights, percentile_interval


def test_images_of_a_group_are_drawn_together_and_as_many_groups_as_there_are() -> None:
    weights = group_weights(["a", "b", "a", "c"], resamples=50, seed=0)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)


def test_one_seed_gives_one_draw() -> None:
    groups = ["a", "b", "c"]
    np.testing.assert_array_equal(group_weights(groups, 20, seed=1), group_weights(groups, 20, seed=1))
    assert (group_weights(groups, 20, seed=1) != group_weights(groups, 20, seed=2)).any()


def test_an_interval_leaves_undefined_values_out() -> None:
    assert percentile_interval(np.array([np.nan, 0.0, 1.0]), level=0.5) == (0.25, 0.75)
    assert np.isnan(percentile_interval(np.array([np.nan]), level=0.95)).all()


def test_intervals_of_a_mean_cover_it_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        effects = rng.normal(size=25)
        values = np.repeat(effects, 4) + 0.1 * rng.normal(size=100)  # four images of each of 25 groups, true mean 0
        weights = group_weights(np.repeat(np.arange(25), 4).astype(str).tolist(), 300, seed=trial)
        low, high = percentile_interval(weights @ values / weights.sum(axis=1), level=0.95)
        covered += low <= 0 <= high
    assert 0.88 <= covered / 200 <= 0.99
