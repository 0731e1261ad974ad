"""A learning curve carried on: exact where it is a power law, an honest interval where it is noisy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recipes.verbs.extrapolation import carried_on, outlook

NUMBERS = (5, 10, 20, 40)


def points(curve, noise: float = 0.0, seeds: int = 3, groups: int = 9, numbers=NUMBERS) -> list[list[dict[str, Any]]]:
    """Fits whose headline follows a curve; noise: of the seeds and of the resampled groups, shared by all points."""
    rng = np.random.default_rng(0)
    of_groups = rng.normal(0, noise, 500)
    rows = []
    for number in numbers:
        values = curve(number) + rng.normal(0, noise / 2, seeds)
        rows.append(
            [
                {"metrics": {"f1": v}, "resampled": (v + of_groups).tolist(), "groups": groups, "train_images": number}
                for v in values
            ]
        )
    return rows


@pytest.mark.parametrize("a, b, c", [(0.9, 1.0, 0.5), (0.8, 0.3, 0.2), (1.0, 1.0, 1.0)])
def test_a_power_law_is_carried_on_as_it_is(a: float, b: float, c: float) -> None:
    numbers = np.array(NUMBERS, float)
    values = a - b * numbers[:, None] ** -c
    gains, limits = carried_on(numbers, values, 40, 60)
    assert gains == pytest.approx(b * (40**-c - 60**-c), rel=0.05) and limits == pytest.approx(a, abs=0.03)


def test_a_steep_curve_goes_on_a_flat_one_stops_and_noise_is_undecided() -> None:
    steep = outlook("f1", points(lambda n: 0.9 - 1.5 * n**-0.5, 0.005))
    assert steep is not None and steep.verdict == "go on" and 0 < steep.interval[0] < steep.gain < steep.interval[1]
    assert str(steep).startswith("20 more images: f1 +0.0") and "beyond chance: go on" in str(steep)
    flat = outlook("f1", points(lambda n: 0.8 - 0.5 * n**-2.0, 0.002))
    assert flat is not None and flat.verdict == "stop" and "stop labelling at random" in str(flat)
    unsteady = {5: 0.5, 10: 0.62, 20: 0.55, 40: 0.66}
    noisy = outlook("f1", points(unsteady.__getitem__, 0.1))
    assert noisy is not None and noisy.verdict == "undecided" and noisy.interval[1] > 0.01


def test_a_falling_curve_promises_nothing_and_no_metric_rises_beyond_1() -> None:
    falling = outlook("f1", points(lambda n: 0.5 + 1 / n))
    assert falling is not None and falling.gain == 0
    high = outlook("f1", points(lambda n: 1 - 0.4 * n**-0.1))
    assert high is not None and high.limit <= 1


def test_two_points_or_one_group_say_nothing() -> None:
    assert outlook("f1", points(lambda n: 0.9 - 1 / n, numbers=(5, 10))) is None
    assert outlook("f1", points(lambda n: 0.9 - 1 / n, groups=1)) is None
