"""Which images were labelled: the differences are paired over groups, and the ranges are over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.ablations.paired import RESAMPLES
from benchmarks.accuracy.next_images import columns_of, differences


def row(value: float, groups: np.ndarray) -> dict[str, Any]:
    return {"pq": value, "drawn": {"pq": " ".join(f"{value + shift:.4f}" for shift in groups)}}


def test_what_the_groups_do_to_both_ways_and_all_seeds_is_no_part_of_the_difference() -> None:
    groups = np.random.default_rng(0).normal(0, 0.1, RESAMPLES)
    gains = (0.03, -0.01, 0.04)
    seeds = [{"next-images": row(0.5 + gain, groups), "by chance": row(0.5, groups)} for gain in gains]
    assert [*differences("nwpu_vhr10", seeds)] == ["pq +0.020 [+0.020, +0.020], by seed -0.010 to +0.040"]
    assert [*columns_of("nwpu_vhr10", seeds, "by chance")] == ["pq 0.500 (0.500 0.500 0.500)"]


def test_seeds_share_their_test_groups_so_that_more_of_them_make_no_narrower_interval() -> None:
    groups = np.random.default_rng(0).normal(0, 0.1, RESAMPLES)
    seeds = [{"next-images": row(0.5, groups), "by chance": row(0.5, 0 * groups)}] * 3
    low, high = map(float, next(differences("nwpu_vhr10", seeds)).split("[")[1].split("]")[0].split(", "))
    assert -0.22 < low < -0.17 and 0.17 < high < 0.22  # 1.96 x .1
