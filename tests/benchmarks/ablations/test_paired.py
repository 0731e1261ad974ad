from __future__ import annotations

import numpy as np

from benchmarks.ablations.paired import RESAMPLES, drawn_of, drawn_text, paired_span
from domains.entities import EntityMap
from domains.metrics import MetricSet


def fits(shift: float, spread: float) -> dict[int, dict[str, object]]:
    """Results of three folds, their f1 over resampled groups."""
    rng = np.random.default_rng(3)
    values = {seed: rng.normal(0.5, 0.1, RESAMPLES) for seed in range(3)}  # the groups' doing, alike for both arms
    noise = np.random.default_rng(4)
    drawn = {seed: value + shift + noise.normal(0, spread, RESAMPLES) for seed, value in values.items()}
    return {seed: {"drawn": {"f1": " ".join(f"{x:.4f}" for x in value)}} for seed, value in drawn.items()}


def test_what_the_groups_do_to_both_arms_is_no_part_of_their_difference() -> None:
    assert paired_span(fits(0.02, 0.0), fits(0.0, 0.0), "f1") == ", +.020 to +.020"
    low, high = map(float, paired_span(fits(0.02, 0.01), fits(0.0, 0.0), "f1")[2:].split(" to "))
    assert 0.002 < low < 0.013 < 0.027 < high < 0.038  # 1.96 x .01 / sqrt(3) either way
    assert paired_span(fits(0.0, 0.0), {}, "f1") == "" == paired_span({0: {}}, {0: {}}, "f1")


def test_resamples_come_back_as_they_were_drawn() -> None:
    metrics = MetricSet(["f1"])
    ids = np.zeros((8, 8), np.int32)
    ids[:4] = 1
    for group, predicted in (("a", ids), ("b", np.zeros_like(ids))):
        metrics.update(EntityMap(predicted), (EntityMap(ids),), group)
    drawn = drawn_of({"drawn": drawn_text(metrics, ["f1"])}, "f1")
    assert drawn.shape == (RESAMPLES,) and np.allclose(drawn, metrics.resample(RESAMPLES)["f1"], atol=1e-4)
