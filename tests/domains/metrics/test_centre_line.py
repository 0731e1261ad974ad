from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics.centre_line import CentreLineDice, CentreLineRecall
from domains.metrics.foreground_iou import ForegroundIoU


def crack(width: int, row: int = 20, start: int = 5, stop: int = 55) -> EntityMap:
    """A horizontal line of that width."""
    ids = np.zeros((40, 60), np.int32)
    ids[row - width // 2 : row - width // 2 + width, start:stop] = 1
    return EntityMap(ids)


def value(metric, prediction: EntityMap, truth: EntityMap) -> float:
    metric.update(prediction, [truth])
    return metric.compute()


def test_a_crack_drawn_too_wide_keeps_its_centre_line() -> None:
    assert value(ForegroundIoU(), crack(5), crack(1)) == pytest.approx(0.2)
    assert value(CentreLineDice(), crack(5), crack(1)) > 0.97  # thinning shortens the ends
    assert value(CentreLineRecall(), crack(5), crack(1)) == 1


def test_half_a_crack_by_hand() -> None:
    """25 of 50 px: precision 1, recall 1/2; with a tolerance of 2 px 27 of 50 are near."""
    half = crack(1, stop=30)
    assert value(CentreLineDice(), half, crack(1)) == pytest.approx(2 * 0.5 / 1.5)
    assert value(CentreLineRecall(), half, crack(1)) == pytest.approx(27 / 50)
    assert value(CentreLineRecall(0.0), half, crack(1)) == pytest.approx(25 / 50)


def test_a_crack_beside_the_true_one_is_within_the_tolerance_only() -> None:
    assert value(CentreLineDice(), crack(1, row=22), crack(1)) == 0
    assert value(CentreLineRecall(), crack(1, row=22), crack(1)) == 1
    assert value(CentreLineRecall(), crack(1, row=23), crack(1)) == 0


def test_a_gap_costs_its_length_however_thick_the_crack() -> None:
    broken = crack(5).ids.copy()
    broken[:, 25:35] = 0
    assert value(CentreLineDice(), EntityMap(broken), crack(5)) == pytest.approx(2 * 0.8 / 1.8, abs=0.05)


@pytest.mark.parametrize("metric", [CentreLineDice, CentreLineRecall])
def test_nothing_found_is_zero_and_nothing_there_undefined(metric) -> None:
    nothing = EntityMap(np.zeros((40, 60), np.int32))
    assert value(metric(), nothing, crack(3)) == 0
    assert np.isnan(value(metric(), nothing, nothing))


@pytest.mark.parametrize("seed", range(3))
def test_cldice_equals_its_formula_with_another_skeleton(draw, seed: int) -> None:
    """On lines one pixel wide the skeleton is the line itself, whoever thins it."""
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(2):
        ids = np.zeros((50, 50), np.int32)
        for row in rng.choice(np.arange(2, 48, 3), 6, replace=False):
            start = rng.integers(0, 25)
            ids[row, start : start + rng.integers(5, 25)] = 1
        maps.append(ids > 0)
    predicted, true = maps
    precision, recall = (predicted & true).sum() / predicted.sum(), (predicted & true).sum() / true.sum()
    wanted = 2 * precision * recall / (precision + recall) if precision else 0
    assert value(CentreLineDice(), EntityMap(predicted), EntityMap(true)) == pytest.approx(wanted)
